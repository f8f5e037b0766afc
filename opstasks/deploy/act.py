"""Doing it: five steps on the host, each one round trip; back to where we were on any failure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from opstasks.core.errors import CommandFailed, Interrupted, OpsError, Refused, VerifyFailed
from opstasks.deploy import plan as planning
from opstasks.deploy import release
from opstasks.deploy.facts import Facts, gather
from opstasks.deploy.plan import Plan
from opstasks.deploy.release import Release, Spec
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host

STEPS = (
    ("begin", "stop the service, snapshot the database"),
    ("switch", "move dependencies and code, migrate"),
    ("serve", "start the service and watch it for {watch_s:g} s"),
    ("finish", "check that every job is still there"),
)


@dataclass(frozen=True)
class Outcome:
    """How a host's deploy ended; `notes` are for a person to read."""

    changed: bool
    from_name: str
    to_name: str
    database_version: int = 0
    release_id: str = ""
    notes: tuple[str, ...] = ()


class _StepFailedError(Exception):
    def __init__(self, reason: str, detail: str = "", *, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.refused = refused


# -- looking ---------------------------------------------------------------------------------


def check(host: Host, ref: str = "", lib_ref: str = "", *, restart: bool = False) -> Plan:
    """Look at a host and plan its deploy to the given refs (default: those of the inventory)."""
    wanted = host.spec.deploy
    facts = gather(host, ref or wanted.code.ref, lib_ref or wanted.lib.ref)
    return planning.make(facts, restart=restart)


def check_rollback(host: Host) -> Plan:
    """Look at a host and plan the way back to the release before the present one."""
    text = host.service.output(release.list_command(host.spec))
    records = release.parse_releases(text)
    cut_off = release.unfinished(records)
    if cut_off:
        raise Refused(
            f"release {cut_off.describe()} is unfinished",
            host=host.name,
            hint=f"inv -H {host.name} deploy --unfinished back",
        )
    last = undoable(records)
    if last is None:
        raise Refused(
            "there is no release to go back to",
            host=host.name,
            hint=f"inv -H {host.name} deploy.releases",
        )
    snapshot = last.snapshot if last.to_version != last.from_version else ""
    facts = gather(host, last.from_code, last.from_lib, fetch=False, snapshot=snapshot)
    if facts.code.head != last.to_code:
        raise Refused(
            f"the checkout is at {facts.code.head_name}, not where {last.id} left it",
            host=host.name,
            hint="deploy the wanted commit with `deploy --ref`",
        )
    return planning.make(facts, restores=last)


def undoable(records: tuple[Release, ...]) -> Release | None:
    """The release that a rollback undoes: the newest that is in force and not itself undone."""
    undone = 0
    for record in records:
        if record.outcome != "deployed":
            continue
        if record.kind == "rollback":
            undone += 1
        elif undone:
            undone -= 1
        else:
            return record
    return None


# -- acting ----------------------------------------------------------------------------------


def apply(host: Host, plan: Plan, *, watch_s: float | None = None) -> Outcome:
    """Carry a plan out; raises VerifyFailed when it had to go back, Lost, Interrupted."""
    facts = plan.facts
    if plan.nothing_to_do:
        return Outcome(
            False, facts.code.head_name, facts.code.head_name, facts.database.user_version
        )
    if not plan.moves and not plan.restores:
        _restart(host, plan, watch_s)
        return Outcome(
            True,
            facts.code.head_name,
            facts.code.head_name,
            facts.database.user_version,
            notes=("restarted",),
        )
    spec = _new_spec(host, plan, watch_s)
    return _release(host, spec)


def _restart(host: Host, plan: Plan, watch_s: float | None) -> None:
    spec = _new_spec(host, plan, watch_s)
    with change(host.service, "deploy.restart", {"at": spec.from_name}):
        host.step(f"restart the service and watch it for {spec.watch_s:g} s")
        try:
            _step(host, "restart", spec)
        except _StepFailedError as failure:
            raise VerifyFailed(
                failure.reason, host=host.name, tail=failure.detail, hint=f"inv -H {host.name} logs"
            ) from None


def _new_spec(host: Host, plan: Plan, watch_s: float | None) -> Spec:
    code, lib = plan.facts.code, plan.facts.lib
    undone = plan.restores
    moved = undone is not None and undone.to_version != undone.from_version
    return release.spec_for(
        host.spec,
        id=audit.new_run_id(),
        who=audit.who(),
        kind="rollback" if undone else "deploy",
        ref=code.ref,
        from_code=code.head,
        to_code=code.target,
        from_lib=lib.head,
        to_lib=lib.target,
        from_name=code.head_name,
        to_name=code.target_name,
        restore_from=undone.snapshot if undone and moved else "",
        watch_s=watch_s,
    )


def resume(host: Host, facts: Facts, *, roll_back: bool) -> Outcome:
    """Bring a release whose client went away to its end: forward, or back."""
    record = facts.unfinished
    if record is None:
        raise Refused("there is no unfinished release", host=host.name)
    kept = {name: getattr(record, name) for name in Spec.keep}
    spec = release.spec_for(host.spec, watch_s=None, **kept)
    if not (roll_back or record.rolling_back):
        return _release(host, spec)
    with change(host.service, "deploy.resume", {"release": record.id, "direction": "back"}):
        how = _go_back(host, replace(spec, reason="its client went away"), resumed=True)
    return Outcome(True, record.to_name, record.from_name, release_id=record.id, notes=(how,))


def _release(host: Host, spec: Spec) -> Outcome:
    args = {"ref": spec.ref, "from": spec.from_name, "to": spec.to_name, "release": spec.id}
    with change(host.service, spec.kind, args):
        version = 0
        notes: list[str] = []
        try:
            for step, text in STEPS:
                _stop_if_asked(host)
                host.step(text.format(watch_s=spec.watch_s))
                answer = _step(host, step, spec)
                version = answer.get("version", version)
                notes += [f"{n} goes on as before" for n in answer.get("as_before", [])]
                notes += [answer["how"]] if answer.get("how") else []
        except _StepFailedError as failure:
            if failure.refused:
                raise _refusal(host, failure) from None
            _fail(host, spec, failure)
        except Interrupted as stopped:
            how = _go_back(host, replace(spec, reason="stopped by the operator"))
            stopped.message = f"stopped at your request; back on {spec.from_name} ({how})"
            raise
        except OpsError:
            raise
        except Exception as error:  # a defect of ours must not leave the host half-way
            _fail(host, spec, _StepFailedError(f"internal error: {error!r}"))
    host.step(f"now at {spec.to_name}")
    return Outcome(True, spec.from_name, spec.to_name, version, spec.id, tuple(notes))


def _stop_if_asked(host: Host) -> None:
    host.checkpoint("going back to the release before")


def _step(host: Host, step: str, spec: Spec) -> dict[str, Any]:
    (result,) = host.service.batch([release.step_command(step, spec)])
    try:
        answer: dict[str, Any] = json.loads(result.out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise _StepFailedError(
            f"step {step!r} broke off (exit code {result.code})", result.tail()
        ) from None
    if not answer["ok"]:
        refused = bool(answer.get("refused"))
        raise _StepFailedError(answer["reason"], answer["detail"], refused=refused)
    return answer


def _fail(host: Host, spec: Spec, failure: _StepFailedError) -> None:
    """Go back, and say why and where the host is now."""
    how = _go_back(host, replace(spec, reason=failure.reason))
    raise VerifyFailed(
        f"{spec.to_name} did not take: {failure.reason}. Back on {spec.from_name}, as it was"
        f" before ({how})",
        host=host.name,
        tail=failure.detail,
        hint=f"mend the release; `inv -H {host.name} logs` has more",
    )


def _refusal(host: Host, failure: _StepFailedError) -> Refused:
    return Refused(failure.reason, host=host.name, hint=f"inv -H {host.name} deploy.releases")


def _go_back(host: Host, spec: Spec, *, resumed: bool = False) -> str:
    host.step(f"going back to {spec.from_name}: {spec.reason}")
    try:
        answer = _step(host, "roll_back", spec)
    except _StepFailedError as failure:
        if resumed and failure.refused:
            raise _refusal(host, failure) from None
        raise CommandFailed(
            f"{spec.reason}; and going back to {spec.from_name} failed: {failure.reason}",
            returned=1,
            host=host.name,
            tail=failure.detail,
            hint=f"mend that, then run `inv -H {host.name} deploy --unfinished back`; the database"
            f" of before is {spec.state_dir}/snapshots/{spec.id}.sqlite",
        ) from None
    return str(answer["how"])
