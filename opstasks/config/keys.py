"""job-runner's configuration on a host: four env files, the later one winning.

What the host's side does is in `remote_config.py`; here are the questions, and the answers as
values. A secret's value is in none of them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from opstasks.config.onhost.config import SECRET_NAME, SECRET_VALUE
from opstasks.core.command import Command, Secret
from opstasks.core.errors import OpsError, Refused
from opstasks.fleet import old_program as remote
from opstasks.fleet.inventory import HostSpec

FILES = ("01_defaults.env", "02_secrets.env", "03_backend.env", "04_local.env")
SECRETS_FILE, LOCAL_FILE = FILES[1], FILES[3]
# What job-runner's libraries read by themselves.
_LIBRARIES = re.compile(r"OTEL_[A-Z0-9_]+")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# These steer the shell that sources the file, the loader or Python itself, not job-runner.
_NOT_OURS = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|SHELLOPTS|IFS|ENV|UID|EUID|PPID|RANDOM|SECONDS|LINENO|OPTARG"
    r"|OPTIND|PWD|OLDPWD|TMOUT|PS[0-4]|PROMPT_COMMAND|BASH.*|LD_.*|PYTHON.*|FUNCNAME|GROUPS|_"
    r"|DIRSTACK|HISTCMD|EPOCH.*|SRANDOM|PIPESTATUS|LC_.*|LANG"
)
_ASSIGNMENT = re.compile(r"#?\s*([A-Za-z_][A-Za-z0-9_]*)=")
VALUE_LENGTH = 8192


@dataclass(frozen=True)
class Value:
    """A value as it may be shown: of a secret the fingerprint ("" for an empty one)."""

    is_set: bool = False
    text: str = ""
    fingerprint: str | None = None

    def describe(self) -> str:
        """For people."""
        if not self.is_set:
            return "not set"
        if self.fingerprint is None:
            return self.text
        return f"secret, fingerprint {self.fingerprint}" if self.fingerprint else "secret, empty"


@dataclass(frozen=True)
class Key:
    """One key: what the service gets at its next start, from which file, and who differs.

    `shell` is "same", "other", "unset" or "unknown": what sourcing makes of it. `running` is what
    the service runs with when that is something else, else None.
    """

    name: str
    value: Value
    source: str = ""
    over: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    secret: bool = False
    shell: str = "same"
    shell_text: str = ""
    running: Value | None = None

    def note(self) -> str:
        """What is odd about it, for people; empty for nothing."""
        notes = []
        if self.shell == "other":
            seen = "something else" if self.secret else repr(self.shell_text)
            notes.append(f"a shell reads {seen}")
        elif self.shell == "unset":
            notes.append("a shell does not set it")
        elif self.shell == "unknown":
            notes.append("what a shell reads cannot be told")
        if not self.value.is_set and self.source == "" and self.running is None:
            notes.append("only a shell sets it")
        if self.running is not None:
            notes.append(f"runs with: {self.running.describe()}")
        return "; ".join(notes)


@dataclass(frozen=True)
class EnvFile:
    """One file: `changed` in seconds since the epoch; `error` says why it was not read.

    `sha256` is known of those files only that `manage` writes; `stamp` changes with each write.
    """

    name: str
    error: str = ""
    sha256: str = ""
    stamp: str = ""
    changed: float = 0.0
    mode: str = ""
    problems: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class CodeKeys:
    """Which keys job-runner's code reads."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    def reads(self, key: str) -> bool:
        """Whether something would notice this key."""
        return (
            key in self.required
            or key in self.optional
            or bool(_LIBRARIES.fullmatch(key))
            or any(re.fullmatch(pattern, key) for pattern in self.patterns)
        )

    def nearest(self, key: str, others: Iterable[str] = ()) -> str:
        """A key that may have been meant; empty for none."""
        names = sorted({*self.required, *self.optional, *others})
        return next(iter(difflib.get_close_matches(key, names, 1, 0.8)), "")


@dataclass(frozen=True)
class Config:
    """A host's configuration; `seen_running` says whether the service's own could be read."""

    keys: tuple[Key, ...] = ()
    files: tuple[EnvFile, ...] = ()
    code: CodeKeys | None = None
    seen_running: bool = False

    def get(self, name: str) -> Key | None:
        """A key by its name."""
        return next((key for key in self.keys if key.name == name), None)

    def only(self, names: Iterable[str], *, local: bool) -> Config:
        """The same with some of the keys: those named (all without), those of the local file."""
        wanted = set(names)
        kept = [key for key in self.keys if not wanted or key.name in wanted]
        return replace(self, keys=tuple(k for k in kept if not local or k.source == LOCAL_FILE))

    def value(self, name: str) -> str:
        """The value of a key that is no secret, as the service gets it; empty without."""
        key = self.get(name)
        return key.value.text if key else ""


# -- asking ------------------------------------------------------------------------------------


def show_command(
    spec: HostSpec, secrets: Iterable[str] = (), watched: Iterable[str] = (), *, code: bool = False
) -> Command:
    """Read the files; parse with `parse`. `watched` are keys to look for in the running service."""
    return _call(
        {
            **_places(spec),
            "do": "show",
            "secret_keys": sorted(secrets),
            "watched": sorted(watched),
            "unit": spec.unit,
            "with_code": code,
        }
    )


def change_command(
    spec: HostSpec, wanted: Mapping[str, str | None], stamp: str, *, dry: bool
) -> Command:
    """Set keys (None: take away) in the local file, if it still is what `stamp` says.

    A value may be a secret: it travels on standard input and is never shown.
    """
    request = {
        **_places(spec),
        "do": "change",
        "wanted": dict(wanted),
        "stamp": stamp,
        "dry": dry,
        "lib": spec.lib_dir,
    }
    command = _call(request)
    assert isinstance(command.stdin, str)
    return replace(command, stdin=Secret(command.stdin), mutates=not dry)


def values_command(spec: HostSpec, keys: Iterable[str]) -> Command:
    """Read some keys, secrets included; parse with `parse_values`, and never show them."""
    return _call({**_places(spec), "do": "values", "keys": sorted(keys)})


def parse_values(host: str, text: str) -> dict[str, Secret]:
    """What `values_command` printed, keys that are not set left out."""
    found = answer(host, text)["values"]
    return {key: Secret(value) for key, value in found.items() if value is not None}


def _places(spec: HostSpec) -> dict[str, Any]:
    files = [f"{spec.config_dir}/{name}" for name in FILES]
    return {
        "files": files,
        "ours": [files[0], files[2]],
        "secret_file": files[1],
        "code": spec.code_dir,
    }


def _call(request: Mapping[str, Any]) -> Command:
    return remote.call("opstasks.config.onhost.config", request)


# -- understanding -----------------------------------------------------------------------------


def parse(host: str, text: str) -> Config:
    """What `show_command` printed; raises OpsError for an answer that is none."""
    found = answer(host, text)
    problems: dict[int, list[tuple[int, str]]] = {}
    for number, line, words in found["problems"]:
        problems.setdefault(number, []).append((line, words))
    files = tuple(
        EnvFile(
            name=PurePosixPath(item["path"]).name,
            error=item["error"],
            sha256=item.get("sha256", ""),
            stamp=item.get("stamp", ""),
            changed=item.get("changed", 0.0),
            mode=item.get("mode", ""),
            problems=tuple(problems.get(number, ())),
        )
        for number, item in enumerate(found["files"])
    )
    code = CodeKeys(**{k: tuple(v) for k, v in found["code"].items()}) if found["code"] else None
    return Config(tuple(map(_key, found["keys"])), files, code, found["running"])


def answer(host: str, text: str) -> dict[str, Any]:
    """The host's JSON answer; raises Refused with the reason it gives."""
    try:
        found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise OpsError("the host's answer makes no sense", host=host) from None
    if found.get("error"):
        raise Refused(f"{found['error']}; nothing was changed", host=host)
    return found


def _key(fact: Mapping[str, Any]) -> Key:
    names = [FILES[number] for number in fact["setters"]]
    running = fact.get("running") == "other"
    return Key(
        name=fact["key"],
        value=_value(fact["service"]),
        source=names[-1] if names else "",
        over=tuple(names[:-1]),
        twice=tuple(FILES[number] for number in fact["twice"]),
        secret=fact["secret"],
        shell=fact["shell"] if names or fact["shell"] != "unset" else "same",
        shell_text=fact.get("shell_value") or "",
        running=_value(fact["running_value"]) if running else None,
    )


def _value(fact: Mapping[str, Any]) -> Value:
    return Value(fact["set"], fact.get("value", ""), fact.get("fingerprint"))


# -- checking what was typed -------------------------------------------------------------------


def valid_key(text: str) -> str:
    """A key that may be set; raises Refused for anything else."""
    if not _KEY.fullmatch(text) or text.endswith("\n"):
        raise Refused(
            f"{text[:60]!r} cannot be a key",
            hint="a key is letters, digits and underscores, and does not begin with a digit",
        )
    if _NOT_OURS.fullmatch(text):
        raise Refused(
            f"{text} steers the shell or Python itself, not job-runner",
            hint="what the unit runs with belongs into backends/, see `manage`",
        )
    return text


def valid_value(key: str, value: str) -> str:
    """A value that both readers can hold; raises Refused (without showing it)."""
    if len(value) > VALUE_LENGTH:
        raise Refused(f"the value of {key} is longer than {VALUE_LENGTH} characters")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused(f"the value of {key} is no text") from None
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in value):
        raise Refused(f"the value of {key} holds a line end or another control character")
    return value


def is_secret(key: str, value: str, secrets: Iterable[str]) -> bool:
    """Whether a key or its value must not be seen."""
    named = key in set(secrets) or SECRET_NAME.search(key)
    return bool(named or SECRET_VALUE.search(value))


def template_keys(text: str) -> list[str]:
    """The keys of one of our templates, those with a comment sign before them included."""
    matches = (_ASSIGNMENT.match(line) for line in text.splitlines())
    return list(dict.fromkeys(match[1] for match in matches if match))
