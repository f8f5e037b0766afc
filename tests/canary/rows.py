"""One way to run each task, with secrets on the host; harmless changes are really made.

`{job}` is a job that has ended. Each row is the words of a command line.
"""

READING = {
    "config.check": "config.check",
    "config.show": "config.show",
    "db.progress": "db.progress --temp-table tmp_1",
    "deploy.pending": "deploy.pending",
    "deploy.releases": "deploy.releases",
    "doctor": "doctor",
    "history": "history --since 1d",
    "host.stats": "host.stats",
    "hosts": "hosts",
    "images.ls": "images.ls",
    "jobs.follow": "jobs.follow {job}",
    "jobs.logs": "jobs.logs {job}",
    "jobs.ls": "jobs.ls --all",
    "jobs.mount": "jobs.mount {job}",
    "jobs.queries": "jobs.queries",
    "jobs.show": "jobs.show {job}",
    "jobs.stats": "jobs.stats",
    "jobs.strace": "jobs.strace {job}",
    "lock.show": "lock.show",
    "logs": "logs --lines 200",
    "outputs.ls": "outputs.ls canary",
    "outputs.pending": "outputs.pending",
    "run": "run -- docker ps -a",
    "scheduled.show": "scheduled",
    "shell": "shell",
    "status": "status",
    "sync.status": "sync.status",
}
CHANGING = {
    "after-reboot": "after-reboot --yes",
    # Nothing but the dash says that it is a secret.
    "config.set": "config.set FOO=- --unknown --yes",
    "config.unset": "config.unset FOO --yes",
    "deploy.apply": "deploy --yes",
    "deploy.rollback": "deploy.rollback --dry",
    "images.update": "images.update ehrql:v1 --dry",
    "jobs.kill": "jobs.kill {job} --yes",
    "jobs.retry": "jobs.retry {job} --dry",
    "lock.break": "lock.break --reason test --yes",
    "manage": "manage --diff --yes",
    "outputs.attest": "outputs.attest 000000 --by nobody --yes",
    "outputs.rm": "outputs.rm canary output/none.txt --yes",
    "pause": "pause --reason test --yes",
    "prepare-reboot": "prepare-reboot --delay 4h --reason test --dry",
    "scheduled.cancel": "scheduled.cancel 20261201T091500-4f2a9c --yes",
    "service.restart": "service.restart --yes",
    "service.start": "service.start --yes",
    "service.stop": "service.stop --dry",
    "sync.once": "sync.once",
    "sync.start": "sync.start --dry",
    "sync.stop": "sync.stop --dry",
    "unpause": "unpause --yes",
    "users.disable": "users.disable nobody --dry",
}
# Run with a Python that is killed on the host, in `make test`; `make canary` takes all tasks.
KILLED = ("config.set", "config.show", "deploy.pending", "jobs.show", "manage", "status")
# In the order in which they run: each row may undo the one before it.
ROWS = READING | CHANGING
