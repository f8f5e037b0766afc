"""What `--json` shows of each host: the types of the values, by task (docs/json.md).

A type is named, so that nothing is imported before it is needed: "module:Type", or "list
module:Type". A flag may select another type: that of "--dry" is the plan.
"""

from __future__ import annotations

import importlib
import typing
from collections.abc import Collection, Sequence
from typing import Any

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word
from opstasks.output.documents import field_names

ALWAYS = ""
_CONFIG = {ALWAYS: "opstasks.config.reports:ConfigChangeReport"}
_DEPLOY = {
    ALWAYS: "opstasks.deploy.apply:DeployResult",
    "--dry": "opstasks.deploy.document:DeployPreview",
}
_JOB_PLAN = "opstasks.jobs.reports:JobsPlan"
_LOG = {ALWAYS: "opstasks.jobs.logs:LogSummary"}
_SERVICE = {
    ALWAYS: "opstasks.service.act:ServiceResult",
    "--dry": "opstasks.service.plan:ServicePlan",
}
_SYNC = {ALWAYS: "opstasks.sync.act:SyncResult", "--dry": "opstasks.sync.facts:SyncState"}

# By task: the type of its values, and the types that flags select.
VALUES: dict[str, dict[str, str]] = {
    "after-reboot": {ALWAYS: "opstasks.maintenance.checklist:Checklist"},
    "config.check": {ALWAYS: "list opstasks.config.reports:ConfigFindingReport"},
    "config.set": _CONFIG,
    "config.show": {ALWAYS: "opstasks.config.reports:ConfigReport"},
    "config.unset": _CONFIG,
    "db.progress": {ALWAYS: "list opstasks.queries.progress:TableProgress"},
    "deploy.apply": _DEPLOY,
    "deploy.pending": {ALWAYS: "opstasks.deploy.document:DeployPreview"},
    "deploy.releases": {ALWAYS: "list opstasks.deploy.document:ReleaseReport"},
    "deploy.rollback": _DEPLOY,
    "doctor": {ALWAYS: "opstasks.doctor.checks:DoctorReport"},
    "history": {ALWAYS: "list opstasks.history.read:HistoryRow"},
    "host.stats": {ALWAYS: "opstasks.jobs.host_stats:HostUse"},
    "hosts": {
        ALWAYS: "opstasks.hosts.routes:HostRoute",
        "--close": "list opstasks.hosts.connections:KeptConnection",
    },
    "images.ls": {ALWAYS: "list opstasks.images.facts:ImageRow"},
    "images.update": {ALWAYS: "opstasks.images.act:ImagesResult"},
    "jobs.follow": _LOG,
    "jobs.kill": {ALWAYS: "opstasks.jobs.kill:KillResult", "--dry": _JOB_PLAN},
    "jobs.logs": {**_LOG, "--metadata": "opstasks.jobs.logs:JobMetadata"},
    "jobs.ls": {ALWAYS: "list opstasks.jobs.model:Job"},
    "jobs.queries": {ALWAYS: "list opstasks.queries.statements:JobStatement"},
    "jobs.retry": {ALWAYS: "opstasks.jobs.retry:RetryResult", "--dry": _JOB_PLAN},
    "jobs.show": {ALWAYS: "opstasks.jobs.details:JobDetails"},
    "jobs.stats": {ALWAYS: "list opstasks.jobs.stats:JobUse"},
    "lock.break": {
        ALWAYS: "opstasks.locks.reports:LockBreakReport",
        "--dry": "opstasks.locks.reports:LockReport",
    },
    "lock.show": {ALWAYS: "opstasks.locks.reports:LockReport"},
    "logs": {ALWAYS: "list opstasks.logs.records:LogRecord", "--raw": "list builtins:str"},
    "manage": {ALWAYS: "opstasks.manage.show:ManageReport"},
    "outputs.attest": {ALWAYS: "opstasks.outputs.reports:AttestOutcome"},
    "outputs.ls": {ALWAYS: "list opstasks.outputs.listing:OutputWorkspace"},
    "outputs.pending": {ALWAYS: "list opstasks.outputs.reports:RemovalReport"},
    "outputs.rm": {ALWAYS: "opstasks.outputs.reports:RemovalOutcome"},
    "pause": {
        ALWAYS: "opstasks.maintenance.pause_reports:PauseReport",
        "--dry": "opstasks.maintenance.pause_reports:PausePlanReport",
    },
    "prepare-reboot": {
        ALWAYS: "opstasks.maintenance.reboot_reports:PrepareReport",
        "--dry": "opstasks.maintenance.reboot_reports:PreparePlanReport",
    },
    "run": {ALWAYS: "opstasks.core.result:Result", "--dry": "opstasks.shell.run:RunPlan"},
    "scheduled.cancel": {
        ALWAYS: "opstasks.maintenance.scheduled_reports:CancelReport",
        "--dry": "opstasks.maintenance.scheduled_reports:CancelPlanReport",
    },
    "scheduled.show": {ALWAYS: "opstasks.maintenance.scheduled_reports:ScheduleReport"},
    "sandbox.publish": {ALWAYS: "opstasks.sandbox.tasks:PublishedRelease"},
    "sandbox.status": {ALWAYS: "opstasks.sandbox.tasks:SandboxReport"},
    "sandbox.submit": {ALWAYS: "opstasks.sandbox.tasks:SubmittedJobs"},
    "sandbox.up": {ALWAYS: "opstasks.sandbox.tasks:SandboxReport"},
    "service.restart": _SERVICE,
    "service.start": _SERVICE,
    "service.stop": _SERVICE,
    "shell": {"--dry": "opstasks.shell.shell:ShellPlan"},
    "status": {ALWAYS: "opstasks.status.model:HostStatus"},
    "sync.once": _SYNC,
    "sync.start": _SYNC,
    "sync.status": {ALWAYS: _SYNC["--dry"]},
    "sync.stop": _SYNC,
    "unpause": {
        ALWAYS: "opstasks.maintenance.pause_reports:PauseReport",
        "--dry": "opstasks.maintenance.pause_reports:UnpausePlanReport",
    },
    "users.disable": {ALWAYS: "opstasks.manage.disable:DisableResult"},
}

# These refuse --json.
NO_DOCUMENT = frozenset(
    {"jobs.mount", "jobs.strace", "sandbox.down", "sandbox.many", "sandbox.ssh-config"}
)
# Its document has `shell` and `script` in place of `hosts`.
WITHOUT_HOSTS = frozenset({"completion"})


def type_name(task: str, flags: Collection[str]) -> str:
    """The name of the type of a task's values with some flags (``--dry``)."""
    kinds = VALUES[task]
    selected = [kinds[flag] for flag in kinds if flag in flags]
    return selected[0] if selected else next(iter(kinds.values()))


def resolved(name: str) -> Any:
    """The type that a name stands for; imports its module."""
    place, _, kind = name.removeprefix("list ").partition(":")
    found = getattr(importlib.import_module(place), kind)
    return list[found] if name.startswith("list ") else found  # type: ignore[valid-type]


def fields_of(kind: Any) -> dict[str, Any] | None:
    """The fields of a struct or dataclass and their types; None for other types."""
    names = field_names(kind)
    if names is None:
        return None
    hints = typing.get_type_hints(kind, include_extras=True)
    return {name: hints[name] for name in names}


def check_fields(task: str, flags: Collection[str], wanted: Sequence[str]) -> None:
    """Raise Refused unless the values of a task, which gets these flags, have the fields."""
    known: dict[str, Any] = {}
    if task in VALUES:
        known |= fields_of(resolved(type_name(task, flags).removeprefix("list "))) or {}
    if not known:
        raise Refused("--fields: this task's values have no fields", hint="leave --fields out")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise Refused(
            f"--fields: there is no field {one_word(unknown[0])}; there are {', '.join(known)}",
            hint=f"--fields {one_word(next(iter(known)))}",
        )
