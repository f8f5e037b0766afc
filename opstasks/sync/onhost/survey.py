"""Runs on the host as the service account: what one run of the Level 3 sync must leave out.

One bad file or folder must not stop the rest: it is left out, and named in the record.
"""

import os
import re
import stat
from pathlib import Path

from opstasks.onhost.safe_files import TOO_DEEP, is_too_deep

# rsync's last line after a run in which some files failed.
_SUMMARY = "rsync error: some files/attrs were not transferred"


class Survey:
    """The paths to leave out, below the source; `uncopied` has "path: reason" for people.

    `clashes` are paths where rsync would have to delete something: a file in place of a
    directory, and the like. `unreadable` ones cannot be read, there or in the target.
    """

    def __init__(self, source: str, target: str) -> None:
        self.source, self.target = source, target
        self.clashes: list[str] = []
        self.unreadable: list[str] = []
        self.uncopied: list[str] = []
        for folder, folders, files in os.walk(source, onerror=self._cannot_list):
            self._visit(folder, folders, files)
        self.clashes.sort()

    @property
    def left_out(self) -> list[str]:
        """All paths to leave out."""
        return [*self.clashes, *self.unreadable]

    def _visit(self, folder: str, folders: list[str], files: list[str]) -> None:
        """Note what must be left out of a folder; `folders` keeps those to look into."""
        level = Path(folder).relative_to(self.source)
        if is_too_deep(f"./{level}"):
            self._leave_deep(str(level), folders)
        for name in (*folders, *files):
            path = Path(folder, name)
            relative = level / name
            try:
                is_clash = other_kind(path.lstat().st_mode, Path(self.target, relative))
            except PermissionError as error:
                if folder != self.source:
                    # Nobody but its owner can search the folder: none of its files can be read.
                    self._cannot_read(folder, error)
                    folders.clear()
                    return
                self._cannot_read(str(path), error)
            except OSError as error:
                self._cannot_read(str(path), error)
            else:
                if not is_clash:
                    continue
                self.clashes.append(str(relative))
            if name in folders:
                folders.remove(name)

    def _leave_deep(self, level: str, folders: list[str]) -> None:
        """Leave out the folders of a folder; without a limit, Python ends at some 1000 levels."""
        self.unreadable += [f"{level}/{name}" for name in folders]
        self.uncopied += [f"{self.source}/{level}/{name}: {TOO_DEEP}" for name in folders]
        folders.clear()

    def _cannot_list(self, error: OSError) -> None:
        self._cannot_read(os.fsdecode(error.filename), error)

    def _cannot_read(self, path: str, error: OSError) -> None:
        """Note a path that cannot be read, unless it was removed after it was listed."""
        if not isinstance(error, FileNotFoundError):
            self.unreadable.append(os.path.relpath(path, self.source))
            self.uncopied.append(f"{os.fsdecode(error.filename or path)}: {error.strerror}")


def other_kind(mode: int, there: Path) -> bool:
    """Whether something of another kind is where a file or a directory would go."""
    try:
        theirs = there.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    copied = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    return copied and stat.S_IFMT(mode) != stat.S_IFMT(theirs)


def pattern(path: str) -> str:
    """A path as an rsync pattern for only that path; a backslash escapes only beside a `*`."""
    if not any(sign in path for sign in "*?["):
        return "/" + path
    return "/" + re.sub(r"([\\*?\[])", r"\\\1", path)


def complaints(said: list[str]) -> list[str]:
    """What rsync said about files that it could not read or write, as "path: reason"."""
    lines = [line.strip() for line in said]
    return [complaint(line) for line in lines if line and not line.startswith(_SUMMARY)]


def complaint(line: str) -> str:
    """``rsync: [sender] opendir "/e/W" failed: Permission denied (13)`` as "path: reason".

    A line of any other form, and one about a name with a quotation mark, stays as it is.
    """
    about, _, reason = line.rpartition(" (")[0].rpartition(": ")
    words = about.split('"')
    return f"{words[-2]}: {reason}" if len(words) in (3, 5) and reason else line
