"""Runs on the host: the env files on the disk."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opstasks.config.onhost.reading import Reading
from opstasks.config.onhost.systemd_reader import read_systemd
from opstasks.onhost import masking
from opstasks.onhost.limits import moment
from opstasks.onhost.protocol import HostRefusal, error_text

NEW_FILE_MODE = 0o640


@dataclass(frozen=True)
class ReadFile:
    """A file's text and its `stat` values.

    `error` says why it could not be read. `stamp` changes with each write; it is empty for a file
    that could not be read. `changed_at` is in seconds since the epoch, `mode` in octal.
    """

    path: Path
    text: str = ""
    sha256: str = ""
    stamp: str = ""
    changed_at: float = 0.0
    mode: str = ""
    is_link: bool = False
    error: str = ""


def read_file(path: str) -> ReadFile:
    """Read a file; an error is part of the result."""
    place = Path(path)
    try:
        info = place.lstat()
        data = place.read_bytes()
    except OSError as error:
        return ReadFile(place, error=error.strerror or "cannot be read")
    return ReadFile(
        place,
        text=data.decode("utf-8", "surrogateescape"),
        sha256=hashlib.sha256(data).hexdigest(),
        stamp=f"{info.st_ino}-{info.st_mtime_ns}-{info.st_size}",
        changed_at=moment(info.st_mtime),
        mode=f"{info.st_mode & 0o7777:04o}",
        is_link=place.is_symlink(),
    )


def merged(readings: Iterable[Reading]) -> dict[str, str | None]:
    """The last value of each key over several files; None if it is unknown."""
    found: dict[str, str | None] = {}
    for reading in readings:
        found.update(reading.values())
    return found


def service_values(texts: Iterable[str]) -> dict[str, str]:
    """The service's values from files with these texts."""
    found = merged(read_systemd(text) for text in texts)
    return {key: value for key, value in found.items() if value is not None}


def replace_file(path: Path, text: str) -> None:
    """Replace a file in one step, so it is never incomplete; keep the old one as .bak.

    The backup has no secrets: an unset or replaced secret must be gone.

    Raises HostRefusal when the new text cannot be written; the old file and its backup are then
    still there.
    """
    try:
        with _staged(path, text, mode_of(path)) as staged:
            _back_up(path, masking.marked(text))
            staged.replace(path)
    except OSError as error:
        raise HostRefusal(f"{path} cannot be written: {error_text(error)}") from error
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def mode_of(path: Path) -> int:
    """The mode of a file, or of a new one."""
    return path.stat().st_mode & 0o7777 if path.exists() else NEW_FILE_MODE


@contextlib.contextmanager
def _staged(path: Path, text: str, mode: int) -> Iterator[Path]:
    """A complete new file beside the old one, with this mode.

    A new file that a killed program left behind is removed, because it may contain a secret.
    """
    # mkstemp adds eight characters. An editor's own file beside it (.swp) is not ours.
    for left in path.parent.glob(f".{path.name}.{'[a-z0-9_]' * 8}"):
        left.unlink()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    staged = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fsync(stream.fileno())
        staged.chmod(mode)
        yield staged
    finally:
        staged.unlink(missing_ok=True)


def _back_up(path: Path, marked: Collection[str]) -> None:
    """Keep the present file as the backup; the old backup stays until the new one is complete.

    `marked` are the keys that the new file declares to be secret.
    """
    if path.exists():
        backup = path.with_name(path.name + ".bak")
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        kept = without_secrets(text, {*_secret_names(path.parent), *marked})
        with _staged(backup, kept, mode_of(path)) as staged:
            staged.replace(backup)


def _secret_names(folder: Path) -> set[str]:
    """The keys that the file of secrets sets."""
    lines = read_file(str(folder / masking.SECRETS_FILE)).text.split("\n")
    return masking.all_assigned(lines)


def without_secrets(text: str, secret_keys: Collection[str]) -> str:
    """The text of an env file, with `masking.MASK` instead of the value of each secret."""
    pieces, place = [], 0
    for item in read_systemd(text).assignments:
        if item.value and masking.is_secret(item.key, [item.value], secret_keys):
            pieces += [text[place : item.start], f"{item.key}={masking.MASK}"]
            place = item.end
    return masking.masked("".join([*pieces, text[place:]]))
