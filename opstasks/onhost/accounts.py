"""Runs on the host: names of accounts."""

import contextlib
import os
import pwd


def account_name(uid: int) -> str:
    """An account's name, or its number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def own_name(likely: str) -> str:
    """The name of the account that asks; an account may have several: then `likely`, if it fits."""
    with contextlib.suppress(KeyError):
        if pwd.getpwnam(likely).pw_uid == os.geteuid():
            return likely
    return account_name(os.geteuid())
