"""The namespace: every task that `inv --list` shows, one module per collection."""

from importlib.util import find_spec

from invoke import Collection

from opstasks.completion import tasks as completion
from opstasks.config import tasks as config
from opstasks.deploy import tasks as deploy
from opstasks.doctor import tasks as doctor
from opstasks.history import tasks as history
from opstasks.hosts import tasks as hosts
from opstasks.images import tasks as images
from opstasks.jobs import host_tasks as host
from opstasks.jobs import tasks as jobs
from opstasks.locks import tasks as lock
from opstasks.logs import tasks as logs
from opstasks.maintenance import pause_tasks as pause
from opstasks.maintenance import scheduled_tasks as scheduled
from opstasks.maintenance import tasks as reboot
from opstasks.manage import tasks as manage
from opstasks.manage import users_tasks as users
from opstasks.outputs import tasks as outputs
from opstasks.queries import tasks as queries
from opstasks.service import tasks as service
from opstasks.shell import run_tasks as run
from opstasks.shell import tasks as shell
from opstasks.status import tasks as status
from opstasks.sync import tasks as sync

namespace = Collection(
    completion.completion,
    doctor.doctor,
    history.history,
    hosts.hosts,
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
    queries.namespace,
    deploy.namespace,
    host.namespace,
    images.namespace,
    jobs.namespace,
    lock.namespace,
    outputs.namespace,
    scheduled.namespace,
    service.namespace,
    sync.namespace,
    users.namespace,
)
namespace.collections["jobs"].add_task(queries.queries)

# The sandbox is an extra: its tasks exist if `pip install opstasks[sandbox]` installed the Docker
# SDK. A folder named docker/ beside a tasks.py is not the SDK: its spec has no origin.
SDK = find_spec("docker")
if SDK and SDK.origin:
    from opstasks.sandbox import tasks as sandbox

    namespace.add_collection(sandbox.namespace)
