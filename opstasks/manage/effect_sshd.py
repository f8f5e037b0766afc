"""Compare sshd's settings in effect with the described ones: pure.

The described files say what must be in effect. Settings that they do not contain must have the
values below, sshd's own defaults, because others allow logins that are not described, or run other
programs in each login.
"""

from __future__ import annotations

from collections.abc import Iterator

from opstasks.core.hints import one_word
from opstasks.manage.effect_facts import SshdEffect, SshdLine
from opstasks.manage.model import Description
from opstasks.manage.onhost.effect_sshd import directive

FOLDER = "/etc/ssh/"
CONFIG = "/etc/ssh/sshd_config"
SAFE = {
    "authorizedkeyscommand": "none",
    "authorizedprincipalscommand": "none",
    "authorizedprincipalsfile": "none",
    "authorizedkeysfile": ".ssh/authorized_keys",
    "authenticationmethods": "any",
    "chrootdirectory": "none",
    "forcecommand": "none",
    "gssapiauthentication": "no",
    "hostbasedauthentication": "no",
    "ignorerhosts": "yes",
    "kbdinteractiveauthentication": "no",
    "kerberosauthentication": "no",
    "passwordauthentication": "no",
    "permitemptypasswords": "no",
    "permitrootlogin": "no",
    "pamservicename": "sshd",
    "permituserenvironment": "no",
    "securitykeyprovider": "internal",
    # `sshd -T` prints it only if something sets it.
    "setenv": "none",
    "strictmodes": "yes",
    "subsystem": "sftp /usr/lib/openssh/sftp-server",
    "trustedusercakeys": "none",
    # Not sshd's default: Debian sets it. Without it, PAM's rules for accounts do not count.
    "usepam": "yes",
}
# Words with the same meaning.
_SAME = {
    "without-password": "prohibit-password",
    "sftp internal-sftp": "sftp /usr/lib/openssh/sftp-server",
}
SshdProblem = tuple[str, str, str, str, str]


def files(wanted: Description) -> tuple[str, ...]:
    """The described files of sshd's configuration."""
    return tuple(file.path for file in wanted.files if file.path.startswith(FOLDER))


def described(wanted: Description) -> dict[str, str]:
    """The value that each setting must have; empty without a described file.

    Settings for single accounts (after Match in a described file) are not compared.
    """
    return {**SAFE, **_written(wanted)} if files(wanted) else {}


def _written(wanted: Description) -> dict[str, str]:
    """The settings of the described files, before the first Match."""
    found: dict[str, str] = {}
    for path in files(wanted):
        for key, value in map(directive, wanted.contents[path].split("\n")):
            if key == "match":
                break
            if key:
                found.setdefault(key, value)
    return found


def problems(facts: SshdEffect, wanted: Description) -> Iterator[SshdProblem]:
    """What differs: thing, now, wanted, hint, and the file that decides ("" if unknown)."""
    ours, need = set(files(wanted)), described(wanted)
    # sshd's own words for the described values: 300 for 5m, a list of ciphers for +name.
    need |= {key: facts.described[key] for key in _written(wanted) if key in facts.described}
    if facts.problem:
        yield "sshd", facts.problem, "a correct configuration", "sshd -t shows the line", ""
    for path in facts.unread:
        text, hint = f"{path} cannot be read", f"look at {one_word(path)}"
        yield "sshd", text, "a file of root's, up to 1 MiB", hint, ""
    for key, want in need.items():
        now = facts.values.get(key)
        # An sshd without a feature does not print its settings.
        if now is not None and not _is_same(now, want):
            yield (f"sshd {key}", now, want, *_origin(key, facts, ours))
    yield from _matches(facts, need, ours)
    if facts.options:
        yield (
            "sshd",
            f"options {facts.options}",
            "none",
            "correct SSHD_OPTS in /etc/default/ssh",
            "",
        )


def _matches(facts: SshdEffect, need: dict[str, str], ours: set[str]) -> Iterator[SshdProblem]:
    """Lines for some logins only, and their effect on accounts."""
    told = set[str]()
    for line in facts.lines:
        want = need.get(line.key, line.value)
        if line.match and line.path not in ours and not _is_same(line.value, want):
            told.add(line.key)
            now = f"{line.value} for Match {line.match}"
            yield f"sshd {line.key}", now, want, f"remove {line.place}", line.path
    if any(line.match and line.path in ours for line in facts.lines):
        return
    for name, values in facts.accounts.items():
        for key, now in values.items():
            want = need.get(key, now)
            if key not in told and not _is_same(now, want) and facts.values.get(key) != now:
                hint = f"sshd -T -C user={name}, and the Match blocks in /etc/ssh/sshd_config*"
                yield f"sshd {key} for {name}", now, want, hint, ""


def _origin(key: str, facts: SshdEffect, ours: set[str]) -> tuple[str, str]:
    """What to do, and the file with the line that decides: the first one outside a Match."""
    lines = [line for line in facts.lines if line.key == key and not line.match]
    if not lines:
        return f"sshd's default: set it in {CONFIG}", ""
    first: SshdLine = lines[0]
    hint = (
        "reload ssh"
        if first.path in ours
        else f"remove {one_word(first.place)}: {one_word(key)} {one_word(first.value)}"
    )
    return hint, first.path


def _is_same(now: str, want: str) -> bool:
    return _plain(now) == _plain(want)


def _plain(value: str) -> str:
    text = " ".join(value.lower().split())
    return _SAME.get(text, text)
