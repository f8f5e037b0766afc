"""Runs on the host: what is shown instead of a secret value."""

import hashlib
from typing import Any


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
