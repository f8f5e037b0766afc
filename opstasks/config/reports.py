"""Configuration as `--json` shows it (docs/json.md): what is unknown or absent is None."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opstasks.config.act import ConfigResult
from opstasks.config.check import ConfigFinding
from opstasks.config.keys import ConfigKey, ConfigValue, EnvFile, HostConfig
from opstasks.config.plan import ConfigStep


@dataclass(frozen=True)
class ValueReport:
    """A value; of a secret only the fingerprint ("" for an empty one)."""

    is_set: bool
    text: str | None
    fingerprint: str | None


@dataclass(frozen=True)
class KeyReport:
    """One key: the service's value at its next start, and the file that sets it.

    `over` are files whose values are overridden, `duplicate_in` those that set it more than once.
    `shell` compares it with its value in a shell (`same`, `other`, `unset`, `unknown`). `running`
    is the value in the running service if that differs.
    """

    name: str
    value: ValueReport
    source: str | None
    over: tuple[str, ...]
    duplicate_in: tuple[str, ...]
    is_secret: bool
    shell: str
    shell_text: str | None
    running: ValueReport | None


@dataclass(frozen=True)
class LineReport:
    """A problem in a line of a file; the first line is 1."""

    line: int
    text: str


@dataclass(frozen=True)
class FileReport:
    """One env file; `mode` in octal, `error` says why it could not be read."""

    name: str
    error: str | None
    changed_at: float
    mode: str | None
    problems: tuple[LineReport, ...]


@dataclass(frozen=True)
class ConfigReport:
    """A host's configuration; `seen_running`: the running service's values could be read."""

    keys: tuple[KeyReport, ...]
    files: tuple[FileReport, ...]
    seen_running: bool


@dataclass(frozen=True)
class ConfigFindingReport:
    """One finding of `config.check`."""

    what: str
    file: str | None
    key: str | None
    text: str
    is_problem: bool


@dataclass(frozen=True)
class ConfigStepReport:
    """The change of one key; `after` is the value that was read after the change.

    `wanted` is None if the override is removed: `falls_back_to` is the file whose value applies
    again.
    """

    key: str
    source: str | None
    now: ValueReport
    wanted: ValueReport | None
    falls_back_to: str | None
    after: ValueReport | None


@dataclass(frozen=True)
class ConfigChangeReport:
    """The plan of a change, or (`changed`) its result."""

    changed: bool
    steps: tuple[ConfigStepReport, ...]
    needs_restart: bool | None
    notes: tuple[str, ...]


def configuration(found: HostConfig) -> ConfigReport:
    """The value of `config.show`."""
    keys, files = tuple(map(_key, found.keys)), tuple(map(_file, found.files))
    return ConfigReport(keys, files, found.seen_running)


def findings(found: Iterable[ConfigFinding]) -> tuple[ConfigFindingReport, ...]:
    """The value of `config.check`."""
    return tuple(
        ConfigFindingReport(f.what, f.file or None, f.key or None, f.text, f.is_problem)
        for f in found
    )


def change(result: ConfigResult) -> ConfigChangeReport:
    """The value of `config.set` and `config.unset`."""
    steps = tuple(map(_step, result.steps))
    return ConfigChangeReport(result.changed, steps, result.needs_restart, result.notes)


def _value(value: ConfigValue) -> ValueReport:
    is_shown = value.is_set and value.fingerprint is None
    return ValueReport(value.is_set, value.text if is_shown else None, value.fingerprint)


def _optional(value: ConfigValue | None) -> ValueReport | None:
    return None if value is None else _value(value)


def _key(key: ConfigKey) -> KeyReport:
    return KeyReport(
        name=key.name,
        value=_value(key.value),
        source=key.source or None,
        over=key.over,
        duplicate_in=key.duplicate_in,
        is_secret=key.secret,
        shell=key.shell,
        shell_text=key.shell_text if key.shell == "other" and not key.secret else None,
        running=_optional(key.running),
    )


def _file(file: EnvFile) -> FileReport:
    problems = tuple(LineReport(line, text) for line, text in file.problems)
    return FileReport(file.name, file.error or None, file.changed_at, file.mode or None, problems)


def _step(step: ConfigStep) -> ConfigStepReport:
    return ConfigStepReport(
        key=step.key,
        source=step.source or None,
        now=_value(step.now),
        wanted=_optional(step.wanted),
        falls_back_to=step.falls_back_to or None,
        after=_optional(step.after),
    )
