"""A change that one host stops: --keep-going is offered for hosts with something to do."""

from dataclasses import replace
from types import SimpleNamespace

import invoke
import pytest
from invoke.exceptions import Exit

from opstasks.cli.app import App
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.core.clock import Clock
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.deploy import flow
from opstasks.maintenance import pause_tasks, scheduled_tasks, tasks
from opstasks.maintenance.cancel import CancelChoice
from opstasks.maintenance.pause import PauseFacts, PausePlan
from opstasks.maintenance.prepare import RebootPlan
from opstasks.service import tasks as service_tasks
from opstasks.sync import tasks as sync_tasks
from tests.deploy.screens_help import NEW, OLD, plan
from tests.maintenance.client_help import BY_BOB, NOW, make_item
from tests.service.test_plan import DOWN, UP
from tests.sync.test_screen import GOOD, OFF

REBOOT = RebootPlan(now_at=NOW, due_at=NOW, due_there="now")


def deployed(ctx):
    flow.judge(ctx, ctx.fleet.gather(None))


# The task, a value of a host with something to do, and of one with nothing to do.
CHANGES = {
    "deploy": (deployed, plan(OLD), plan(NEW)),
    "service.start": (service_tasks.start.body, DOWN, UP),
    "service.stop": (service_tasks.stop.body, UP, DOWN),
    "sync.start": (sync_tasks.start.body, OFF, GOOD),
    "sync.stop": (sync_tasks.stop.body, GOOD, OFF),
    "pause": (
        pause_tasks.pause.body,
        PausePlan("pause", PauseFacts()),
        PausePlan("nothing", PauseFacts(BY_BOB)),
    ),
    "unpause": (pause_tasks.unpause.body, PauseFacts(BY_BOB), PauseFacts()),
    "prepare-reboot": (
        tasks.prepare_reboot.body,
        REBOOT,
        replace(REBOOT, is_ready=True),
    ),
    "scheduled.cancel": (
        scheduled_tasks.cancel.body,
        CancelChoice((make_item(),)),
        CancelChoice(()),
    ),
}


@pytest.fixture
def ended(monkeypatch, capsys):
    """Run a change where one host does not answer; what is said on standard error."""

    def run(task, **values):
        down = HostResult("a", "unreachable", error=Unreachable("no answer", host="a"))
        found = FleetResult([down, *(HostResult(h, "ok", v) for h, v in values.items())])
        hosts = [SimpleNamespace(name=item.host) for item in found]
        fleet = SimpleNamespace(hosts=hosts, gather=lambda work: found)
        monkeypatch.setattr(Context, "fleet", fleet)
        monkeypatch.setattr(Context, "clock", property(lambda self: Clock(NOW)))
        ctx = Context(invoke.Config(), App(RunOptions(hosts=tuple(values))))
        with pytest.raises(Exit) as caught:
            task(ctx)
        assert caught.value.code == 3
        return capsys.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize("name", CHANGES)
def test_only_hosts_with_something_to_do_are_named(ended, name):
    task, busy, idle = CHANGES[name]
    assert ended(task, b=busy, c=idle)[-1] == "nothing was changed; --keep-going goes on with b"


@pytest.mark.parametrize("name", CHANGES)
def test_without_such_a_host_nothing_is_offered(ended, name):
    task, _, idle = CHANGES[name]
    assert ended(task, b=idle, c=idle)[-1] == "nothing was changed"
