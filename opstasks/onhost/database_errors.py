"""Runs on the host: what an error of SQLite means, in the same words everywhere."""

import sqlite3

LOCKED = "the database is locked"


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether SQLite reports damage: then waiting does not help.

    A lock, a full disk and a missing right are OperationalErrors. Python before 3.11 has no error
    codes.
    """
    return type(error) is sqlite3.DatabaseError


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another program has the database locked."""
    return isinstance(error, sqlite3.OperationalError) and "is locked" in str(error)


def explain(error: sqlite3.Error) -> str:
    """The reason, for people."""
    if is_locked(error):
        return LOCKED
    return f"the database is damaged: {error}" if is_damaged(error) else str(error)
