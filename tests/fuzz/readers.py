"""Every task that asks a host: the words to type, and whether its rows are compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from tests.fuzz import answers, stage

# Host `a` answers nonsense, host `b` is sane: the output about `b` must not change.
BOTH = ("-H", "a,b")
# Tasks that want one host, and tasks whose result depends on all hosts together.
ONE = ("-H", "a")
JOB = answers.KNOWN_ID


@dataclass(frozen=True)
class Reader:
    """One line to type. `alone`: there is no second host to compare.

    `good` has the number of the sane answer of a program, where any other one ends the task early.
    """

    words: tuple[str, ...]
    alone: bool = False
    good: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def name(self):
        return " ".join(self.words)

    def argv(self, *more, alone=False):
        """The words after `inv`; with `alone` without the second host."""
        hosts = ONE if alone or self.alone else BOTH
        return (*hosts, "--keep-going", "--yes", *more, *self.words)


def both(line, good=()):
    return Reader(tuple(line.split()), good=dict(good))


def alone(line):
    return Reader(tuple(line.split()), alone=True)


# The numbers of sane answers that have something to show or to cancel.
ITEM, JOBS, RELEASES = {"maintenance.read": 4}, {"jobs.read": 2}, {"deploy.releases": 3}
# Without these, a start is refused.
CAN_START = {"deploy.releases": 0, "deploy.fit": 4}
REMOVALS, USES = {"outputs.list_records": 3}, {"jobs.stats": 2}
READERS = (
    both("status"),
    both("status --wide"),
    both("status --watch"),
    both("doctor"),
    both("doctor --all"),
    both("history"),
    both("logs"),
    both("logs --job abc"),
    both("logs --wide"),
    both("logs --raw"),
    both("logs --follow"),
    both("lock.show"),
    both("scheduled", ITEM),
    both("sync.status"),
    both("images.ls"),
    both("config.show"),
    both("config.check"),
    both("deploy.pending"),
    both("deploy.releases", RELEASES),
    both("jobs.ls", JOBS),
    both("jobs.ls --json", JOBS),
    both("jobs.ls --json --fields id,state", JOBS),
    both("jobs.ls --quiet", JOBS),
    both("jobs.ls --all --limit 0"),
    both("jobs.ls --state failed --since 2d"),
    both("jobs.ls --watch", JOBS),
    both("jobs.stats", USES),
    both("jobs.stats --watch", USES),
    both("jobs.queries"),
    both("jobs.queries --sql"),
    both("host.stats"),
    both("outputs.ls"),
    both("outputs.ls abc"),
    both("outputs.pending --all", REMOVALS),
    both("run -- uptime"),
    alone("run --fold -- uptime"),  # hosts with the same output are shown together
    # A job is searched for on all hosts: the answer of `a` decides which job is found.
    alone(f"jobs.show {JOB}"),
    alone(f"jobs.logs {JOB}"),
    alone(f"jobs.logs --metadata {JOB}"),
    alone(f"jobs.follow {JOB}"),
    alone(f"jobs.kill {JOB}"),
    alone(f"jobs.retry {JOB}"),
    alone(f"jobs.strace {JOB}"),
    # Tasks that change something, with everything that they read before and after.
    both("service.start", CAN_START),
    both("service.stop"),
    both("service.restart", CAN_START),
    # A host with an unfinished release comes first: the others are not started.
    alone("deploy"),
    alone("deploy --unfinished finish"),
    alone("deploy --restart"),
    alone("deploy --all-commits"),
    both("deploy.rollback"),
    both("manage"),
    both("manage --plan --diff"),
    both("users.disable eve"),
    both("config.set MAX_WORKERS=8 --unknown"),
    both("config.unset MAX_WORKERS"),
    both("images.update python:v2"),
    both("pause --reason x --for 2h"),
    both("pause --reason x --replace"),
    both("unpause"),
    alone("prepare-reboot"),  # it follows the host until Ctrl-C
    both("prepare-reboot --at 22:00 --reboot"),
    both("prepare-reboot --delay 4h --replace"),
    both("after-reboot"),
    both("scheduled.cancel", ITEM),
    both("scheduled.cancel 20261126T163546-624b9c", ITEM),
    both("sync.start"),
    both("sync.stop"),
    both("sync.once"),
    alone("lock.break --reason x"),
    alone("outputs.rm abc file.txt --source keep"),
    alone(f"outputs.attest {JOB}"),
)

# Tasks without a row, and why.
NOT_RUN = {
    "completion": "it asks no host",
    "hosts": "it asks no host",
    "shell": "it connects a terminal, and reads nothing",
    "jobs.mount": "it connects a terminal; what it reads before that, jobs.strace reads too",
    "db.progress": "the answers are TDS: tests/queries/test_progress.py has a hostile server",
}

# Programs that no row reaches, because the steps before them need consistent answers. Their answers
# are only decoded, which checks the limits of their types.
NOT_ASKED = (
    "images.pull",
    "images.switch",
    "locks.stop",
    "maintenance.claims",
    "maintenance.prepare_own",
    "manage.apply",
    "manage.confirm_access",
    "manage.install_access",
    "manage.restore_access",
    "outputs.attest",
    "outputs.remove",
)


@cache
def programs_of(reader):
    """The programs that a row asks, found by running it with several sane answers."""
    asked = set()
    for number in range(0, answers.SANE, 3):
        for columns in (0, 100):
            script = stage.Script(number=number, good=reader.good)
            stage.run(reader.argv(), script, columns=columns)
            asked |= set(script.asked)
    return sorted(asked - {"opstasks.onhost.several", "onhost.several"})
