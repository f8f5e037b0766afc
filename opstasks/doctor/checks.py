"""Check everything that the tasks rely on, without changes; each finding has a hint."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from opstasks.core.errors import CommandFailed, OpsError, Refused, VerifyFailed
from opstasks.core.hints import one_word
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.deploy import fit, present, release
from opstasks.doctor import drift, left
from opstasks.doctor.facts import (
    INSPECT,
    PROGRAMS,
    DatabaseFacts,
    DoctorFacts,
    EngineFacts,
    commands,
    disks,
    request,
    root_commands,
    secrets_file,
    sudo_rules,
)
from opstasks.doctor.finding import DoctorFinding
from opstasks.doctor.places import closed_path_hint, folder_findings, path_findings
from opstasks.fleet import lock
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.disks import FULL_PERCENT
from opstasks.locks import break_lock
from opstasks.locks.break_lock import HOLDERS
from opstasks.primitives import systemd
from opstasks.sync import facts as sync_facts

SKEW_S = 30.0
# A service that has been up for so long since it died is steady.
STEADY_S = 24 * 3600.0
# The oldest version that our programs on a host support.
OLDEST_PYTHON = (3, 10)


@dataclass(frozen=True)
class DoctorReport:
    """The results of all checks of one host."""

    checks: tuple[DoctorFinding, ...]

    @property
    def bad(self) -> tuple[DoctorFinding, ...]:
        """The checks that need a person."""
        return tuple(check for check in self.checks if not check.good)


# -- inspecting ------------------------------------------------------------------------------


def inspect(host: Host) -> DoctorReport:
    """Check a host as the service account and as root; missing access is a finding."""
    spec = host.spec
    checks: list[DoctorFinding] = []
    try:
        found = host.service.gather(commands(spec))
    except Refused as error:
        hint = error.hint or f"inv -H {host.name} manage"
        return DoctorReport((DoctorFinding("service account", False, error.message, hint),))
    checks += judge(spec, found, time.time())
    checks += _inspect_root(host)
    return DoctorReport(tuple(replace(one, hint="") if one.good else one for one in checks))


def _inspect_root(host: Host) -> list[DoctorFinding]:
    """The checks as root, in one round trip."""
    more: list[DoctorFinding] = []
    wanted = None
    try:
        wanted = drift.described(host.spec)
        more += [] if wanted else [drift.no_backend()]
    except Refused as error:
        more.append(drift.no_description(error))
    commands_by_name = root_commands(host.spec) | (
        {drift.NAME: drift.command(wanted)} if wanted else {}
    )
    try:
        found = host.root.gather(commands_by_name)
    except Refused as error:
        hint = error.hint or "ask for sudo rights on this host"
        return [DoctorFinding("root", False, error.message, hint)]
    if wanted:
        more += drift.judge(host.spec, wanted, found.pop(drift.NAME))
    held = _holders(host.spec, found.pop("holders"))
    return [held, *judge_root(host.name, found), *more]


# -- judging ---------------------------------------------------------------------------------


def judge(spec: HostSpec, found: dict[str, Result], now_at: float) -> list[DoctorFinding]:
    """The checks as the service account; `now_at` is our clock, in seconds since the epoch."""
    try:
        facts = INSPECT.decode(found["facts"], spec.name)
    except OpsError as error:
        return [_no_facts(error)]
    return [
        *_python(facts, now_at),
        *_programs(spec, facts),
        *path_findings(spec, facts),
        *folder_findings(spec, facts),
        *_privacy(spec, facts),
        *_rights(spec, facts),
        _docker(spec, facts.docker),
        *_state(spec, facts),
        *_disks(spec, facts),
        *_unit(spec, systemd.parse_show(spec.unit, found["unit"].out), facts.now_at),
        *_lock(spec, lock.parse_owner(found["lock"].out)),
        _release(spec, found["releases"]),
        *_present(spec, found["present"]),
        _fit(spec, found["fit"]),
        *left.judge(spec, found),
        *(_sync(spec, found["sync"]) if "sync" in found else ()),
    ]


def _no_facts(error: OpsError) -> DoctorFinding:
    """The only finding when the program did not run; usually python3 is missing."""
    if isinstance(error, CommandFailed):
        return DoctorFinding(
            "python", False, error.tail or error.message, "install python3 on the host"
        )
    text = f"{error.message}: {error.tail}" if error.tail else error.message
    return DoctorFinding("python", False, text, "run it again; if the error stays, report it")


def _python(facts: DoctorFacts, now_at: float) -> Iterator[DoctorFinding]:
    text = ".".join(map(str, facts.python))
    wanted = ".".join(map(str, OLDEST_PYTHON))
    good = facts.python >= OLDEST_PYTHON
    yield DoctorFinding("python", good, text, f"install python3 {wanted} or newer")
    skew_s = facts.now_at - now_at
    text = f"{skew_s:+.0f} s from our clock"
    yield DoctorFinding("clock", abs(skew_s) < SKEW_S, text, "timedatectl set-ntp true")


def _programs(spec: HostSpec, facts: DoctorFacts) -> Iterator[DoctorFinding]:
    """The names come from the request: a host's own words must not get into a hint."""
    for name in request(spec).programs:
        place = facts.programs.get(name, "")
        hint = f"apt-get install {PROGRAMS.get(name, name)}"
        yield DoctorFinding(f"program {name}", bool(place), place or "not found", hint)


def _privacy(spec: HostSpec, facts: DoctorFacts) -> Iterator[DoctorFinding]:
    """Access for others: the mode of the secrets, and who may put a link where root writes."""
    secret = facts.paths.get(secrets_file(spec))
    hint = f"inv -H {spec.name} manage"
    if secret is None:
        yield DoctorFinding(secrets_file(spec), False, "not there", hint)
    else:
        good = secret.readable and not secret.mode & 0o077
        text = secret.why or f"mode {secret.mode:04o}, owner {secret.owner}"
        better = closed_path_hint(spec, secrets_file(spec), secret) if secret.closed_at else hint
        yield DoctorFinding(secrets_file(spec), good, text, better)
    lock_file = facts.paths.get(spec.lock_file)
    if lock_file is not None and lock_file.mode & 0o007:
        text = f"mode {lock_file.mode:04o}: every account can hold the lock"
        yield DoctorFinding("lock file", False, text, hint)
    folder = facts.paths.get(spec.lock_dir)
    if folder is not None:
        safe = folder.owner == "root" and not folder.mode & 0o022
        text = folder.why or f"{folder.owner} {folder.mode:04o}"
        yield DoctorFinding(spec.lock_dir, safe, text, hint)


def _rights(spec: HostSpec, facts: DoctorFacts) -> Iterator[DoctorFinding]:
    hint = f"inv -H {spec.name} manage --only access"
    for rule in sudo_rules(spec):
        tried = facts.sudo.get(rule)
        good = tried is not None and tried.code == 0
        text = "allowed" if good else (tried and tried.text) or "not allowed"
        yield DoctorFinding(f"sudo {rule.split()[-2]}", good, text, hint)


def _docker(spec: HostSpec, docker: EngineFacts) -> DoctorFinding:
    """Whether docker answers the client that jobs and images use."""
    hint = f"systemctl start docker; is {spec.service_user} in the group docker?"
    if "DOCKER_HOST" in docker.error:
        hint = f"unset DOCKER_HOST for {spec.service_user}, or set it to unix://PATH"
    elif "client version" in docker.error:
        hint = "update opstasks: it does not support this version of docker"
    text = docker.error or f"answers, API version {docker.version}"
    return DoctorFinding("docker", not docker.error, text, hint)


def _state(spec: HostSpec, facts: DoctorFacts) -> Iterator[DoctorFinding]:
    yield _database(spec, facts.database)
    kept = facts.persistent_journal
    text = "kept after a reboot" if kept else "lost with each reboot, and `history` with it"
    hint = "mkdir /var/log/journal; systemctl restart systemd-journald"
    yield DoctorFinding("journal", kept, text, hint)
    held = facts.leftovers
    text = f"unfinished removals: {', '.join(held[:5])}" if held else "no unfinished removals"
    yield DoctorFinding("removed files", not held, text, f"inv -H {spec.name} outputs.pending")


def _database(spec: HostSpec, database: DatabaseFacts) -> DoctorFinding:
    """Suggest a restore only for a damaged database: a lock or a full disk can be fixed."""
    hint = "run it again; if it stays, check what has it open, who may read it, and its disk"
    if database.problem == "is not there":
        hint = f"inv -H {spec.name} manage --only database"
    if database.damaged:
        place = f"{spec.state_dir}/snapshots"
        hint = f"inv -H {spec.name} service.stop; then restore a snapshot of {one_word(place)}"
    return DoctorFinding("database", not database.problem, database.problem or "intact", hint)


def _disks(spec: HostSpec, facts: DoctorFacts) -> Iterator[DoctorFinding]:
    for place in disks(spec):
        used = facts.disks.get(place)
        if used is None:
            continue  # another check reports a missing folder, if it matters
        most = max(used.used_percent, used.inodes_percent)
        kind = "of its inodes used" if used.inodes_percent > used.used_percent else "full"
        hint = f"free disk space: du -xsh {one_word(place)}/*"
        yield DoctorFinding(f"disk {place}", most < FULL_PERCENT, f"{most}% {kind}", hint)


def _unit(spec: HostSpec, unit: systemd.UnitState, now_at: float) -> Iterator[DoctorFinding]:
    start = f"inv -H {spec.name} service.start"
    yield DoctorFinding(f"unit {spec.unit}", unit.is_serving, unit.describe(), start)
    enabled = unit.enabled == "enabled"
    text = unit.enabled or "absent"
    hint = f"inv -H {spec.name} manage --only service"
    yield DoctorFinding("starts with the host", enabled, text, hint)
    yield _steady(spec, unit, now_at)


def _steady(spec: HostSpec, unit: systemd.UnitState, now_at: float) -> DoctorFinding:
    """Whether the service died within a day; systemd still counts that after a deliberate stop."""
    age_s = now_at - unit.since.timestamp() if unit.since else 0.0
    count = 0 if unit.active == "inactive" or age_s > STEADY_S else unit.restarts
    text = f"died {count} times since its last start" if count > 1 else "died once"
    hint = f"inv -H {spec.name} logs --lines 200"
    return DoctorFinding("steady", not count, text if count else "did not die within a day", hint)


def _lock(spec: HostSpec, owner: lock.Owner | None) -> Iterator[DoctorFinding]:
    """A held lock is normal; a lock held for hours may be a problem."""
    text = owner.describe() if owner else "free"
    stale = owner is not None and owner.age_s > lock.LONG_S
    yield DoctorFinding("lock", not stale, text, f'inv -H {spec.name} lock.break --reason "..."')


def _holders(spec: HostSpec, result: Result) -> DoctorFinding:
    """Processes of other accounts that can hold the lock: they opened its file earlier."""
    hint = f'inv -H {spec.name} lock.break --reason "..."'
    try:
        others = break_lock.others(spec, HOLDERS.decode(result, spec.name).holders)
    except OpsError as error:
        return DoctorFinding("lock holders", False, error.message, "run it again")
    text = ", ".join(process.describe() for process in others)
    return DoctorFinding("lock holders", not others, text or "no other account", hint)


def _release(spec: HostSpec, result: Result) -> DoctorFinding:
    """A release that is, or may be, unfinished: it blocks the service's start, and a reboot."""
    try:
        found = release.blocking(release.parse_releases(result, spec.name))
    except OpsError as error:
        return DoctorFinding("release", False, error.message, f"ls -l {spec.state_dir}/releases")
    hint = f"inv -H {spec.name} deploy"
    if found and found.unread:
        hint = release.unread_hint(spec.state_dir, spec.service_user, found)
    text = found.problem if found else "none is unfinished"
    return DoctorFinding("release", found is None, text, hint)


def _present(spec: HostSpec, result: Result) -> Iterator[DoctorFinding]:
    """What a deploy and the service need of the present checkouts and the database."""
    try:
        facts = present.PRESENT.decode(result, spec.name)
    except OpsError as error:
        yield DoctorFinding("checkouts", False, error.tail or error.message, "run it again")
        return
    for path, texts in present.checkout_findings(spec, facts):
        for text, hint in texts:
            yield DoctorFinding(f"git in {path}", False, text, hint)
        if not texts:
            yield DoctorFinding(f"git in {path}", True, "can read and change it")
    closed = facts.not_writable
    yield DoctorFinding(
        "database rights", not closed, closed or "writable", present.rights_hint(spec)
    )


def _fit(spec: HostSpec, result: Result) -> DoctorFinding:
    """Whether the checked-out code can start with the database."""
    name, hint = "code and database", f"inv -H {spec.name} deploy"
    try:
        misfit = fit.FIT.decode(result, spec.name).misfit()
    except OpsError as error:
        return DoctorFinding(name, False, error.tail or error.message, "run it again")
    return DoctorFinding(name, not misfit, misfit or "fit together", hint)


def _sync(spec: HostSpec, result: Result) -> Iterator[DoctorFinding]:
    try:
        texts = sync_facts.decode(spec, result).attention()
    except OpsError as error:
        text = error.tail or error.message
        yield DoctorFinding("level 3 sync", False, text, f"inv -H {spec.name} sync.status")
        return
    for text in texts:
        yield DoctorFinding("level 3 sync", False, text, f"inv -H {spec.name} sync.start")
    if not texts:
        yield DoctorFinding("level 3 sync", True, "on, no problems")


def judge_root(host: str, found: dict[str, Result]) -> list[DoctorFinding]:
    """The checks as root on a host."""
    hints = {
        "root": "ask for sudo rights on this host",
        "accounts": f"inv -H {host} manage; or as root: passwd --lock NAME",
        "sudoers": "correct it with visudo before someone needs sudo",
        "sshd": "sshd -t shows the line; correct it before sshd restarts",
        "journal": "journalctl --verify; check whether the journal's disk is full",
    }
    names = {"accounts": "passwords", "sshd": "sshd's configuration", "journal": "log"}
    return [
        DoctorFinding(
            name=names.get(key, key),
            good=not result.code,
            text=result.tail() if result.code else "good",
            hint=hints[key],
        )
        for key, result in found.items()
    ]


def conclude(found: FleetResult[DoctorReport]) -> FleetResult[DoctorReport]:
    """The same results; hosts with findings have failed."""
    return FleetResult([_concluded(item) for item in found])


def _concluded(item: HostResult[DoctorReport]) -> HostResult[DoctorReport]:
    if item.value is None or not item.value.bad:
        return item
    count = len(item.value.bad)
    error: OpsError = VerifyFailed(
        f"{count} of {len(item.value.checks)} checks found something",
        host=item.host,
        hint="fix the findings, then run doctor again",
    )
    # The screen has shown each finding.
    error.is_shown = True
    return HostResult(item.host, error.outcome, item.value, error, item.elapsed_s)
