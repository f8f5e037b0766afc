"""Runs on the host as root: sudo's rules in effect beyond the described ones; changes nothing.

sudo's own cvtsudoers writes all rules, of all files and for all accounts, in one form, with aliases
replaced. The described rules are written in the same form, so that lines can be compared. One
process does for all accounts what ``sudo -l -U NAME`` does for one.
"""

import re
from collections.abc import Callable
from typing import Any

from opstasks.onhost.commands import attempt, said
from opstasks.onhost.plain_text import names_in, text_for_root

Facts = dict[str, Any]
TIMEOUT_S = 20.0
CONFIG = "/etc/sudoers"
SETTINGS = "/etc/sudo.conf"
SOURCES = "/etc/nsswitch.conf"
# With its own configuration file, cvtsudoers could leave rules out.
CONVERT = ("cvtsudoers", "-c", "/dev/null", "-e", "-f", "sudoers")
MOST_FILES = 200
MOST_RULES = 200
LENGTH = 1000
_INCLUDE = re.compile(r"\s*[@#]include(dir)?\s+(.+)")
# Lines of sudo.conf that make sudo load or run something, and those that are sudo's own defaults.
_REPLACES = re.compile(r"(plugin|path)\s", re.IGNORECASE)
_USUAL = re.compile(
    r"(?i:plugin) sudoers_(policy|io|audit) sudoers\.so"
    r"|(?i:path) devsearch /dev(/[a-z]+)?(:/dev(/[a-z]+)?)*"
    r"|(?i:path) plugin_dir /usr/(libexec|lib)/sudo/?"
    r"|(?i:path) (noexec|intercept) /usr/(libexec|lib)/sudo/sudo_(noexec|intercept)\.so"
    r"|(?i:path) sesh /usr/(libexec|lib)/sudo/sesh"
)
_JOINED = re.compile(r"\\\n\s*")


def rules(described: str, files: list[str]) -> Facts:
    """Rules and defaults that the described text does not have, and where they may come from.

    `files` are the described files: their lines are not returned.
    """
    now = attempt(*CONVERT, CONFIG, timeout_s=TIMEOUT_S)
    ours = attempt(*CONVERT, "-", timeout_s=TIMEOUT_S, input=described)
    known = set(lines_of(ours.stdout))
    found = [line for line in lines_of(now.stdout) if line not in known]
    foreign = [path for path in files_of(CONFIG) if path not in files]
    return {
        "rules": [line[:LENGTH] for line in found[:MOST_RULES]],
        "lines": [entry for path in foreign for entry in numbered(path)][:MOST_RULES],
        "plugins": [*told(SETTINGS, plugins), *told(SOURCES, sources)],
        "problem": (said(now) or ["no answer"])[-1][:500] if now.returncode else "",
    }


def lines_of(text: str) -> list[str]:
    """The lines of cvtsudoers, without duplicates; continued lines are joined."""
    lines = [" ".join(line.split()) for line in _JOINED.sub(" ", text).split("\n")]
    return list(dict.fromkeys(line for line in lines if line))


def files_of(path: str) -> list[str]:
    """The files of sudo's configuration, in the order in which sudo reads them."""
    found: list[str] = []
    waiting = [path]
    while waiting and len(found) < MOST_FILES:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting = [*included(text_for_root(name)[0]), *waiting]
    return found


def included(text: str) -> list[str]:
    """The files that a text includes; sudo skips names with a dot or a final ~ in a folder."""
    found: list[str] = []
    for match in filter(None, map(_INCLUDE.fullmatch, text.split("\n"))):
        place = match[2].strip().strip('"')
        place = place if place.startswith("/") else f"/etc/{place}"
        if match[1]:
            names = [name for name in names_in(place) if "." not in name and name[-1:] != "~"]
            found += [f"{place.rstrip('/')}/{name}" for name in names]
        else:
            found.append(place)
    return found


def numbered(path: str) -> list[Facts]:
    """The lines of a file that have content; continued lines are joined, with the first number."""
    found: list[Facts] = []
    start, held = 0, ""
    for number, line in enumerate(text_for_root(path)[0].split("\n"), 1):
        start = start or number
        held += line.rstrip("\\") if line.endswith("\\") else line
        if line.endswith("\\"):
            continue
        text = " ".join(held.split())
        if text and not re.match(r"#(?!\d)|@include", text):
            found.append({"path": path, "line": start, "text": text[:LENGTH]})
        start, held = 0, ""
    return found


def told(path: str, foreign: Callable[[str], list[str]]) -> list[str]:
    """The foreign lines of a file, as text for people."""
    text, is_whole = text_for_root(path)
    lines = [line[:200] for line in foreign(text)[:20]]
    return [f"{path}: {line}" for line in (lines if is_whole else [*lines, "cannot be read"])]


def plugins(text: str) -> list[str]:
    """Lines of sudo.conf that replace sudo's own rules or programs; sudo ignores their case."""
    found = [line for line in settings_of(text) if _REPLACES.match(line)]
    return [line for line in found if not _USUAL.fullmatch(line)]


def sources(text: str) -> list[str]:
    """Sources of sudo's rules other than its files; sudo ignores the case of the names."""
    named = [line for line in settings_of(text) if line.lower().startswith("sudoers:")]
    return [line for line in named if line[8:].lower().split() != ["files"]]


def settings_of(text: str) -> list[str]:
    """The lines of a configuration file as sudo reads them: joined, and without comments.

    A line with a comment is not continued, and neither is one that ends with two backslashes.
    """
    found: list[str] = []
    pieces: list[str] = []
    for line in [*text.split("\n"), ""]:
        plain = line.rstrip("\r")
        goes_on = plain.endswith("\\") and not plain.endswith("\\\\") and "#" not in plain
        pieces.append(plain[:-1].lstrip() if goes_on else plain.partition("#")[0].lstrip())
        if not goes_on:
            found.append(" ".join("".join(pieces).split()))
            pieces = []
    return [line for line in found if line]
