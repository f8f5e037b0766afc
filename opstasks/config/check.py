"""`config.check`: what is wrong with a host's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opstasks.config.inspect import SHOW, checked, show_request
from opstasks.config.keys import (
    LOCAL_FILE,
    MANAGED_FILES,
    SECRETS_FILE,
    ConfigKey,
    EnvFile,
    HostConfig,
    described_keys,
    is_of_the_system,
    secret_keys,
)
from opstasks.config.onhost.systemd_reader import read_systemd
from opstasks.config.templates import templates
from opstasks.core.formats import second_text
from opstasks.fleet.host import Host, check
from opstasks.manage.facts import sha256
from opstasks.primitives import systemd


@dataclass(frozen=True)
class ConfigFinding:
    """One thing that `config.check` found; `is_problem` when it should be fixed."""

    what: str
    file: str
    key: str
    text: str
    is_problem: bool = True


def find_problems(host: Host) -> tuple[ConfigFinding, ...]:
    """All findings about a host's configuration, problems first."""
    show = systemd.show(host.spec.unit)
    results = host.service.gather(
        {"config": SHOW.command(show_request(host.spec, code=True)), "unit": show}
    )
    found = checked(host, SHOW.decode(results["config"], host.name))
    unit = systemd.parse_show(host.spec.unit, check(results["unit"], show, host.name).text)
    findings = findings_of(found, templates(host.spec), unit)
    return tuple(sorted(findings, key=lambda item: not item.is_problem))


def findings_of(
    found: HostConfig, wanted: Mapping[str, str], unit: systemd.UnitState
) -> list[ConfigFinding]:
    """Check a configuration; `wanted` are the files as backends/ describes them."""
    findings = [*_of_files(found), *_drift(found, wanted), *_of_readers(found)]
    for key in found.keys:
        findings += _of_key(key, found, wanted)
    findings += _missing(found, wanted)
    findings += _not_restarted(found, unit)
    return findings


def _of_files(found: HostConfig) -> list[ConfigFinding]:
    findings = []
    for item in found.files:
        if item.error:
            text = f"cannot be read: {item.error}; the service does not start without it"
            findings.append(ConfigFinding("file", item.name, "", text))
        elif item.name == SECRETS_FILE and int(item.mode or "0", 8) & 0o077:
            text = f"others may read it (mode {item.mode}): chmod 600"
            findings.append(ConfigFinding("file", item.name, "", text))
    return findings


def _drift(found: HostConfig, wanted: Mapping[str, str]) -> list[ConfigFinding]:
    """Differences between a file that `manage` writes and its description: by key, or overall."""
    findings = []
    for item in found.files:
        if item.name not in MANAGED_FILES or item.error or item.name not in wanted:
            continue
        if item.sha256 != sha256(wanted[item.name]):
            words = ", ".join(_differences(item, found, wanted[item.name]))
            text = f"{words or 'differs in its text'}: run `manage --diff`"
            findings.append(ConfigFinding("drift", item.name, "", text))
    return findings


def _differences(item: EnvFile, found: HostConfig, wanted: str) -> list[str]:
    described = read_systemd(wanted).values()
    have = {key.name for key in found.keys if item.name in (key.source, *key.over)}
    other = [
        key.name
        for key in found.keys
        if key.source == item.name
        and key.name in described
        and not key.secret
        and key.value.text != described[key.name]
    ]
    return [
        *(f"lacks {key}" for key in described if key not in have),
        *(f"has an additional {key}" for key in sorted(have - set(described))),
        *(f"has another {name}" for name in other),
    ]


def _of_readers(found: HostConfig) -> list[ConfigFinding]:
    return [
        ConfigFinding("readers", item.name, "", f"line {line}: {words}")
        for item in found.files
        for line, words in item.problems
    ]


def _of_key(key: ConfigKey, found: HostConfig, wanted: Mapping[str, str]) -> list[ConfigFinding]:
    findings = []
    if key.shell != "same":
        text = key.note() or "the service and a shell read it differently"
        findings.append(ConfigFinding("readers", key.source, key.name, text))
    if key.source and is_of_the_system(key.name) and key.name not in described_keys(wanted):
        findings.append(ConfigFinding("system", key.source, key.name, _system_text(key)))
    elif key.source and not is_known(key.name, found, wanted):
        text = "nothing reads it" + suggestion(key.name, found, wanted)
        findings.append(ConfigFinding("unknown", key.source, key.name, text))
    for name in key.duplicate_in:
        text = "duplicate key: the last one counts"
        findings.append(ConfigFinding("duplicate", name, key.name, text, False))
    if key.source == LOCAL_FILE:
        over = f" over {', '.join(key.over)}" if key.over else ""
        text = f"overridden here{over}: {key.value.describe()}"
        findings.append(ConfigFinding("local", LOCAL_FILE, key.name, text, False))
    return findings


def _system_text(key: ConfigKey) -> str:
    """What a variable does that is not job-runner's, and how to remove it."""
    text = "controls the loader, the shell or Python, not job-runner"
    if key.source == LOCAL_FILE:
        return f"{text}: run `config.unset {key.name}`"
    how = "run `manage --diff`" if key.source in MANAGED_FILES else "remove it in `shell`"
    return f"{text}: {how}"


def is_known(key: str, found: HostConfig, wanted: Mapping[str, str]) -> bool:
    """Whether job-runner's code reads a key, or a template has it; True if there is no code."""
    if found.code is None or not (found.code.required or found.code.optional):
        return True
    return found.code.reads(key) or key in described_keys(wanted)


def suggestion(key: str, found: HostConfig, wanted: Mapping[str, str]) -> str:
    """A question with the most similar known key; empty if there is none."""
    near = found.code.nearest(key, described_keys(wanted)) if found.code else ""
    return f"; did you mean {near}?" if near else ""


def _missing(found: HostConfig, wanted: Mapping[str, str]) -> list[ConfigFinding]:
    have = {key.name for key in found.keys if key.value.is_set}
    required = found.code.required if found.code else ()
    findings = [
        ConfigFinding("missing", "", key, "the code needs it and nothing sets it")
        for key in required
        if key not in have
    ]
    empty = [key for key in secret_keys(wanted) if key not in have]
    if empty:
        text = f"not filled in: {', '.join(empty)}"
        findings.append(ConfigFinding("secrets", SECRETS_FILE, "", text, False))
    return findings


def _not_restarted(found: HostConfig, unit: systemd.UnitState) -> list[ConfigFinding]:
    """Changes that the running service has not read, from its environment or else from times."""
    findings = [
        ConfigFinding(
            "restart",
            key.source,
            key.name,
            f"the service runs with {key.running.describe()},"
            f" the files say {key.value.describe()}: restart it",
        )
        for key in found.keys
        if key.running is not None
    ]
    if findings or unit.since is None or not unit.is_serving:
        return findings
    since_at = unit.since.timestamp()
    return [_newer(item, found) for item in found.files if item.changed_at > since_at + 1]


def _newer(item: EnvFile, found: HostConfig) -> ConfigFinding:
    """A file that changed after the service started."""
    text = f"changed at {second_text(item.changed_at)}, after the service started"
    text += ", but no value that it reads differs" if found.seen_running else ": restart it"
    return ConfigFinding("restart", item.name, "", text, not found.seen_running)
