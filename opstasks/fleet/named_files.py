"""Paths that a person names: what is odd about them is a missing file, not an error of Python."""

from __future__ import annotations

from pathlib import Path


def home_path(text: str) -> Path:
    """A path with ``~`` replaced; the ``~name`` of an account that does not exist stays."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def is_file(path: Path) -> bool:
    """Whether a file exists and is visible to this account."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder exists and is visible to this account."""
    try:
        return path.is_dir()
    except OSError:
        return False
