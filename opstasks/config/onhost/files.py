"""Runs on the host: the env files on the disk."""

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opstasks.config.onhost.reading import Reading
from opstasks.config.onhost.systemd_reader import read_systemd
from opstasks.onhost import backups, masking, safe_files
from opstasks.onhost.limits import moment
from opstasks.onhost.protocol import HostRefusal, error_text

NEW_FILE_MODE = 0o640
# What the names of our new files begin with, after the dot: a file of an editor is not ours.
STAGED = "opstasks-"


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


def replace_file(old: ReadFile, text: str) -> None:
    """Replace a file in one step, so it is never incomplete; keep the old content as a copy.

    The copy has no secrets: an unset or replaced secret must be gone.

    Raises HostRefusal when the file has changed since it was read, or when the new text cannot be
    written; the file is then as it was.
    """
    with _refusing(old.path):
        folder = os.open(old.path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with _refusing(old.path):
            _replace(folder, old, text)
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Nothing has been replaced yet when an error is raised here."""
    try:
        yield
    except OSError as error:
        raise HostRefusal(f"{path} cannot be written: {error_text(error)}") from error


def _replace(folder: int, old: ReadFile, text: str) -> None:
    name, mode = old.path.name, mode_of(old.path)
    staged_name = f"{STAGED}{name}"
    # A new file that a killed program left behind may contain a secret.
    for left in old.path.parent.glob(f".{staged_name}.*"):
        left.unlink()
    data = text.encode("utf-8", "surrogateescape")
    with safe_files.staged(folder, staged_name, data) as (beside, handle):
        os.fchmod(handle, mode)
        _keep(folder, old, mode, masking.marked(text))
        check_unchanged(old, old.stamp)  # at the last moment
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)


def check_unchanged(file: ReadFile, stamp: str) -> None:
    """Raise HostRefusal when a file does not have this stamp any more: a person has edited it."""
    if read_file(str(file.path)).stamp != stamp:
        raise HostRefusal(f"{file.path.name} has changed since it was inspected")


def mode_of(path: Path) -> int:
    """The mode of a file, or of a new one."""
    return path.stat().st_mode & 0o7777 if path.exists() else NEW_FILE_MODE


def _keep(folder: int, old: ReadFile, mode: int, marked: Collection[str]) -> None:
    """Keep the old content, if there was a file.

    `marked` are the keys that the new file declares to be secret.
    """
    if old.stamp:
        secrets = {*_secret_names(old.path.parent), *marked}
        backups.keep(
            folder,
            old.path.name,
            old.text.encode("utf-8", "surrogateescape"),
            give=lambda handle: os.fchmod(handle, mode),
            without_secrets=lambda text: without_secrets(text, secrets),
        )


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
    return masking.masked_env("".join([*pieces, text[place:]]))
