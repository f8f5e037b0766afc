"""jobs.queries: the request to the host, and its answer."""

import json

import pytest

from opstasks.core.errors import InvalidResponse, Refused
from opstasks.queries.statements import (
    STATEMENTS,
    JobStatement,
    StatementsAnswer,
    StatementsRequest,
    read_statements,
)
from tests.fake_host import Reply, refused

NOW = 1_000_000.0
ASKED = StatementsRequest("/home/opensafely/config", "jobrunner-db", False)


def job(name, **over):
    return JobStatement(name, "w", "a", "r/ehrql:v1", NOW, **over)


def test_the_longest_running_statement_comes_first(fake_host):
    host = fake_host()
    jobs = (
        job("fresh", began_at=NOW - 5),
        job("silent", reason="its log contains no statement"),
        job("over", began_at=NOW - 900, ended_at=NOW - 890),
        job("old", began_at=NOW - 600),
        job("ahead", began_at=NOW + 5),
    )
    host.expect(STATEMENTS, ASKED, StatementsAnswer(jobs))
    found = read_statements(host, sql=False)
    assert [item.job for item in found] == ["old", "over", "fresh", "silent", "ahead"]
    assert [item.elapsed_s for item in found] == [600, 10, 5, 0, 0]


def test_a_docker_that_does_not_answer_is_refused_with_a_hint(fake_host):
    host = fake_host()
    host.expect(STATEMENTS, ASKED, refused("cannot read the jobs: no Docker daemon"))
    with pytest.raises(Refused, match="Docker daemon") as caught:
        read_statements(host, sql=False)
    assert caught.value.hint == "inv -H tpp doctor"


def test_a_host_that_is_not_set_up_keeps_its_own_hint(fake_host):
    host = fake_host()
    host.expect(STATEMENTS, ASKED, Refused("no account", hint="inv -H tpp manage"))
    with pytest.raises(Refused) as caught:
        read_statements(host, sql=False)
    assert caught.value.hint == "inv -H tpp manage"


GOOD = {"job": "a", "workspace": "w", "action": "a", "image": "i", "now_at": NOW}


@pytest.mark.parametrize(
    "over",
    [
        {"job": None},
        {"workspace": 7},
        {"now_at": "now"},
        {"began_at": -1.0},
        {"began_at": 1e12},
        {"ended_at": None},
        {"sql": ["SELECT"]},
    ],
    ids=repr,
)
def test_an_invalid_statement_is_an_invalid_response(fake_host, over):
    host = fake_host()
    for found in (GOOD, {**GOOD, **over}):
        host.expect(STATEMENTS, ASKED, Reply(out=json.dumps({"ok": {"jobs": [found]}})))
    assert read_statements(host, sql=False)[0].job == "a"
    with pytest.raises(InvalidResponse):
        read_statements(host, sql=False)
