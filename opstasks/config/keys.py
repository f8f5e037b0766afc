"""job-runner's configuration on a host: four env files; a later file wins over an earlier one.

These types are the answer of `onhost/show.py`. They contain no secret values.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from msgspec import Meta

from opstasks.core.fields import Line, Moment, Small, Text
from opstasks.core.lines import lines_of

FILES = ("01_defaults.env", "02_secrets.env", "03_backend.env", "04_local.env")
SECRETS_FILE, LOCAL_FILE = FILES[1], FILES[3]
# The files that `manage` writes.
MANAGED_FILES = (FILES[0], FILES[2])
# Keys that job-runner's libraries read by themselves.
_LIBRARIES = re.compile(r"OTEL_[A-Z0-9_]+")
# These control the shell that sources the file, the dynamic loader or Python, not job-runner. The
# service gets them, although the unit sets others.
_OF_THE_SYSTEM = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|SHELLOPTS|IFS|ENV|UID|EUID|PPID|RANDOM|SECONDS|LINENO|OPTARG"
    r"|OPTIND|PWD|OLDPWD|TMOUT|PS[0-4]|PROMPT_COMMAND|BASH.*|LD_.*|PYTHON.*|FUNCNAME|GROUPS|_"
    r"|DIRSTACK|HISTCMD|EPOCH.*|SRANDOM|PIPESTATUS|LC_.*|LANG|GCONV_PATH|GLIBC_TUNABLES|LOCPATH"
)
_ASSIGNMENT = re.compile(r"#?\s*([A-Za-z_][A-Za-z0-9_]*)=")
# Permission bits in octal; empty for a file that could not be read.
Mode = Annotated[str, Meta(pattern="^([0-7]{4})?$")]


def is_of_the_system(name: str) -> bool:
    """Whether a variable controls the loader, the shell or Python, not job-runner."""
    return bool(_OF_THE_SYSTEM.fullmatch(name))


@dataclass(frozen=True)
class ConfigValue:
    """A value that can be shown; a secret only as its fingerprint ("" when it is empty)."""

    is_set: bool = False
    text: Text = ""
    fingerprint: Line | None = None

    def describe(self) -> str:
        """For people."""
        if not self.is_set:
            return "not set"
        if self.fingerprint is None:
            return self.text
        return f"secret, fingerprint {self.fingerprint}" if self.fingerprint else "secret, empty"


@dataclass(frozen=True)
class ConfigKey:
    """One key: the service's value at its next start, its file, and differences.

    `over` are the files whose values are overridden, `duplicate_in` those that set it more than
    once. `shell` compares it with its value in a shell. `running` is the value in the running
    service if that differs, else None.
    """

    name: Line
    value: ConfigValue
    source: Line = ""
    over: tuple[Line, ...] = ()
    duplicate_in: tuple[Line, ...] = ()
    secret: bool = False
    shell: Literal["same", "other", "unset", "unknown"] = "same"
    shell_text: Text = ""
    running: ConfigValue | None = None

    def note(self) -> str:
        """Unusual facts about the key, for people; may be empty."""
        notes = []
        if self.shell == "other":
            seen = "a different value" if self.secret else repr(self.shell_text)
            notes.append(f"a shell reads {seen}")
        elif self.shell == "unset":
            notes.append("a shell does not set it")
        elif self.shell == "unknown":
            notes.append("its value in a shell is unknown")
        if not self.value.is_set and self.source == "" and self.running is None:
            notes.append("only a shell sets it")
        if self.running is not None:
            notes.append(f"the service still runs with {self.running.describe()}")
        return "; ".join(notes)


@dataclass(frozen=True)
class EnvFile:
    """One file: `changed_at` is in seconds since the epoch; `error` says why it was not read.

    `sha256` is known only for the files that `manage` writes; `stamp` changes with each write.
    `problems` are line numbers, each with a problem that a reader found.
    """

    name: Line
    error: Line = ""
    sha256: Line = ""
    stamp: Line = ""
    changed_at: Moment = 0.0
    mode: Mode = ""
    problems: tuple[tuple[Small, Line], ...] = ()


@dataclass(frozen=True)
class CodeKeys:
    """The keys that job-runner's code reads; in `patterns`, a `*` is any part of a name."""

    required: tuple[Line, ...] = ()
    optional: tuple[Line, ...] = ()
    patterns: tuple[Line, ...] = ()

    def reads(self, key: str) -> bool:
        """Whether the code reads this key."""
        return (
            key in self.required
            or key in self.optional
            or bool(_LIBRARIES.fullmatch(key))
            or any(_fits(pattern, key) for pattern in self.patterns)
        )

    def nearest(self, key: str, others: Iterable[str] = ()) -> str:
        """A similar key that may have been meant, or empty."""
        names = sorted({*self.required, *self.optional, *others})
        return next(iter(difflib.get_close_matches(key, names, 1, 0.8)), "")


def _fits(pattern: str, key: str) -> bool:
    """Whether a key matches a pattern such as ``*_DATABASE_URL``."""
    parts = re.split(r"\*+", pattern)
    return re.fullmatch("[A-Z0-9_]+".join(map(re.escape, parts)), key) is not None


@dataclass(frozen=True)
class HostConfig:
    """A host's configuration; `seen_running`: the running service's values could be read.

    `marked` are the keys that were once typed as secrets.
    """

    keys: tuple[ConfigKey, ...] = ()
    files: Annotated[tuple[EnvFile, ...], Meta(min_length=len(FILES), max_length=len(FILES))] = ()
    code: CodeKeys | None = None
    seen_running: bool = False
    marked: tuple[Line, ...] = ()

    def get(self, name: str) -> ConfigKey | None:
        """A key by its name."""
        return next((key for key in self.keys if key.name == name), None)

    def only(self, names: Iterable[str], *, local: bool) -> HostConfig:
        """The configuration with the named keys (default: all), or those of the local file only."""
        wanted = set(names)
        kept = [key for key in self.keys if not wanted or key.name in wanted]
        return replace(self, keys=tuple(k for k in kept if not local or k.source == LOCAL_FILE))


def template_keys(text: str) -> list[str]:
    """The keys of one of our templates, including those after a comment sign."""
    matches = (_ASSIGNMENT.match(line) for line in lines_of(text))
    return list(dict.fromkeys(match[1] for match in matches if match))


def described_keys(described: Mapping[str, str]) -> set[str]:
    """Every key in some templates."""
    return {key for text in described.values() for key in template_keys(text)}


def secret_keys(described: Mapping[str, str]) -> list[str]:
    """The keys that a backend's templates declare to be secret."""
    return template_keys(described.get(SECRETS_FILE, ""))
