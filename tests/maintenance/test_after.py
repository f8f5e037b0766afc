"""after-reboot: what the host is asked, what is changed there, and Ctrl-C."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from opstasks.core.clock import Clock
from opstasks.core.command import cmd
from opstasks.core.errors import Interrupted, InvalidResponse, ProgramFailed
from opstasks.maintenance import after, tasks
from opstasks.maintenance.after import AFTER, SYNC_UNIT, AfterRequest
from opstasks.maintenance.pause import UNPAUSE_PROGRAM, UnpauseAnswer, UnpauseRequest
from opstasks.maintenance.records import READ, MaintenanceRequest
from opstasks.maintenance.site import site_for
from tests.fake_host import Reply, failed
from tests.maintenance.client_help import GOOD, NOW, OURS, READY, make_maintenance

SYSTEM = cmd("systemctl", "is-system-running")
BOOT = cmd("systemctl", "is-active", "opstasks-boot.service")


def expect_look(host, maintenance, answer=GOOD, jobs=("a",), system="running\n", boot="inactive\n"):
    """The two round trips of one inspection of the host."""
    site = site_for(host.spec)
    host.expect(SYSTEM, Reply(1, system), user="root")
    host.expect(BOOT, Reply(3, boot), user="root")
    host.expect(READ, MaintenanceRequest(site, with_flag=True), maintenance, user="root")
    host.expect(AFTER, AfterRequest(site, SYNC_UNIT, jobs), answer, user="root")


def expect_unpause(host, maintenance):
    site = site_for(host.spec)
    host.expect(READ, MaintenanceRequest(site, with_flag=True), maintenance)
    host.expect_lock("unpause")
    request = UnpauseRequest(site, OURS.flag_at)
    host.expect(UNPAUSE_PROGRAM, request, UnpauseAnswer(changed=True))


def test_a_recovered_host_is_only_read(fake_host):
    host = fake_host()
    expect_look(host, make_maintenance(READY))
    checklist = after.check_after_reboot(host)
    assert (checklist.bad, checklist.changed) == ((), False)


def test_a_pause_that_the_boot_did_not_end_is_ended_first(fake_host):
    host = fake_host()
    paused = make_maintenance(READY, pause=OURS)
    expect_look(host, paused)
    expect_unpause(host, paused)
    expect_look(host, make_maintenance(READY))
    checklist = after.check_after_reboot(host)
    assert (checklist.bad, checklist.changed) == ((), True)


def test_a_dry_run_ends_no_pause(fake_host):
    host = fake_host()
    expect_look(host, make_maintenance(READY, pause=OURS))
    checklist = after.check_after_reboot(host, end_pause=False)
    assert [line.what for line in checklist.bad] == ["pause"]
    assert not checklist.changed


@pytest.mark.parametrize(
    ("system", "boot"), [("starting\n", "inactive\n"), ("running\n", "activating\n")]
)
def test_the_boot_is_left_to_end_the_pause(fake_host, monkeypatch, system, boot):
    monkeypatch.setattr(after, "POLL_S", 0.01)
    host = fake_host()
    expect_look(host, make_maintenance(READY, pause=OURS), system=system, boot=boot)
    expect_look(host, make_maintenance(READY))
    assert not after.check_after_reboot(host).changed


def test_lines_that_do_not_recover_in_time_fail(fake_host):
    host = fake_host()
    expect_look(host, make_maintenance(READY), answer=replace(GOOD, has_docker=False))
    checklist = after.check_after_reboot(host, wait_s=0)
    assert [line.what for line in checklist.bad] == ["docker"]


def test_without_a_preparation_no_jobs_are_asked_for(fake_host):
    host = fake_host()
    expect_look(host, make_maintenance(), jobs=())
    assert after.check_after_reboot(host).bad == ()


def test_a_host_that_fails_or_answers_nonsense_is_an_error(fake_host):
    host = fake_host()
    expect_look(host, make_maintenance(READY), answer=failed("OSError: no", traceback="line 1"))
    with pytest.raises(ProgramFailed, match="OSError: no") as caught:
        after.check_after_reboot(host)
    assert (caught.value.traceback, caught.value.host) == ("line 1", "tpp")
    host.expect(SYSTEM, "running")
    host.expect(BOOT, "inactive")
    host.expect(READ, MaintenanceRequest(site_for(host.spec), with_flag=True), Reply(0, "nonsense"))
    with pytest.raises(InvalidResponse):
        after.check_after_reboot(host)


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_stopped_checklist_says_whether_it_ended_a_pause(fake_host, is_paused):
    host = fake_host()
    down = replace(GOOD, has_docker=False)
    if is_paused:
        paused = make_maintenance(READY, pause=OURS)
        expect_look(host, paused, answer=down)
        expect_unpause(host, paused)
    expect_look(host, make_maintenance(READY), answer=down)
    host.stop.set()
    with pytest.raises(Interrupted) as caught:
        after.check_after_reboot(host)
    words = "the pause of the preparation was ended" if is_paused else "nothing was changed"
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("dry", "words"), [(True, "nothing was changed"), (False, "may have been ended")]
)
def test_ctrl_c_in_a_checklist_claims_no_more_than_is_true(dry, words):
    class Stopped(Exception):
        pass

    def screen(*shown, interrupted, changes):
        raise Stopped(interrupted)

    ctx = SimpleNamespace(
        reader=SimpleNamespace(screen=screen),
        options=SimpleNamespace(dry=dry),
        clock=Clock(NOW),
        console=SimpleNamespace(window=80, wide=True),
    )
    with pytest.raises(Stopped, match=words):
        tasks.after_reboot.body(ctx)
