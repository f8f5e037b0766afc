"""Which accounts sudo may ask for a password, and what the service account is told."""

import pytest

from opstasks.core.errors import Refused
from opstasks.fleet import refusals, sudo
from opstasks.fleet.inventory import HostSpec

SAID = "sudo: a password is required"


@pytest.mark.parametrize(
    ("setting", "login", "mode"),
    [
        ("ask", "ann", sudo.ASK),
        ("ask", "root", sudo.NEVER_ASKS),
        ("ask", "opensafely", sudo.NEVER_ASKS),
        ("nopasswd", "ann", sudo.NEVER_ASKS),
    ],
)
def test_only_people_are_asked_for_a_password(setting, login, mode):
    assert sudo.mode(setting, login, "opensafely") == mode


@pytest.mark.parametrize("local", [True, False])
def test_the_service_account_is_told_who_may_become_root(monkeypatch, local):
    monkeypatch.setattr(sudo, "members", lambda groups: ["ann", "bob"])
    spec = HostSpec(name="tpp", address="tpp", local=local)
    error = refusals.refusal(SAID, "tpp", "root", sudo.advice(spec, "opensafely"))
    assert isinstance(error, Refused)
    assert "may not become root: sudo: a password is required" in error.message
    assert "log in with the account of a developer" in error.hint
    assert ("(ann, bob)" in error.hint) == local


def test_a_person_whom_sudo_refuses_gets_the_usual_hint():
    spec = HostSpec(name="tpp", address="tpp")
    error = refusals.refusal(SAID, "tpp", "root", sudo.advice(spec, "ann"))
    assert "ask for sudo rights" in error.hint


def test_a_group_that_does_not_exist_has_no_members():
    assert sudo.members(("no such group",)) == []
