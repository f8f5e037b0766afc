"""Mistakes in a description that its types do not catch: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opstasks.manage import people, units
from opstasks.manage.model import BackendOptions, Description

_MODE = re.compile(r"0[0-7]{3}")


def mistakes(wanted: Description) -> Iterator[str]:
    """Check modes, absolute paths, known groups, patterns, unit files and lists of people."""
    yield from _mode_mistakes(wanted)
    yield from _path_mistakes(wanted)
    yield from _option_mistakes(wanted.options)
    yield from _account_mistakes(wanted)
    yield from people.mistakes(wanted)
    for setting in wanted.settings:
        yield from _setting_mistakes(setting.name, setting.match, setting.line)
    for path, text in wanted.contents.items():
        if path.startswith("/etc/systemd/system/"):
            yield from (f"files: {path}: {mistake}" for mistake in units.mistakes(path, text))


def _mode_mistakes(wanted: Description) -> Iterator[str]:
    modes = [
        (f"{section}: {entry.path}", entry.mode)
        for section in ("directories", "files", "rights")
        for entry in getattr(wanted, section)
    ]
    for tree in wanted.trees:
        named = (tree.files, tree.directories, *tree.tolerated)
        modes += [(f"trees: {tree.path}", mode) for mode in named]
    for where, mode in modes:
        if not _MODE.fullmatch(mode):
            yield f"{where}: mode {mode!r} must look like '0640'"


def _path_mistakes(wanted: Description) -> Iterator[str]:
    placed = ("directories", "files", "settings", "rights", "removals", "trees", "checkouts")
    for section in placed:
        for entry in getattr(wanted, section):
            if not _plain(entry.path):
                yield f"{section}: {entry.path!r} is not a plain absolute path"


def _plain(path: str) -> bool:
    parts = path.split("/")
    return path.startswith("/") and ".." not in parts and not set(path) & set("\0\n")


def _option_mistakes(options: BackendOptions) -> Iterator[str]:
    source = options.key_source
    if source and not (source.startswith("https://") and "{name}" in source):
        yield f"options: key_source {source!r} must be an https address with {{name}} in it"
    if options.requires and not _plain(options.requires):
        yield f"options: requires {options.requires!r} is not a plain absolute path"


def _account_mistakes(wanted: Description) -> Iterator[str]:
    known = {group.name for group in wanted.groups}
    for user in wanted.users:
        for group in sorted({user.group, *user.groups} - known):
            yield f"users: {user.name}: unknown group {group!r}"


def _setting_mistakes(name: str, match: str, line: str) -> Iterator[str]:
    try:
        found = re.search(match, line)
    except (re.error, OverflowError, RecursionError) as error:
        yield f"settings: {name}: match: {error}"
        return
    if not found or "\n" in line:
        yield f"settings: {name}: `match` must find `line`, which is one line"
