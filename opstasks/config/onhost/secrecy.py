"""Runs on the host: which values are secret, and what may be shown instead."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|LICEN[CS]E|HEADERS|HASH|DSN|DATABASE_URL|_KEY|API_?KEY",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(r"://[^/@\s]*:[^/@\s]*@")


def is_secret(key: str, values: Iterable[str], secret_keys: Iterable[str]) -> bool:
    """Whether a key's value must not be shown. If in doubt, it is a secret."""
    return (
        key in secret_keys
        or bool(SECRET_NAME.search(key))
        or any(SECRET_VALUE.search(value) for value in values)
    )


def fingerprint(key: str, value: str) -> str:
    """Eight digits that distinguish values and are the same on every host.

    The key is the salt; many rounds make it slow to guess a short value.
    """
    made = hashlib.pbkdf2_hmac("sha256", value.encode("utf-8", "replace"), key.encode(), 50_000)
    return made.hex()[:8]


def shown(key: str, value: str | None, secret: bool) -> dict[str, Any]:
    """A value that may leave the host; a secret only as its fingerprint ("" when it is empty)."""
    if value is None:
        return {"is_set": False}
    if not secret:
        return {"is_set": True, "text": value}
    return {"is_set": True, "fingerprint": fingerprint(key, value) if value else ""}
