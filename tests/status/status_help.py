"""Answers to the commands of `status`, and hosts in every state."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from opstasks.core.clock import Clock
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.deploy.release import Release
from opstasks.fleet import lock
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.join import HostContainers
from opstasks.jobs.read import JobsAnswer
from opstasks.maintenance.records import Maintenance, Pause, ScheduledItem
from opstasks.primitives import systemd
from opstasks.status.crashes import ServiceRun
from opstasks.status.inspect import questions
from opstasks.status.judge import StatusFacts, judge

NOW = datetime(2026, 11, 24, 2, 13, tzinfo=UTC).timestamp()
CLOCK = Clock(NOW)
SPEC = HostSpec(name="tpp")
HOUR = 3600.0


def answers_of_a_quiet_host():
    """The programs' answers on a host without jobs, releases and scheduled work."""
    found = {
        "jobs": {"now": 0, "flags": {}, "counts": {}, "jobs": []},
        "releases": {"releases": []},
        "fit": {},
        "maintenance": {"now_at": 0, "boot_id": "", "items": []},
    }
    return {name: Result("", 0, json.dumps({"ok": answer}), "") for name, answer in found.items()}


def results(**over):
    """The results of all commands of a quiet host, except for these."""
    found = dict.fromkeys(questions(SPEC), Result("", 0, "", ""))
    return found | answers_of_a_quiet_host() | over


# -- facts -------------------------------------------------------------------------------------


def unit(ago_s=720.0, **properties):
    """The service, in this state for so many seconds; by default it is up."""
    stamp = datetime.fromtimestamp(NOW - ago_s, UTC).strftime("Tue %Y-%m-%d %H:%M:%S UTC")
    shown = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "MainPID": "7",
        "NRestarts": "0",
        "UnitFileState": "enabled",
        "Result": "success",
        "StateChangeTimestamp": stamp,
        "ActiveEnterTimestampMonotonic": "1000",
        **properties,
    }
    text = "".join(f"{key}={value}\n" for key, value in shown.items())
    return systemd.parse_show("jobrunner", text)


def stopped(ago_s, **properties):
    """A service that somebody stopped: it left its state before its process ended."""
    return unit(
        ago_s,
        **{
            "ActiveState": "inactive",
            "SubState": "dead",
            "MainPID": "0",
            "ActiveExitTimestampMonotonic": "2000",
            "ExecMainExitTimestampMonotonic": "2001",
            **properties,
        },
    )


def dying(ago_s=52.0, restarts=2, **properties):
    """A service between two crashes."""
    state = {"ActiveState": "activating", "SubState": "auto-restart", "MainPID": "0"}
    ending = {"Result": "exit-code", "ExecMainCode": "1", "ExecMainStatus": "1"}
    return unit(ago_s, **state, **ending, NRestarts=str(restarts), **properties)


REASON = "RuntimeError: the job queue is in an impossible state"
RUNS = tuple(ServiceRun(f"r{n}", NOW - 52 - n * 94, REASON) for n in (2, 1, 0))
JOBS = JobsAnswer(
    NOW, {}, {"running": 2}, (), docker=HostContainers(), ended_day={"failed": 1, "succeeded": 9}
)


def release(ago_s=3 * HOUR, **values):
    """A release that succeeded, unless said otherwise."""
    standard = {
        "id": "r1",
        "who": "alice@laptop",
        "from_name": "v2.71.0",
        "to_name": "v2.73.0",
        "outcome": "deployed",
        "started_at": NOW - ago_s,
        "finished_at": NOW - ago_s + 20,
    }
    return Release(**{**standard, **values})


def maintenance(*items, pause=None, **values):
    """The host's records, with a pause."""
    units = {name: "active" for item in items for name in item.units if name.endswith(".timer")}
    flag_at = pause.flag_at if pause else 0.0
    return Maintenance(NOW, "boot", items, pause, flag_at, units=units, **values)


def pause(ago_s, until_s=0.0, **values):
    """A pause that began some time ago; `until_s` from now on."""
    since_at = NOW - ago_s
    until_at = NOW + until_s if until_s else 0.0
    return Pause(since_at=since_at, flag_at=since_at, until_at=until_at, **values)


REBOOT = ScheduledItem(
    id="20261124T021300-abc123",
    due_at=NOW + 3 * HOUR + 59 * 60,
    timed=True,
    reboot=True,
    step="scheduled",
    boot_id="boot",
    who="ops@laptop",
)
OPS = pause(2400, 2 * HOUR, who="ops@laptop", why="database upgrade")


def facts(**over):
    """A host that is ok, except for these facts."""
    quiet = StatusFacts(
        "tpp", unit(), release="v2.73.0", behind=0, jobs=JOBS, maintenance=maintenance()
    )
    return replace(quiet, **over)


def judged(**over):
    """The status of a host with these facts."""
    return judge(facts(**over), NOW)


def fleet(**hosts):
    """The result of hosts: a status, or an error."""
    items = []
    for name, found in hosts.items():
        host = name.replace("_", "-")
        if isinstance(found, Exception):
            items.append(HostResult(host, found.outcome, error=found))
        else:
            items.append(HostResult(host, "ok", found))
    return FleetResult(items)


def drawn_fleet():
    """The hosts of the drawing in docs/status.md."""
    disks = {"/": 25, "/srv/high_privacy": 25}
    return fleet(
        sandbox_1=judge(
            facts(
                host="sandbox-1",
                disks_percent=disks,
                maintenance=maintenance(REBOOT, pause=OPS),
                releases=(release(),),
            ),
            NOW,
        ),
        sandbox_2=judge(
            facts(
                host="sandbox-2",
                unit=dying(),
                runs=RUNS,
                release="v2.71.0",
                behind=5,
                jobs=replace(JOBS, counts={"running": 1, "pending": 3}, ended_day={}),
                disks_percent=disks,
                releases=(release(300, from_name="v2.65.4", to_name="v2.71.0"),),
            ),
            NOW,
        ),
        tpp=Unreachable(
            "no answer from 192.0.2.10:22 in 10 s", host="tpp", hint="is the host up, and the VPN?"
        ),
    )


NAMELESS = lock.NAMELESS
