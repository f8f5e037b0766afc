"""The namespace: every task that `inv --list` shows, one module per collection."""

from invoke import Collection

from opstasks.tasks import (
    config,
    db,
    deploy,
    doctor,
    history,
    images,
    jobs,
    lock,
    logs,
    manage,
    outputs,
    queries,
    run,
    sandbox,
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
    run.run,
    shell.shell,
    status.status,
    config.namespace,
    db.namespace,
    deploy.namespace,
    images.namespace,
    jobs.namespace,
    lock.namespace,
    outputs.namespace,
    sandbox.namespace,
    service.namespace,
    users.namespace,
    sync.namespace,
)
namespace.collections["jobs"].add_task(queries.queries)

# What the playbook's recipes and scripts were called, and what they are now.
OLD_NAMES = {
    "current-queries": "jobs.queries",
    "jobs-ls": "jobs.ls",
    "logs-id": "logs",
    "update-docker-image": "images.update",
}
