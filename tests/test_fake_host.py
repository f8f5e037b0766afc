"""The strict stand-in for a host is strict."""

import msgspec
import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import ProgramFailed, Refused
from opstasks.fleet.change import change
from opstasks.fleet.lock import Owner
from opstasks.fleet.program import Program
from tests.fake_host import ANY, FakeHost, answered, failed, refused


class Asked(msgspec.Struct):
    word: str


class Said(msgspec.Struct):
    word: str


ONE = Program("opstasks.onhost.protocol", Asked, Said, part=str)
OTHER = Program("opstasks.onhost.flock", Asked, Said)


def test_expected_calls_get_their_answers():
    host = FakeHost()
    host.expect_lock("work")
    host.expect(ONE, Asked("a"), Said("b"))
    host.expect(ONE, ANY, refused("no"))
    host.expect(ONE, Asked("c"), failed("broke", "tail"))
    host.expect(cmd("true"), "yes\n", user="opensafely")
    with change(host.service, "work"):
        assert host.service.call(ONE, Asked("a")) == Said("b")
        with pytest.raises(Refused, match="no"):
            host.root.call(ONE, Asked("whatever"))
        with pytest.raises(ProgramFailed, match="broke"):
            host.root.call(ONE, Asked("c"))
        assert host.service.output(cmd("true")) == "yes"
    host.finish()


def test_parts_of_an_answer_are_passed_on():
    host = FakeHost()
    host.expect(ONE, Asked("a"), answered(Said("b"), parts=["1", "2"]))
    seen = []
    assert host.service.follow(ONE, Asked("a"), seen.append) == Said("b")
    assert seen == ["1", "2"]


@pytest.mark.parametrize(
    "call",
    [
        lambda host: host.service.call(OTHER, Asked("a")),
        lambda host: host.service.call(ONE, Asked("b")),
        lambda host: host.root.call(ONE, Asked("a")),
        lambda host: host.service.run(cmd("true")),
    ],
    ids=["another program", "another request", "another account", "a command"],
)
def test_an_unexpected_call_fails_even_when_it_is_caught(call):
    host = FakeHost()
    host.expect(ONE, Asked("a"), Said("b"), user="opensafely")
    with pytest.raises(AssertionError, match=r"expected: onhost\.protocol"):
        call(host)
    with pytest.raises(AssertionError, match="called:"):
        host.finish()


def test_a_missing_call_fails():
    host = FakeHost()
    host.expect(cmd("true"), "")
    with pytest.raises(AssertionError, match="never called: true"):
        host.finish()


def test_calls_in_the_wrong_order_fail():
    host = FakeHost()
    host.expect(cmd("first"), "")
    host.expect(cmd("second"), "")
    with pytest.raises(AssertionError, match="expected: first"):
        host.service.run(cmd("second"))


def test_a_busy_lock_refuses_the_change():
    host = FakeHost()
    host.expect_lock("work", held_by=Owner("alice@laptop", "deploy", "", "r1"))
    with pytest.raises(Refused, match="alice@laptop"), change(host.service, "work"):
        pytest.fail("inside")
    host.finish()
