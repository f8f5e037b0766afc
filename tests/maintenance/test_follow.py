"""Following a preparation through lost connections, and waiting for a boot."""

import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import (
    CommandFailed,
    Interrupted,
    InvalidResponse,
    Lost,
    ProgramFailed,
    TimedOut,
    Unreachable,
    VerifyFailed,
)
from opstasks.maintenance import follow as following
from opstasks.maintenance.onhost.records import ItemStep
from opstasks.maintenance.records import READ, MaintenanceRequest
from opstasks.maintenance.site import site_for
from tests.fake_host import Reply, failed
from tests.maintenance.client_help import make_item, make_maintenance

BOOT_ID = cmd("cat", "/proc/sys/kernel/random/boot_id")
RUNNING = {"opstasks-one.service": "active"}


@pytest.fixture
def host(fake_host, monkeypatch):
    monkeypatch.setattr(following, "POLL_S", 0.01)
    monkeypatch.setattr(following, "BOOT_POLL_S", 0.01)
    return fake_host()


def expect_read(host, reply):
    host.expect(READ, MaintenanceRequest(site_for(host.spec)), reply, user="root")


def steps(*texts):
    return tuple(ItemStep(5.0, text) for text in texts)


def test_each_step_is_shown_once(host):
    first = make_item(step="waiting", steps=steps("wait"))
    later = make_item(step="draining", steps=steps("wait", "pause"))
    over = make_item(step="done", steps=steps("wait", "pause", "done"), outcome="ready")
    for item in (first, first, later, over):
        expect_read(host, make_maintenance(item, units=RUNNING))
    assert following.follow(host, "one") == over
    assert host.steps == ["wait", "pause", "done"]


@pytest.mark.parametrize("trouble", [Unreachable("lost"), TimedOut("no answer"), Lost("lost")])
def test_a_lost_or_silent_connection_is_made_again(host, monkeypatch, trouble):
    closed = []
    monkeypatch.setattr(host, "close", lambda: closed.append(1))
    expect_read(host, trouble)
    expect_read(host, make_maintenance(make_item(outcome="ready")))
    assert following.follow(host, "one").outcome == "ready"
    assert closed == [1]


def test_the_record_is_read_with_a_short_time_limit(host):
    expect_read(host, make_maintenance(make_item(outcome="ready")))
    following.follow(host, "one")
    assert host.seen[0].timeout_s == 10


def test_a_connection_that_does_not_return_is_lost(host, monkeypatch):
    monkeypatch.setattr(following, "AWAY_S", 0.05)
    host.expect(READ, MaintenanceRequest(site_for(host.spec)), Unreachable("gone"), times=None)
    with pytest.raises(Lost, match="the host continues by itself") as caught:
        following.follow(host, "one")
    assert isinstance(caught.value.__cause__, Unreachable)
    assert caught.value.hint == "inv -H tpp scheduled"


@pytest.mark.parametrize(
    ("boot", "text", "task"),
    [
        ("now", "its unit ended at 'requeueing'", "scheduled.cancel one"),
        ("before", "the host went down at 'requeueing'", "after-reboot"),
    ],
)
def test_work_that_was_interrupted_is_an_error(host, boot, text, task):
    expect_read(host, make_maintenance(make_item(step="requeueing", boot_id=boot)))
    with pytest.raises(CommandFailed, match=f"interrupted: {text}") as caught:
        following.follow(host, "one")
    assert caught.value.hint == f"inv -H tpp {task}"


def test_a_host_that_goes_down_gives_no_answer_for_a_moment(host):
    """Its programs still run, but systemd does not answer them."""
    expect_read(host, failed("cannot read the units of scheduled work"))
    expect_read(host, make_maintenance(make_item(outcome="ready")))
    assert following.follow(host, "one").outcome == "ready"


def test_a_record_that_can_never_be_read_is_an_error(host, monkeypatch):
    monkeypatch.setattr(following, "AWAY_S", 0.05)
    request = MaintenanceRequest(site_for(host.spec))
    host.expect(READ, request, failed("cannot read the units"), times=None)
    with pytest.raises(ProgramFailed, match="cannot read the units"):
        following.follow(host, "one")


def test_nonsense_is_not_followed(host):
    expect_read(host, Reply(0, '{"ok": {"now_at": null}}'))
    with pytest.raises(InvalidResponse):
        following.follow(host, "one")


def test_ctrl_c_leaves_the_work_to_the_host(host):
    expect_read(host, make_maintenance(make_item(step="draining"), units=RUNNING))
    host.stop.set()
    with pytest.raises(Interrupted, match="no longer following; the host continues") as caught:
        following.follow(host, "one")
    assert "scheduled.cancel one" in caught.value.message


def test_a_new_boot_is_waited_for(host):
    for reply in ("before", Unreachable("down"), TimedOut("slow"), Lost("gone"), "after"):
        host.expect(BOOT_ID, reply)
    seen = []
    following.wait_for_boot(host, "before", 60, lambda: seen.append("up"))
    assert seen == ["up"]


@pytest.mark.parametrize(
    "trouble", [ProgramFailed("no answer from systemd", host="tpp"), Lost("gone"), TimedOut("slow")]
)
def test_a_host_that_goes_down_while_it_is_asked_is_waited_for(host, trouble):
    for reply in ("before", "after"):
        host.expect(BOOT_ID, reply)

    def ask():
        raise trouble

    following.wait_for_boot(host, "before", 60, ask)


def test_a_reboot_that_was_called_off_is_not_waited_for(host):
    host.expect(BOOT_ID, "before")

    def ask():
        raise VerifyFailed("failed: somebody has changed the host", host="tpp")

    with pytest.raises(VerifyFailed, match="somebody has changed the host"):
        following.wait_for_boot(host, "before", 60, ask)


def test_a_boot_that_does_not_happen_is_reported(host):
    host.expect(BOOT_ID, "before", times=None)
    with pytest.raises(VerifyFailed, match=r"no new boot was seen within 0s"):
        following.wait_for_boot(host, "before", 0.05, lambda: None)


def test_ctrl_c_while_it_boots_says_what_to_run(host):
    host.expect(BOOT_ID, "before")
    host.stop.set()
    with pytest.raises(Interrupted, match="after-reboot"):
        following.wait_for_boot(host, "before", 60, lambda: None)
