"""Compare sudo's rules in effect with the described ones: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from opstasks.manage.effect_facts import SudoEffect, SudoLine
from opstasks.manage.model import Description
from opstasks.manage.onhost.effect_root import SAFE_FOLDERS

FOLDER = "/etc/sudoers"
CONFIG = "/etc/sudo.conf"
# The rules of Debian's and Ubuntu's own file.
_USUAL = re.compile(
    r"root ALL = \(ALL : ALL\) ALL|%sudo ALL = \(ALL : ALL\) ALL|%admin ALL = \(ALL( : ALL)?\) ALL"
    r"|Defaults (env_reset|mail_badpass|use_pty|!fqdn|requiretty)"
)
_PATH = "Defaults secure_path="
SudoProblem = tuple[str, str, str, str]


def described(wanted: Description) -> dict[str, str]:
    """The described files of sudo's rules: content by path."""
    return {path: text for path, text in wanted.contents.items() if path.startswith(FOLDER)}


def problems(facts: SudoEffect, wanted: Description) -> Iterator[SudoProblem]:
    """Rules that are not described: thing, now, hint, and the file if it is known."""
    if facts.problem:
        now = f"cannot read its rules: {facts.problem}"
        hint = (
            "visudo -c; cvtsudoers /etc/sudoers (a part of sudo 1.8.23 and newer, not of sudo-rs)"
        )
        yield "sudo", now, hint, CONFIG
        return
    known = set(wanted.options.known_accounts)
    for rule in facts.rules:
        if not _is_usual(rule) and not (users(rule) and users(rule) <= known):
            yield (f"sudo for {_shown_users(rule)}", rule, *_origin(rule, facts.lines))
    for text in facts.plugins:
        yield "sudo", text, "what comes from there is not checked: remove the line", CONFIG


def _is_usual(rule: str) -> bool:
    if rule.startswith(_PATH):
        folders = rule.removeprefix(_PATH).strip('"').replace("\\:", ":").split(":")
        return set(folders) <= SAFE_FOLDERS
    return bool(_USUAL.fullmatch(rule))


def users(rule: str) -> set[str]:
    """The accounts and groups of a rule; none for defaults of everyone."""
    if rule.startswith("Defaults"):
        scope = rule.partition(" ")[0]
        return set(scope[9:].split(",")) if scope[8:9] == ":" else set()
    names = rule.partition(" = ")[0].rpartition(" ")[0]
    return {name.strip() for name in names.split(",") if name.strip()}


def _shown_users(rule: str) -> str:
    return ", ".join(sorted(users(rule))[:5]) or "everyone"


def _origin(rule: str, lines: tuple[SudoLine, ...]) -> tuple[str, str]:
    """What to do about a rule, and the file that it probably comes from; "" if no line is found.

    The line is one with the same text, else one that names the same accounts.
    """
    plain = _squeezed(rule)
    for line in lines:
        if _squeezed(line.text) == plain:
            return f"remove {line.path}:{line.line}", line.path
    # cvtsudoers writes rules in its own form, with aliases replaced.
    is_default = rule.startswith("Defaults")
    for line in lines:
        named = set(re.split(r"[\s,=]+", line.text))
        same_kind = line.text.startswith("Defaults") == is_default
        if same_kind and users(rule) and users(rule) <= named:
            return f"remove {line.path}:{line.line}", line.path
    places = sorted({line.path for line in lines if line.path != FOLDER}) or [FOLDER]
    return f"look into {', '.join(places[:5])}", ""


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)
