"""Configuring job-runner (playbook: "Configuring the job-runner"): look, check, change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from opstasks.config import keys as config
from opstasks.config.keys import FILES, LOCAL_FILE, SECRETS_FILE, Config, Key, Value
from opstasks.config.onhost.envfile import systemd as read_systemd
from opstasks.core.errors import Refused, VerifyFailed
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.manage.describe import describe
from opstasks.manage.facts import sha256
from opstasks.primitives import systemd

_OURS = (FILES[0], FILES[2])  # what `manage` writes


@dataclass(frozen=True)
class Finding:
    """One thing that `config.check` found; `is_problem` when it wants something done."""

    what: str
    file: str
    key: str
    text: str
    is_problem: bool = True


@dataclass(frozen=True)
class Step:
    """What a change does to one key: for people, a secret as its fingerprint."""

    key: str
    now: str
    wanted: str
    source: str = ""


@dataclass(frozen=True)
class Plan:
    """What a change does to one host; `stamp` says which local file it was made from."""

    steps: tuple[Step, ...] = ()
    stamp: str = ""
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.steps)


@dataclass(frozen=True)
class Outcome:
    """How a change came out."""

    changed: bool
    keys: tuple[str, ...] = ()
    needs_restart: bool = False


# -- looking -----------------------------------------------------------------------------------


def templates(spec: HostSpec) -> dict[str, str]:
    """The env files as backends/ describes them, by name; empty without a backend."""
    if not spec.backend:
        return {}
    contents = describe(spec).contents
    found = {name: contents.get(f"{spec.config_dir}/{name}") for name in FILES}
    return {name: text for name, text in found.items() if text is not None}


def read(host: Host, *, code: bool = False) -> Config:
    """A host's configuration, in one round trip; raises Refused for a host without any."""
    wanted = templates(host.spec)
    watched = [key for text in wanted.values() for key in config.template_keys(text)]
    text = host.service.output(config.show_command(host.spec, _secrets(wanted), watched, code=code))
    found = config.parse(host.name, text)
    if all(item.error for item in found.files):
        raise _not_managed(host)
    return found


def _not_managed(host: Host) -> Refused:
    return Refused(
        f"there is no configuration in {host.spec.config_dir}",
        host=host.name,
        hint=f"inv -H {host.name} manage",
    )


# -- checking ----------------------------------------------------------------------------------


def check(host: Host) -> tuple[Finding, ...]:
    """Everything about a host's configuration that a person should know, problems first."""
    found = read(host, code=True)
    unit = systemd.parse_show(host.spec.unit, host.service.output(systemd.show(host.spec.unit)))
    findings = judge(found, templates(host.spec), unit)
    return tuple(sorted(findings, key=lambda item: not item.is_problem))


def judge(found: Config, wanted: Mapping[str, str], unit: systemd.UnitState) -> list[Finding]:
    """From what was read to findings; `wanted` are the files as backends/ describes them."""
    findings = [*_of_files(found), *_drift(found, wanted), *_of_readers(found)]
    for key in found.keys:
        findings += _of_key(key, found, wanted)
    findings += _missing(found, wanted)
    findings += _running(found, unit)
    return findings


def _of_files(found: Config) -> list[Finding]:
    findings = []
    for item in found.files:
        if item.error:
            text = f"cannot be read: {item.error}; the service does not start without it"
            findings.append(Finding("file", item.name, "", text))
        elif item.name == SECRETS_FILE and int(item.mode, 8) & 0o077:
            text = f"others may read it (mode {item.mode}): chmod 600"
            findings.append(Finding("file", item.name, "", text))
    return findings


def _drift(found: Config, wanted: Mapping[str, str]) -> list[Finding]:
    """Where a file that `manage` writes is not as described: by key, or else as a whole."""
    findings = []
    for item in found.files:
        if item.name not in _OURS or item.error or item.name not in wanted:
            continue
        if item.sha256 == sha256(wanted[item.name]):
            continue
        described = read_systemd(wanted[item.name]).values()
        have = {key.name for key in found.keys if item.name in (key.source, *key.over)}
        add = [f"lacks {key}" for key in described if key not in have]
        extra = [f"has {key} besides" for key in sorted(have - set(described))]
        other = [
            f"has another {key.name}"
            for key in found.keys
            if key.source == item.name
            and key.name in described
            and not key.secret
            and key.value.text != described[key.name]
        ]
        words = ", ".join([*add, *extra, *other]) or "differs in its text"
        findings.append(Finding("drift", item.name, "", f"{words}: run `manage --diff`"))
    return findings


def _of_readers(found: Config) -> list[Finding]:
    return [
        Finding("readers", item.name, "", f"line {line}: {words}")
        for item in found.files
        for line, words in item.problems
    ]


def _of_key(key: Key, found: Config, wanted: Mapping[str, str]) -> list[Finding]:
    findings = []
    if key.shell != "same":
        text = key.note() or "the service and a shell disagree about it"
        findings.append(Finding("readers", key.source, key.name, text))
    if key.source and not _is_known(key.name, found, wanted):
        near = found.code.nearest(key.name, _template_keys(wanted)) if found.code else ""
        hint = f"; did you mean {near}?" if near else ""
        findings.append(Finding("unknown", key.source, key.name, f"nothing reads it{hint}"))
    for name in key.twice:
        findings.append(Finding("twice", name, key.name, "set twice: the last one counts", False))
    if key.source == LOCAL_FILE:
        over = f" over {', '.join(key.over)}" if key.over else ""
        text = f"overridden here{over}: {key.value.describe()}"
        findings.append(Finding("local", LOCAL_FILE, key.name, text, False))
    return findings


def _is_known(key: str, found: Config, wanted: Mapping[str, str]) -> bool:
    if found.code is None or not (found.code.required or found.code.optional):
        return True  # there is no code to ask
    return found.code.reads(key) or key in _template_keys(wanted)


def _template_keys(wanted: Mapping[str, str]) -> set[str]:
    return {key for text in wanted.values() for key in config.template_keys(text)}


def _missing(found: Config, wanted: Mapping[str, str]) -> list[Finding]:
    have = {key.name for key in found.keys if key.value.is_set}
    required = found.code.required if found.code else ()
    findings = [
        Finding("missing", "", key, "the code needs it and nothing sets it")
        for key in required
        if key not in have
    ]
    open_secrets = [
        key for key in config.template_keys(wanted.get(SECRETS_FILE, "")) if key not in have
    ]
    if open_secrets:
        text = f"not filled in: {', '.join(open_secrets)}"
        findings.append(Finding("secrets", SECRETS_FILE, "", text, False))
    return findings


def _running(found: Config, unit: systemd.UnitState) -> list[Finding]:
    """What the running service does not know yet: by its own environment, else by the clock."""
    stale = [key for key in found.keys if key.running is not None]
    findings = [
        Finding(
            "restart",
            key.source,
            key.name,
            f"the service runs with {key.running.describe() if key.running else ''},"
            f" the files say {key.value.describe()}: restart it",
        )
        for key in stale
    ]
    if stale or unit.since is None or not unit.is_serving:
        return findings
    for item in found.files:
        if item.changed > unit.since.timestamp() + 1:
            when = f"{datetime.fromtimestamp(item.changed, UTC):%Y-%m-%d %H:%M:%S} UTC"
            text = f"changed at {when}, after the service started"
            text += ", but nothing it reads differs" if found.seen_running else ": restart it"
            findings.append(Finding("restart", item.name, "", text, not found.seen_running))
    return findings


# -- changing ----------------------------------------------------------------------------------


def plan(host: Host, wanted: Mapping[str, str | None], *, unknown: bool) -> Plan:
    """What a change would do; raises Refused for a key that nothing reads, unless `unknown`."""
    found = read(host, code=True)
    described = templates(host.spec)
    for key, value in wanted.items():
        if value is not None and not unknown and not _is_known(key, found, described):
            near = found.code.nearest(key, _template_keys(described)) if found.code else ""
            raise Refused(
                f"job-runner does not read {key}" + (f"; did you mean {near}?" if near else ""),
                host=host.name,
                hint="add --unknown to set it all the same",
            )
    local = found.files[-1]
    if local.error and found.files[0].error:
        raise _not_managed(host)
    steps = [_step(found, key, value, _secrets(described)) for key, value in wanted.items()]
    todo = tuple(step for step in steps if step is not None)
    if todo:
        command = config.change_command(host.spec, wanted, local.stamp, dry=True)
        config.answer(host.name, host.service.output(command))
    return Plan(todo, local.stamp, tuple(_notes(found, wanted)))


def secret_keys(spec: HostSpec) -> list[str]:
    """The keys that the host's backend says are secret."""
    return _secrets(templates(spec))


def _secrets(described: Mapping[str, str]) -> list[str]:
    return config.template_keys(described.get(SECRETS_FILE, ""))


def _step(found: Config, key: str, value: str | None, secrets: list[str]) -> Step | None:
    """What happens to one key; None when it is so already, for both readers."""
    now = found.get(key) or Key(key, Value())
    is_local = now.source == LOCAL_FILE
    if value is None:
        below = now.over[-1] if now.over else ""
        after = f"what {below} says" if below else "not set"
        return Step(key, now.value.describe(), after, LOCAL_FILE) if is_local else None
    if config.is_secret(key, value, secrets) or now.secret:
        from opstasks.config.onhost.config import fingerprint

        new = Value(True, "", fingerprint(key, value) if value else "")
    else:
        new = Value(True, value)
    if now.value == new and now.shell == "same":
        return None
    return Step(key, now.value.describe(), new.describe(), now.source)


def _notes(found: Config, wanted: Mapping[str, str | None]) -> list[str]:
    notes = []
    for key, value in wanted.items():
        now = found.get(key)
        if value is None and now and now.source and now.source != LOCAL_FILE:
            notes.append(f"{key} comes from {now.source}, which stays as it is")
        if value is None and not (now and now.source):
            near = get_close_matches(key, [item.name for item in found.keys], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            notes.append(f"nothing sets {key}{hint}")
        if value is not None and now and now.secret:
            notes.append(f"{key} is a secret: {SECRETS_FILE} (mode 0600) is the place for good")
    return notes


def apply(host: Host, shown: Plan, wanted: Mapping[str, str | None]) -> Outcome:
    """Carry out the plan that was shown; raises Refused when the file has changed since."""
    if not shown.changed:
        return Outcome(False)
    masked = {step.key: step.wanted for step in shown.steps}
    verb = "config.unset" if all(value is None for value in wanted.values()) else "config.set"
    with change(host.service, verb, masked):
        host.step(f"write {LOCAL_FILE}: {', '.join(masked)}")
        command = config.change_command(host.spec, wanted, shown.stamp, dry=False)
        config.answer(host.name, host.service.output(command))
        found = read(host)
        secrets = secret_keys(host.spec)
        left = [key for key, value in wanted.items() if _step(found, key, value, secrets)]
        if left:
            raise VerifyFailed(
                f"written, but {', '.join(left)} is not as it should be",
                host=host.name,
                hint=f"inv -H {host.name} config.show",
            )
    stale = any((key := found.get(name)) and key.running is not None for name in masked)
    return Outcome(True, tuple(masked), stale or not found.seen_running)
