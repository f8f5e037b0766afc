"""A workflow that changes a host: how it starts, its command, its moments, and its goal."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.traps import Trap
from tests.look import HOME

NEW, OLD = "v2.73.0", "v2.71.0"


@dataclass(frozen=True)
class Workflow:
    """One command that changes a host.

    `ground` is the kept state that it starts from; `prepare` a script of root and `first` words of
    our own command, both run before it; the account `first_by` types these. `goal`: whether the
    observer sees what a successful run promises. `points` are its moments by name. `changes` are
    the parts of the host that it may change. `lead`: a trap and a script before the moment is
    armed.
    """

    name: str
    words: tuple[str, ...]
    goal: Callable
    points: dict[str, Trap]
    programs: tuple[str, ...] = ()
    ground: str = "old"
    prepare: str = ""
    first: tuple[str, ...] = ()
    first_by: str = ""
    changes: frozenset = frozenset()
    lead: tuple[Trap, str] | None = None
    codes: frozenset = frozenset({0})
    ends_jobs: bool = False
    rests: bool = False
    # The client logs in as the service account.
    is_own: bool = False


def at(pattern, when="before", number=1):
    """A moment."""
    return Trap(pattern, when, number)


def serves(seen):
    """Whether the service is up."""
    return seen["units"]["jobrunner.service"].get("SubState") == "running"


def is_at(seen, name):
    """Whether code and dependencies are at a release."""
    return (seen["code"]["name"], seen["lib"]["name"]) == (name, name)


def deployed(before, seen):
    """The new release is there, with its database, and serves."""
    return is_at(seen, NEW) and seen["database"]["version"] == 3 and serves(seen)


def rolled_back(before, seen):
    """The old release is there, with its database, and serves."""
    return is_at(seen, OLD) and seen["database"]["version"] == 1 and serves(seen)


def own_state(seen, job):
    """State and code of the kept job."""
    return tuple((seen["database"]["jobs"] or {}).get(job, ("", ""))[:2])


def job_is(*wanted):
    """A goal: the kept job has one of these states."""
    return lambda before, seen: own_state(seen, before["job"]) in wanted


def paused(seen):
    """Whether job-runner's own flag is set."""
    return (seen["database"]["flags"] or {}).get("paused") == "true"


def sync_state(seen):
    """The active states of the sync's timer and service."""
    return tuple(unit.get("ActiveState") for unit in seen["sync"])


def holds(path, *names):
    """A goal: these files are gone from both places."""
    return lambda before, seen: not [p for p in seen["files"] if p.endswith(names)]


def in_config(text):
    """A goal: the local configuration differs from before, or is the same."""
    local = f"{HOME}/config/04_local.env"
    return lambda before, seen: (seen["config"][local] != before["config"][local]) is text


def pending(seen):
    """Scheduled work that has not ended."""
    return [r for r in seen["scheduled"].values() if not r.get("outcome")]


STOP, START = "^systemctl stop jobrunner", "^systemctl start jobrunner"
