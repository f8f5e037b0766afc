"""The namespace: every task that `inv --list` shows, one module per collection."""

from invoke import Collection

from opstasks.tasks import (
    config,
    db,
    deploy,
    doctor,
    history,
    host,
    images,
    jobs,
    lock,
    logs,
    manage,
    outputs,
    pause,
    queries,
    reboot,
    run,
    sandbox,
    scheduled,
    service,
    shell,
    status,
    sync,
    users,
)

namespace = Collection(
    doctor.doctor,
    history.history,
    logs.logs,
    manage.manage,
    pause.pause,
    pause.unpause,
    reboot.after_reboot,
    reboot.prepare_reboot,
    run.run,
    shell.shell,
    status.status,
    config.namespace,
    db.namespace,
    deploy.namespace,
    host.namespace,
    images.namespace,
    jobs.namespace,
    lock.namespace,
    outputs.namespace,
    sandbox.namespace,
    scheduled.namespace,
    service.namespace,
    sync.namespace,
    users.namespace,
)
namespace.collections["jobs"].add_task(queries.queries)

# What the playbook's recipes and scripts were called, and what they are now.
OLD_NAMES = {
    "current-queries": "jobs.queries",
    "job-retry": "jobs.retry",
    "jobs-ls": "jobs.ls",
    "jobs-stats": "jobs.stats",
    "kill-job": "jobs.kill",
    "logs-id": "logs",
    "mount-job-volume": "jobs.mount",
    "prepare-for-reboot": "prepare-reboot",
    "update-docker-image": "images.update",
    "watch-job-logs": "jobs.follow",
}
