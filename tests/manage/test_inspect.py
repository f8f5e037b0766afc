"""Requests to a host, and invalid answers."""

import copy
import json

import pytest

from opstasks.core.errors import CommandFailed, InvalidResponse, ProgramFailed
from opstasks.core.result import Result
from opstasks.manage import inspect
from tests.fake_host import Reply, failed
from tests.manage.manage_help import described, facts_of, spec, typed

PATH = "/home/opensafely/secret"


@pytest.fixture(scope="module")
def wanted():
    return described("sandbox")


@pytest.fixture
def facts(wanted):
    return copy.deepcopy(facts_of(wanted))


def decoded(facts, wanted):
    """These facts, encoded and decoded as an answer."""
    result = Result("", 0, json.dumps({"ok": facts}) + "\n", "")
    return inspect.decode(result, inspect.request(wanted, spec("sandbox")), "tpp")


def test_a_good_answer_is_decoded(facts, wanted):
    assert decoded(facts, wanted) == typed(facts)


NONSENSE = {
    "a missing section": lambda f: f.pop("paths"),
    "a missing path": lambda f: f["paths"].pop(PATH),
    "a missing tree": lambda f: f["trees"].clear(),
    "a missing package": lambda f: f["packages"].pop("tree"),
    "a missing unit": lambda f: f["units"].pop("jobrunner"),
    "a missing setting": lambda f: f["settings"].clear(),
    "a missing probe": lambda f: f["probes"].clear(),
    "a missing checkout": lambda f: f["checkouts"].popitem(),
    "a missing account": lambda f: f["users"].pop("rosa"),
    "a missing group": lambda f: f["groups"].pop("docker"),
    "no login": lambda f: f.update(login=None),
    "a mode that is a number": lambda f: f["paths"][PATH].update(mode=640),
    "an owner that is null": lambda f: f["paths"][PATH].update(owner=None),
    "a time in the year 33658": lambda f: f["paths"][PATH].update(changed_at=1e12),
    "a time before 1970": lambda f: f["paths"][PATH].update(changed_at=-1),
    "a negative count": lambda f: f["trees"][next(iter(f["trees"]))].update(wrong=-1),
    "a group without members": lambda f: f["groups"]["docker"].update(members=None),
    "an id that is a text": lambda f: f["users"]["rosa"].update(uid="1005"),
    "a package that is a text": lambda f: f["packages"].update(tree="yes"),
    "a unit that is null": lambda f: f["units"].update(jobrunner=None),
    "a use without a time": lambda f: f["last_uses"].update(x={"who": "dev"}),
    "an age that is negative": lambda f: f.update(lists_age_s=-5),
    "a text without end": lambda f: f["paths"][PATH].update(text="x" * (5 << 20)),
}


@pytest.mark.parametrize("change", NONSENSE.values(), ids=NONSENSE)
def test_a_nonsense_answer_is_an_invalid_response(facts, wanted, change):
    change(facts)
    with pytest.raises(InvalidResponse, match="invalid response from the host") as caught:
        decoded(facts, wanted)
    assert caught.value.host == "tpp"


@pytest.mark.parametrize("out", ["", "null\n", "[]\n", "hello\n", '{"ok": []}\n', '{"ok": NaN}\n'])
def test_output_that_is_not_an_answer_is_an_invalid_response(fake_host, wanted, out):
    host = fake_host()
    host.expect(inspect.INSPECT, inspect.request(wanted, host.spec), Reply(out=out), user="root")
    with pytest.raises(InvalidResponse):
        inspect.inspect(host, wanted)


def test_a_host_program_that_fails_says_why(fake_host, wanted):
    host = fake_host()
    asked = inspect.request(wanted, host.spec)
    host.expect(inspect.INSPECT, asked, failed("OSError: bad disk", traceback="File x"))
    host.expect(inspect.INSPECT, asked, Reply(127, "", "python3: not found"))
    with pytest.raises(ProgramFailed, match="bad disk"):
        inspect.inspect(host, wanted)
    with pytest.raises(CommandFailed, match="exit code 127"):
        inspect.inspect(host, wanted)


def test_secret_files_are_asked_about_without_their_content(wanted):
    asked = inspect.request(wanted, spec("sandbox"))
    read = {entry.path for entry in asked.paths if entry.may_read}
    assert "/home/opensafely/config/01_defaults.env" in read
    assert not {f"/home/opensafely/config/{name}.env" for name in ("02_secrets", "04_local")} & read
