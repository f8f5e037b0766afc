"""Runs on the host: names of accounts."""

import pwd


def account_name(uid: int) -> str:
    """An account's name, or its number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
