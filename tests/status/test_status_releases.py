"""status: releases that cannot be read need a person, and hide nothing else."""

import json

import pytest

from opstasks.core.errors import InvalidResponse
from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.status.inspect import decode, questions
from opstasks.status.judge import attention
from tests.status.status_help import answers_of_a_quiet_host

SPEC = HostSpec(name="tpp")


def decoded(code, out, err=""):
    results = dict.fromkeys(questions(SPEC), Result("", 0, "", "")) | answers_of_a_quiet_host()
    return decode(SPEC, results | {"releases": Result("", code, out, err)})


def test_releases_are_read_without_a_problem():
    facts = decoded(0, json.dumps({"ok": {"releases": [{"id": "r1"}]}}))
    assert ([item.id for item in facts.releases], facts.problems) == (["r1"], ())


def test_releases_that_cannot_be_read_are_a_problem_for_people():
    facts = decoded(127, "", "python3: not found")
    assert facts.releases == ()
    (problem,) = facts.problems
    ended = "deploy.releases ended with exit code 127, without an answer"
    assert problem == f"releases: {ended}: python3: not found"


def test_a_checkout_that_git_cannot_read_is_a_problem_in_its_words():
    results = dict.fromkeys(questions(SPEC), Result("", 0, "", "")) | answers_of_a_quiet_host()
    words = "fatal: detected dubious ownership in repository\nTo add an exception, call"
    facts = decode(SPEC, results | {"deployed": Result("", 128, "", words)})
    text = f"cannot read {SPEC.code_dir}: fatal: detected dubious ownership in repository"
    assert (facts.deployed, facts.problems) == ("", (text,))


def test_code_that_cannot_start_with_its_database_needs_a_person():
    versions = {"code_version": 1, "database_version": 3}
    results = dict.fromkeys(questions(SPEC), Result("", 0, "", "")) | answers_of_a_quiet_host()
    answer = Result("", 0, json.dumps({"ok": versions}), "")
    (text,) = [
        text
        for text in attention(decode(SPEC, results | {"fit": answer}), 0.0)
        if "the code needs" in text
    ]
    assert text.endswith("database is at version 3: the service cannot start")


def test_invalid_releases_are_an_invalid_response_of_the_host():
    with pytest.raises(InvalidResponse) as caught:
        decoded(0, "nonsense")
    assert caught.value.host == "tpp"
