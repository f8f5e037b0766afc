"""status: releases that cannot be read need a person, and hide nothing else."""

import json

import pytest

from opstasks.core.errors import InvalidResponse
from opstasks.core.result import Result
from opstasks.status.inspect import decode
from opstasks.status.judge import judge
from tests.status.status_help import SPEC, results


def decoded(code, out, err=""):
    return decode(SPEC, results(releases=Result("", code, out, err)))


def test_releases_are_read_without_a_problem():
    facts = decoded(0, json.dumps({"ok": {"releases": [{"id": "r1"}]}}))
    assert ([item.id for item in facts.releases], facts.problems) == (["r1"], ())


def test_releases_that_cannot_be_read_are_a_problem_for_people():
    facts = decoded(127, "", "python3: not found")
    assert facts.releases == ()
    (problem,) = facts.problems
    ended = "deploy.releases ended with exit code 127, without an answer"
    assert problem == f"releases: {ended}: python3: not found"


def test_a_record_that_cannot_be_read_needs_a_person():
    record = {"id": "r1", "unread": "permission denied"}
    judged = judge(decoded(0, json.dumps({"ok": {"releases": [record]}})), 0.0)
    (found,) = [one for one in judged.concerns if "record of release" in one.text]
    assert found.text == "the record of release r1 cannot be read: permission denied"
    assert (found.next, judged.last_release) == ("inv -H tpp doctor", None)


def test_a_checkout_that_git_cannot_read_is_a_problem_in_its_words():
    words = "fatal: detected dubious ownership in repository\nTo add an exception, call"
    facts = decode(SPEC, results(release=Result("", 128, "", words)))
    text = f"cannot read {SPEC.code_dir}: fatal: detected dubious ownership in repository"
    assert (facts.release, facts.problems) == (None, (text,))


def test_code_that_cannot_start_with_its_database_needs_a_person():
    versions = {"code_version": 1, "database_version": 3}
    answer = Result("", 0, json.dumps({"ok": versions}), "")
    (text,) = [
        one.text
        for one in judge(decode(SPEC, results(fit=answer)), 0.0).concerns
        if "the code needs" in one.text
    ]
    assert text.endswith("database is at version 3: the service cannot start")


def test_invalid_releases_are_an_invalid_response_of_the_host():
    with pytest.raises(InvalidResponse) as caught:
        decoded(0, "nonsense")
    assert caught.value.host == "tpp"


@pytest.mark.parametrize(
    ("code", "out", "behind"), [(0, "5\n", 5), (0, "0\n", 0), (128, "", None), (0, "²\n", None)]
)
def test_commits_behind_the_fetched_branch_are_counted_if_git_knows_it(code, out, behind):
    assert decode(SPEC, results(behind=Result("", code, out, ""))).behind == behind
