"""status: releases that cannot be read need a person, and hide nothing else."""

import json

from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.status import read

SPEC = HostSpec(name="tpp")


def releases(code, out, err=""):
    return read._releases(SPEC, Result("", code, out, err))


def test_releases_are_read_with_no_error():
    found, error = releases(0, json.dumps({"ok": {"releases": [{"id": "r1"}]}}))
    assert ([item.id for item in found], error) == (["r1"], "")


def test_releases_that_cannot_be_read_are_an_error_in_words():
    found, error = releases(0, "nonsense")
    assert (found, error) == ((), "invalid response from the host: it is not JSON")
    found, error = releases(127, "", "python3: not found")
    assert (found, error) == ((), "deploy.releases ended with exit code 127, without an answer")
