"""The namespace: every task that `inv --list` shows, one module per collection."""

from invoke import Collection

from opstasks.tasks import deploy, run

namespace = Collection(
    run.run,
    deploy.namespace,
)
