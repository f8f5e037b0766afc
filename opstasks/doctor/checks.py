"""Everything that the tasks rely on, looked at without touching it; each finding with its hint."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opstasks.core.command import Command, cmd
from opstasks.core.errors import OpsError, Refused, VerifyFailed
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.deploy import release
from opstasks.fleet import lock
from opstasks.fleet import old_program as remote
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.primitives import systemd
from opstasks.sync import act as sync
from opstasks.sync import units

FULL_PERCENT = 90
SKEW_S = 30.0
# What our scripts on a host are written for.
OLDEST_PYTHON = (3, 10)
# Program and the package that has it.
PROGRAMS = {
    "awk": "mawk",
    "docker": "docker.io",
    "flock": "util-linux",
    "git": "git",
    "journalctl": "systemd",
    "ps": "procps",
    "systemd-analyze": "systemd",
    "systemd-cat": "systemd",
    "systemd-run": "systemd",
    "timeout": "coreutils",
}
# job-runner's own commands, which every change of its state goes through.
COMMANDS = ("flags", "kill_job", "migrate", "prepare_for_reboot", "retry_job")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    good: bool
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Report:
    """All that was looked at on one host."""

    checks: tuple[Check, ...]

    @property
    def bad(self) -> tuple[Check, ...]:
        """What needs a person."""
        return tuple(check for check in self.checks if not check.good)


# -- asking ----------------------------------------------------------------------------------


def examine(host: Host) -> Report:
    """Look at a host as the service account and as root; what does not open is a finding."""
    spec = host.spec
    checks: list[Check] = []
    try:
        found = host.service.gather(commands(spec))
    except Refused as error:
        hint = error.hint or f"inv -H {host.name} manage"
        return Report((Check("service account", False, error.message, hint),))
    checks += judge(spec, found, time.time())
    try:
        checks += judge_root(host.root.gather(root_commands(spec)))
    except Refused as error:
        hint = error.hint or "ask for sudo rights there"
        checks.append(Check("root", False, error.message, hint))
    return Report(tuple(checks))


def commands(spec: HostSpec) -> dict[str, Command]:
    """What is asked as the service account, in one round trip."""
    asked = {
        "programs": [*PROGRAMS, *(["rsync"] if spec.level3_source else [])],
        "paths": [path for path, _, _ in paths(spec)] + [spec.lock_dir, secrets_file(spec)],
        "sudo": sudo_rules(spec),
        "database": spec.database,
        "disks": disks(spec),
        "hold": f"{spec.medium_privacy}/{units.HOLD}",
    }
    return {
        "facts": remote.call("opstasks.doctor.onhost.doctor", asked),
        "unit": systemd.show(spec.unit),
        "lock": lock.holder(spec),
        "releases": release.list_command(spec),
        **({"sync": sync.look_command(spec)} if spec.level3_source else {}),
    }


def root_commands(spec: HostSpec) -> dict[str, Command]:
    """What only root may ask."""
    return {
        "root": cmd("id", "-u"),
        "sudoers": cmd("visudo", "-c", "-q"),
        "sshd": cmd("sshd", "-t"),
        "journal": cmd("journalctl", "--quiet", "--no-pager", "--lines=1", f"--unit={spec.unit}"),
    }


def paths(spec: HostSpec) -> list[tuple[str, bool, str]]:
    """What must be there: path, whether the service account writes to it, and the hint."""
    manage, deploy = f"inv -H {spec.name} manage", f"inv -H {spec.name} deploy"
    return [
        (f"{spec.config_dir}/load-env", False, manage),
        (f"{spec.config_dir}/01_defaults.env", False, manage),
        (f"{spec.config_dir}/04_local.env", False, manage),
        (f"{spec.code_dir}/.git", True, manage),
        (f"{spec.lib_dir}/.git", True, manage),
        *((f"{spec.code_dir}/jobrunner/cli/{name}.py", False, deploy) for name in COMMANDS),
        (spec.workdir, True, manage),
        (spec.state_dir, True, manage),
        (spec.lock_file, True, manage),
        (f"{spec.high_privacy}/workspaces", True, manage),
        (f"{spec.medium_privacy}/workspaces", True, manage),
    ]


def secrets_file(spec: HostSpec) -> str:
    """Where the backend's secrets lie."""
    return f"{spec.config_dir}/02_secrets.env"


def sudo_rules(spec: HostSpec) -> list[str]:
    """What the service account must be allowed without a password."""
    return [f"{systemd.SYSTEMCTL} {verb} {spec.unit}" for verb in ("start", "stop", "restart")]


def disks(spec: HostSpec) -> list[str]:
    """Where a full disk stops the work."""
    # Under the lock's folder stands what is armed, and how it went.
    records = spec.lock_dir
    return [spec.home, spec.high_privacy, spec.medium_privacy, "/var/lib/docker", "/tmp", records]  # noqa: S108


# -- judging ---------------------------------------------------------------------------------


def judge(spec: HostSpec, found: dict[str, Result], now: float) -> list[Check]:
    """What the service account found."""
    if found["facts"].code:
        text, hint = found["facts"].tail() or "no answer", "install python3 on the host"
        return [Check("python", False, text, hint)]
    facts: dict[str, Any] = json.loads(found["facts"].out)
    return [
        *_python(facts, now),
        *_programs(facts),
        *_paths(spec, facts),
        *_privacy(spec, facts),
        *_rights(spec, facts),
        *_state(spec, facts),
        *_disks(facts),
        *_unit(spec, systemd.parse_show(spec.unit, found["unit"].out)),
        *_lock(spec, lock.parse_owner(found["lock"].out)),
        _release(spec, found["releases"]),
        *(_sync(spec, found["sync"]) if "sync" in found else ()),
    ]


def _python(facts: dict[str, Any], now: float) -> Iterator[Check]:
    version = tuple(facts["python"])
    text = ".".join(map(str, version))
    wanted = ".".join(map(str, OLDEST_PYTHON))
    yield Check("python", version >= OLDEST_PYTHON, text, f"install python3 {wanted} or newer")
    skew_s = facts["now"] - now
    yield Check(
        "clock", abs(skew_s) < SKEW_S, f"{skew_s:+.0f} s from ours", "timedatectl set-ntp true"
    )


def _programs(facts: dict[str, Any]) -> Iterator[Check]:
    for name, place in facts["programs"].items():
        hint = f"apt-get install {PROGRAMS.get(name, name)}"
        yield Check(f"program {name}", bool(place), place or "not found", hint)


def _paths(spec: HostSpec, facts: dict[str, Any]) -> Iterator[Check]:
    for path, written, hint in paths(spec):
        info = facts["paths"][path]
        if info is None:
            yield Check(path, False, "not there", hint)
        elif not info["readable"]:
            yield Check(path, False, f"{spec.service_user} may not read it", hint)
        elif written and not info["writable"]:
            yield Check(path, False, f"{spec.service_user} may not write to it", hint)
        else:
            yield Check(path, True, "there")


def _privacy(spec: HostSpec, facts: dict[str, Any]) -> Iterator[Check]:
    """Who else could get in: the secrets' mode, and who may put a link where root writes."""
    secret = facts["paths"][secrets_file(spec)]
    hint = f"inv -H {spec.name} manage"
    if secret is None:
        yield Check(secrets_file(spec), False, "not there", hint)
    else:
        closed = not secret["mode"] & 0o077
        yield Check(secrets_file(spec), closed, f"mode {secret['mode']:04o}", hint)
    folder = facts["paths"][spec.lock_dir]
    if folder is not None:
        safe = folder["owner"] == "root" and not folder["mode"] & 0o022
        yield Check(spec.lock_dir, safe, f"{folder['owner']} {folder['mode']:04o}", hint)


def _rights(spec: HostSpec, facts: dict[str, Any]) -> Iterator[Check]:
    for rule, (code, said) in facts["sudo"].items():
        verb = rule.split()[-2]
        text = "allowed" if code == 0 else said or "not allowed"
        yield Check(f"sudo {verb}", code == 0, text, f"inv -H {spec.name} manage --only access")
    code, said = facts["docker"]
    hint = f"systemctl start docker; is {spec.service_user} in the group docker?"
    yield Check("docker", code == 0, "answers" if code == 0 else said, hint)


def _state(spec: HostSpec, facts: dict[str, Any]) -> Iterator[Check]:
    broken, damaged = facts["database"]
    yield _database(spec, broken, damaged=damaged)
    kept = facts["persistent_journal"]
    text = "kept over reboots" if kept else "lost with each reboot, and `history` with it"
    yield Check("journal", kept, text, "mkdir /var/log/journal; systemctl restart systemd-journald")
    held = facts["leftovers"]
    text = f"held: {', '.join(held[:5])}" if held else "nothing left behind"
    yield Check("removed files", not held, text, f"inv -H {spec.name} outputs.pending")


def _database(spec: HostSpec, broken: str, *, damaged: bool) -> Check:
    """Only a damaged one is to be replaced: a lock or a full disk passes, or can be mended."""
    hint = "run it again; if it stays, see what has it open, who may read it, and its disk"
    if broken == "is not there":
        hint = f"inv -H {spec.name} manage --only database"
    if damaged:
        place = f"{spec.state_dir}/snapshots"
        hint = f"inv -H {spec.name} service.stop, then restore a snapshot of {place}"
    return Check("database", not broken, broken or "whole", hint)


def _disks(facts: dict[str, Any]) -> Iterator[Check]:
    for place, used in facts["disks"].items():
        if used is None:
            continue  # a place that is missing is said elsewhere, where it matters
        most = max(used["used"], used["inodes"])
        kind = "of its inodes used" if used["inodes"] > used["used"] else "full"
        text = f"{most} % {kind}"
        yield Check(f"disk {place}", most < FULL_PERCENT, text, f"make room: du -xsh {place}/*")


def _unit(spec: HostSpec, unit: systemd.UnitState) -> Iterator[Check]:
    start = f"inv -H {spec.name} service.start"
    yield Check(f"unit {spec.unit}", unit.is_serving, unit.describe(), start)
    enabled = unit.enabled == "enabled"
    text = unit.enabled or "absent"
    yield Check("starts with the host", enabled, text, f"inv -H {spec.name} manage --only service")
    steady = unit.restarts == 0
    text = f"{unit.restarts} restart(s) after a crash"
    yield Check("steady", steady, text, f"inv -H {spec.name} logs --lines 200")


def _lock(spec: HostSpec, owner: lock.Owner | None) -> Iterator[Check]:
    """A lock that is held is no fault; one held for hours may be."""
    text = owner.describe() if owner else "free"
    stale = owner is not None and owner.age_s > 2 * 3600
    yield Check("lock", not stale, text, f'inv -H {spec.name} lock.break --reason "..."')


def _release(spec: HostSpec, result: Result) -> Check:
    """An unfinished release keeps the service from being started, and a reboot from ending."""
    try:
        found = release.unfinished(release.parse_releases(result, spec.name))
    except OpsError as error:
        return Check("release", False, error.message, f"ls -l {spec.state_dir}/releases")
    text = f"{found.describe()} is unfinished" if found else "none is unfinished"
    return Check("release", found is None, text, f"inv -H {spec.name} deploy")


def _sync(spec: HostSpec, result: Result) -> Iterator[Check]:
    if result.code:
        yield Check("level 3 sync", False, result.tail(), f"inv -H {spec.name} sync.status")
        return
    texts = sync.parse(spec, result.out).attention()
    for text in texts:
        yield Check("level 3 sync", False, text, f"inv -H {spec.name} sync.start")
    if not texts:
        yield Check("level 3 sync", True, "on, and well")


def judge_root(found: dict[str, Result]) -> list[Check]:
    """What root found."""
    hints = {
        "root": "ask for sudo rights there",
        "sudoers": "visudo: correct it before anybody needs sudo",
        "sshd": "sshd -t names the line; correct it before sshd restarts",
        "journal": "journalctl --verify; is the journal's disk full?",
    }
    names = {"sshd": "sshd's configuration", "journal": "log"}
    return [
        Check(names.get(key, key), not bad.code, bad.tail() if bad.code else "good", hints[key])
        for key, bad in found.items()
    ]


def conclude(found: FleetResult[Report]) -> FleetResult[Report]:
    """The same results, hosts with findings as failed."""
    return FleetResult([_concluded(item) for item in found])


def _concluded(item: HostResult[Report]) -> HostResult[Report]:
    if item.value is None or not item.value.bad:
        return item
    count = len(item.value.bad)
    error: OpsError = VerifyFailed(
        f"{count} of {len(item.value.checks)} checks failed",
        host=item.host,
        hint="mend what the table names, then run doctor again",
    )
    return HostResult(item.host, error.outcome, item.value, error, item.elapsed_s)
