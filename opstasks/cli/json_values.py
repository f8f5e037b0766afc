"""What `--json` shows of each host: the types of the values, by task (docs/json.md).

A type is named, so that nothing is imported: "module:Type", or "list module:Type". A task with two
types shows the first one with --dry or when nothing is to be done: the plan.
"""

_SERVICE = ("opstasks.service.act:ServiceFacts", "opstasks.service.act:ServiceResult")
_SYNC = ("opstasks.sync.facts:SyncState", "opstasks.sync.act:SyncResult")
_CONFIG = ("opstasks.config.reports:ConfigChangeReport",)
_DEPLOY = ("opstasks.deploy.plan:DeployPlan", "opstasks.deploy.apply:DeployResult")

VALUES: dict[str, tuple[str, ...]] = {
    "after-reboot": ("opstasks.maintenance.checklist:Checklist",),
    "config.check": ("list opstasks.config.reports:ConfigFindingReport",),
    "config.set": _CONFIG,
    "config.show": ("opstasks.config.reports:ConfigReport",),
    "config.unset": _CONFIG,
    "deploy.apply": _DEPLOY,
    "deploy.pending": ("opstasks.deploy.plan:DeployPlan",),
    "deploy.releases": ("list opstasks.deploy.release:Release",),
    "deploy.rollback": _DEPLOY,
    "doctor": ("opstasks.doctor.checks:DoctorReport",),
    "host.stats": ("opstasks.jobs.host_stats:HostUse",),
    "hosts": ("opstasks.hosts.routes:HostRoute",),
    "images.ls": ("list opstasks.images.facts:ImageRow",),
    "images.update": ("opstasks.images.act:ImagesResult",),
    "jobs.kill": ("opstasks.jobs.kill:KillResult",),
    "jobs.retry": ("opstasks.jobs.retry:RetryResult",),
    "jobs.stats": ("list opstasks.jobs.stats:JobUse",),
    "manage": ("opstasks.manage.show:ManageReport",),
    "outputs.attest": ("opstasks.outputs.reports:AttestOutcome",),
    "outputs.ls": ("list opstasks.outputs.listing:OutputWorkspace",),
    "outputs.pending": ("list opstasks.outputs.reports:RemovalReport",),
    "outputs.rm": ("opstasks.outputs.reports:RemovalOutcome",),
    "pause": ("opstasks.maintenance.pause:PauseResult",),
    "prepare-reboot": (
        "opstasks.maintenance.prepare:RebootPlan",
        "opstasks.maintenance.prepare:PrepareResult",
    ),
    "scheduled.cancel": (
        "list opstasks.maintenance.onhost.records:ScheduledItem",
        "opstasks.maintenance.cancel:CancelResult",
    ),
    "scheduled.show": ("list opstasks.maintenance.scheduled:ScheduledRow",),
    "service.restart": _SERVICE,
    "service.start": _SERVICE,
    "service.stop": _SERVICE,
    "status": ("opstasks.status.judge:HostStatus",),
    "sync.once": _SYNC,
    "sync.start": _SYNC,
    "sync.status": _SYNC[:1],
    "sync.stop": _SYNC,
    "unpause": ("opstasks.maintenance.pause:PauseResult",),
    "users.disable": ("opstasks.manage.disable:DisableResult",),
}

# These show values whose fields are not promised.
UNTYPED = frozenset(
    {
        *("db.progress", "history", "jobs.ls", "jobs.queries", "jobs.show"),
        *("jobs.logs", "lock.break", "lock.show", "logs", "run"),
    }
)

# These refuse --json, or are for developers.
NO_DOCUMENT = frozenset(
    {
        *("completion", "jobs.follow", "jobs.mount", "jobs.strace", "shell", "sandbox.down"),
        *("sandbox.many", "sandbox.publish", "sandbox.ssh-config", "sandbox.status"),
        *("sandbox.submit", "sandbox.up"),
    }
)
