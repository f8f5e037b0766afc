"""users.disable: who may be shut out, and what counts as shut."""

import pytest

from opstasks.core.errors import Refused
from opstasks.fleet.host import Host
from opstasks.manage import disable
from tests.manage.manage_help import spec

SHUT = {"groups": [], "locked": True, "expired": True, "shell": "/usr/sbin/nologin"}


def no_connection(_):
    raise AssertionError("nothing may be connected to")


@pytest.fixture
def host():
    return Host(spec("sandbox"), connect=no_connection)


@pytest.mark.parametrize("name", ["root", "opensafely", "a b", "", "-x", "x;y", "../x", "x\n"])
def test_what_is_no_persons_account_is_refused(host, name):
    with pytest.raises(Refused, match="is no person's account"):
        disable.check_name(host, name)


def test_who_is_still_listed_is_refused_without_a_connection(host):
    with pytest.raises(Refused, match="rosa is still listed in researchers"):
        disable.check_name(host, "rosa")
    disable.check_name(host, "eve")


def test_an_account_with_nothing_left_is_shut():
    assert disable.ways_in(SHUT, keyed=False) == ()


@pytest.mark.parametrize(
    ("change", "keyed", "said"),
    [
        ({}, True, "keys"),
        ({"groups": ["docker"]}, False, "group docker"),
        ({"locked": False}, False, "password"),
        ({"expired": False}, False, "not expired"),
        ({"shell": "/bin/bash"}, False, "shell /bin/bash"),
    ],
)
def test_any_single_thing_left_keeps_it_open(change, keyed, said):
    assert disable.ways_in(SHUT | change, keyed=keyed) == (said,)


def test_an_account_is_described_in_words():
    assert disable.Account("x", False, ()).describe() == "no such account"
    assert disable.Account("x", True, ()).describe() == "shut already"
    running = disable.Account("x", True, ("keys",), 2).describe()
    assert running == "keys; 2 process(es) run on"


@pytest.mark.parametrize(("uid", "persons"), [(999, False), (1000, True), (65534, False)])
def test_accounts_of_the_system_are_left_alone(host, uid, persons):
    found = {"login": "ops", "users": {"x": SHUT | {"uid": uid}}, "keyed": []}
    if persons:
        assert disable.account(host, "x", found).exists
        return
    with pytest.raises(Refused, match="account of the system"):
        disable.account(host, "x", found)
