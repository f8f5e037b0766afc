"""Public keys from an https address; imported only where a backend has one."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from opstasks.manage.keys import NotAKey, SshKey, parse

FETCH_TIMEOUT_S = 10.0
# A person has a few keys of less than 1 kB each; a longer answer is not a list of keys.
LARGEST_ANSWER = 64 * 1024


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows a redirection to another https address only."""

    def redirect_request(self, *args: object) -> urllib.request.Request | None:
        request: urllib.request.Request | None = super().redirect_request(*args)  # type: ignore[arg-type]
        if request is not None and not request.full_url.startswith("https://"):
            raise urllib.error.URLError("it redirects away from https")
        return request


def fetch_one(url: str) -> tuple[SshKey, ...]:
    """The keys at an address; raises OSError or NotAKey for any other answer."""
    opener = urllib.request.build_opener(_NoDowngrade())
    with opener.open(url, timeout=FETCH_TIMEOUT_S) as answer:
        data = whole(answer)
    found = parse(data.decode("utf-8", "replace"))
    if not found:
        raise NotAKey("an empty answer")
    return found


def whole(answer: http.client.HTTPResponse) -> bytes:
    """The complete answer; raises NotAKey for an incomplete one, which might lack keys.

    Python treats a broken connection as the end of the answer.
    """
    if not (answer.chunked or answer.length is not None):
        raise NotAKey("an answer that does not say how long it is")
    deadline = time.monotonic() + FETCH_TIMEOUT_S
    data = b""
    while part := answer.read1(LARGEST_ANSWER):
        data += part
        if len(data) > LARGEST_ANSWER:
            raise NotAKey("far too long for a list of keys")
        if time.monotonic() > deadline:
            raise TimeoutError("too slow")
    if answer.length:
        raise NotAKey("an incomplete answer")
    return data


def fetch(source: str, names: Iterable[str]) -> dict[str, tuple[SshKey, ...] | str]:
    """Each person's keys from `source`, or the reason why they could not be fetched."""

    def one(name: str) -> tuple[SshKey, ...] | str:
        try:
            return fetch_one(source.replace("{name}", name))
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            return " ".join(str(reason).split())[:120] or type(error).__name__

    names = list(names)
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))
