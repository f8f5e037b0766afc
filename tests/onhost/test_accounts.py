"""Names of accounts, of which one number may have several."""

import os
import pwd
from types import SimpleNamespace

import pytest

from opstasks.onhost.accounts import own_name


@pytest.mark.parametrize(
    ("likely", "name"),
    [
        ("second", "second"),
        ("first", "first"),
        ("other", "first"),
        ("gone", "first"),
        ("", "first"),
    ],
)
def test_an_account_with_two_names_has_the_likely_one(monkeypatch, likely, name):
    ids = {"first": os.geteuid(), "second": os.geteuid(), "other": os.geteuid() + 1}
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="first"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=ids[name]))
    assert own_name(likely) == name
