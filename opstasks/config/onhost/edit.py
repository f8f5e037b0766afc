"""Runs on the host: assignments in the text of an env file, added, replaced and removed."""

import re
from collections.abc import Iterable, Mapping

from opstasks.config.onhost.reading import Assignment, line_of
from opstasks.config.onhost.shell_reader import ShellReader
from opstasks.config.onhost.systemd_reader import read_systemd
from opstasks.onhost import masking
from opstasks.onhost.protocol import HostRefusal

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")


def quoted(value: str) -> str:
    """A value quoted for both readers; it must contain no control characters."""
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def assign(text: str, key: str, value: str) -> str:
    """The text with a key's last assignment replaced, or with one added at the end."""
    line = f"{key}={quoted(value)}"
    places = [item for item in read_systemd(text).assignments if item.key == key]
    if places:
        last = places[-1]
        return text[: last.start] + line + text[last.end :]
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}{line}\n"


def remove(text: str, key: str) -> str:
    """The text without a key's assignments; comments stay."""
    places = [item for item in read_systemd(text).assignments if item.key == key]
    for item in reversed(places):
        start, end = _whole_lines(text, item)
        text = text[:start] + text[end:]
    return text


def _whole_lines(text: str, item: Assignment) -> tuple[int, int]:
    """An assignment with the spaces before it and its line end."""
    start = text.rfind("\n", 0, item.start) + 1
    start = start if not text[start : item.start].strip() else item.start
    end = item.end
    while end < len(text) and text[end] == "\r":
        end += 1
    return start, end + 1 if text[end : end + 1] == "\n" else end


def with_marks(text: str, secret_keys: Iterable[str]) -> str:
    """The text with a comment for each key that is a secret, unless its name says so.

    The comment stays when the key is removed: the service may still run with the value.
    """
    known = masking.marked(text)
    lines = [masking.mark(key) for key in secret_keys if masking.needs_mark(key, known)]
    gap = "" if not lines or not text or text.endswith("\n") else "\n"
    return f"{text}{gap}" + "".join(f"{line}\n" for line in lines)


def edited(text: str, wanted: Mapping[str, str | None], secret_keys: Iterable[str] = ()) -> str:
    """The text with every wanted change made (None: remove the key), and marks of `secret_keys`.

    Raises HostRefusal when the service or a shell would read another result.
    """
    new = with_marks(text, secret_keys)
    for key, value in wanted.items():
        new = remove(new, key) if value is None else assign(new, key, value)
    _check_service(text, new, wanted)
    _check_shell(new, wanted)
    return new


def _check_service(old: str, new: str, wanted: Mapping[str, str | None]) -> None:
    before, after = read_systemd(old).values(), read_systemd(new).values()
    for key, value in wanted.items():
        if after.get(key) != value:
            raise HostRefusal(
                f"the service would read another value of {key}: an open quote or a comment?"
            )
    for key, value in before.items():
        if key not in wanted and after.get(key) != value:
            raise HostRefusal(f"{key} would change as well: an open quote or a comment?")


def _check_shell(new: str, wanted: Mapping[str, str | None]) -> None:
    shell = ShellReader(new).read()
    for key, value in wanted.items():
        if not shell.lost and shell.values().get(key) != value:
            lines = [line_of(new, item.start) for item in shell.assignments if item.key == key]
            where = f"line {lines[-1]}" if lines else "a line"
            raise HostRefusal(f"{where} of the file gives a shell another value of {key}")
