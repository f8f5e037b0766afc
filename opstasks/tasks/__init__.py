"""The namespace: every task that `inv --list` shows, one module per collection."""

from invoke import Collection

from opstasks.tasks import deploy, manage, run

namespace = Collection(
    run.run,
    manage.manage,
    deploy.namespace,
)
