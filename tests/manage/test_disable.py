"""users.disable: which accounts it accepts, what counts as disabled, what it does."""

import msgspec
import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import CommandFailed, Refused, VerifyFailed
from opstasks.fleet.host import Host
from opstasks.manage import disable, inspect
from opstasks.manage.actions import DisableUser
from opstasks.manage.facts import ManageFacts, UserFacts
from opstasks.manage.model import Description
from opstasks.manage.perform import APPLY, ApplyAnswer, ApplyRequest
from tests.fake_host import ANY, Reply, failed
from tests.manage.manage_help import facts_of, spec

DISABLED = {"groups": [], "locked": True, "expired": True, "shell": "/usr/sbin/nologin"}
DISABLED |= {"uid": 1007, "group": "x", "home": "/home/x"}
OPEN = DISABLED | {"groups": ["docker"], "locked": False}


def no_connection(_):
    raise AssertionError("nothing may be connected to")


def facts(user, *, keyed=(), login="ops"):
    found = facts_of(Description(), login) | {"users": {"x": user}, "keyed": list(keyed)}
    return msgspec.convert(found, ManageFacts)


def ways_in(change, **more):
    return disable.ways_in(msgspec.convert(DISABLED | change, UserFacts), **more)


@pytest.fixture
def host():
    return Host(spec("sandbox"), connect=no_connection)


@pytest.mark.parametrize("name", ["root", "opensafely", "a b", "", "-x", "x;y", "../x", "x\n"])
def test_a_name_that_is_not_a_persons_is_refused(host, name):
    with pytest.raises(Refused, match="is not a person's account"):
        disable.check_name(host, name)


def test_a_listed_person_is_refused_without_a_connection(host):
    with pytest.raises(Refused, match="rosa is still listed in researchers"):
        disable.check_name(host, "rosa")
    disable.check_name(host, "eve")


def test_an_account_with_nothing_left_is_disabled():
    assert ways_in({}, has_keys=False) == ()


@pytest.mark.parametrize(
    ("change", "has_keys", "said"),
    [
        ({}, True, "keys"),
        ({"groups": ["docker"]}, False, "group docker"),
        ({"locked": False}, False, "password"),
        ({"expired": False}, False, "not expired"),
        ({"shell": "/bin/bash"}, False, "shell /bin/bash"),
    ],
)
def test_any_single_right_left_means_not_disabled(change, has_keys, said):
    assert ways_in(change, has_keys=has_keys) == (said,)


def test_an_account_is_described_in_words():
    assert disable.Account("x", False, ()).describe() == "no such account"
    assert disable.Account("x", True, ()).describe() == "already disabled"
    account = disable.Account("x", True, ("keys",), 2, ("/var/spool/cron/x",))
    assert account.describe() == "keys"
    assert account.goes_on() == "2 processes, 1 scheduled job"
    assert disable.Account("x", True, (), 1).goes_on() == "1 process"
    assert disable.Account("x", True, ()).goes_on() == ""


@pytest.mark.parametrize(("uid", "persons"), [(999, False), (1000, True), (65534, False)])
def test_system_accounts_are_refused(host, uid, persons):
    found = facts(DISABLED | {"uid": uid})
    if persons:
        assert disable.account(host, "x", found).exists
        return
    with pytest.raises(Refused, match="system account"):
        disable.account(host, "x", found)


def test_the_own_account_is_refused(host):
    with pytest.raises(Refused, match="you are logged in as x"):
        disable.account(host, "x", facts(OPEN, login="x"))


# -- on a host -----------------------------------------------------------------------------------


def expect_look(host, found, processes="0\n", scheduled=""):
    host.expect(inspect.INSPECT, disable.request(host, "x"), found, user="root")
    expect_rest(host, processes, scheduled)


def expect_rest(host, processes="0\n", scheduled=""):
    host.expect(cmd("pgrep", "--count", "--uid", "x"), Reply(1, processes))
    host.expect(disable.scheduled("x"), Reply(1, scheduled))


def test_an_open_account_is_disabled_and_verified(fake_host):
    host = fake_host()
    expect_look(host, facts(OPEN, keyed=["x"]), "2\n", "/var/spool/cron/crontabs/x\n")
    host.expect_lock("users.disable")
    host.expect(APPLY, ApplyRequest((DisableUser(name="x"),)), ApplyAnswer(1), user="root")
    host.expect(inspect.INSPECT, disable.request(host, "x"), facts(DISABLED))
    expect_rest(host, "1\n", "/var/spool/cron/crontabs/x\n")
    done = disable.disable(host, "x")
    assert done.before.describe() == "keys, group docker, password"
    assert done.before.goes_on() == "2 processes, 1 scheduled job"
    assert done.after.describe() == "already disabled"
    assert done.after.goes_on() == "1 process, 1 scheduled job", "read again"
    assert (done.after.open, done.changed) == ((), True)


def test_a_disabled_account_is_left_alone(fake_host):
    host = fake_host()
    expect_look(host, facts(DISABLED), "nonsense")
    assert not disable.disable(host, "x").changed


def test_an_account_that_stays_open_is_a_failure(fake_host):
    host = fake_host()
    expect_look(host, facts(OPEN))
    host.expect_lock("users.disable")
    host.expect(APPLY, ApplyRequest((DisableUser(name="x"),)), ApplyAnswer(1))
    host.expect(inspect.INSPECT, disable.request(host, "x"), facts(OPEN))
    expect_rest(host)
    with pytest.raises(VerifyFailed, match="x still has group docker, password"):
        disable.disable(host, "x")


def test_the_hint_after_a_failure_is_to_disable_again_and_not_manage(fake_host):
    host = fake_host()
    expect_look(host, facts(OPEN))
    host.expect_lock("users.disable")
    host.expect(APPLY, ANY, failed("usermod failed", "cannot lock /etc/passwd"))
    host.expect(inspect.INSPECT, disable.request(host, "x"), facts(OPEN))
    with pytest.raises(CommandFailed, match="user x failed") as caught:
        disable.disable(host, "x")
    assert caught.value.hint == f"fix it, then: inv -H {host.name} users.disable x"
