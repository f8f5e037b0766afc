"""What happened, in the same words for `ssh` and for our tool, and where the two differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The first that matches is the reason. Each pattern has the words of OpenSSH and ours.
REASONS = (
    ("nothing said", r"^\s*$"),
    ("traceback", r"Traceback \(most recent call last\)|internal error"),
    ("hung", r"did not end in time"),
    (
        "config",
        r"(?i)bad configuration option|bad owner or permissions|can't open user config file"
        r"|line \d+: |too many recursive|jumphost loop|invalid number of",
    ),
    ("expansion", r"percent_expand|has no value|has no variable|%\w is not supported"),
    ("revoked file", r"in revoked keys file|cannot read RevokedHostKeys|RevokedHostKeys with ~"),
    ("key revoked", r"REVOKED|revoked"),
    ("key changed", r"CHANGED"),
    (
        "key unknown",
        r"host key is known for|host key of \S+ is not known|is not known"
        r"|another key is known for the address"
        r"|authenticity of host|Host key verification failed",
    ),
    ("key too short", r"Invalid key length|too short"),
    (
        "no address",
        r"(?i)could not resolve host|no address for|cannot look up|name or service not known",
    ),
    ("protocol version", r"Protocol major versions differ|Incompatible version"),
    ("no common algorithm", r"no matching|supports none of our|no algorithm in"),
    ("too many keys", r"Too many authentication failures|too many keys"),
    (
        "forwarding",
        r"administratively prohibited|does not forward|open failed"
        r"|gateway \S+ is up, but cannot connect",
    ),
    ("timed out", r"timed out|no answer from|within \d"),
    ("refused", r"[Cc]onnection refused"),
    ("no route", r"[Nn]o route to host"),
    ("own address", r"(?i)cannot assign requested|no suitable addresses|invalid argument"),
    (
        "denied",
        r"Permission denied|did not accept our key|would accept \S+, but|no key to offer"
        r"|cannot use the key",
    ),
    (
        "closed",
        r"Connection closed|Connection reset|kex_exchange_identification|closed the conn"
        r"|[Cc]onnection was closed|banner|protocol|EOF|lost|ended",
    ),
)
# What servers and proxies of the table say is written like this, so that it can be found.
SAID = re.compile(r"\(\(([^()]*)\)\)|(account has expired)")
_PLACE = re.compile(r"([\w.~/-]+):? line (\d+)")


def reason(text: str) -> str:
    """The category of an error message."""
    found = (name for name, pattern in REASONS if re.search(pattern, text))
    return next(found, f"other: {text.strip()[:200]}")


def summary(result: Mapping[str, Any], visits: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared: a successful login, or its reason; and what the servers saw."""
    found: dict[str, Any] = {"connected": result["ok"], "servers": dict(visits)}
    if result["ok"]:
        found |= login(result["out"])
    else:
        found["reason"] = reason(result["err"])
        found["said"] = sorted({a or b for a, b in SAID.findall(result["err"])})
        found["places"] = sorted(
            {
                f"{file.rsplit('/', 1)[-1]} line {number}"
                for file, number in _PLACE.findall(result["err"])
            }
        )
    return found


def login(out: str) -> dict[str, str]:
    """User, the client's address as the server sees it, and the server's address and port."""
    found = re.search(r"user=(\S*) connection=(\S+) \d+ (\S+ \d+)", out)
    if found is None:
        return {"user": "", "server": f"nothing: {out[:100]}"}
    return {"user": found[1], "from": found[2], "server": found[3]}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Where our outcome differs from ssh's; words and places may be more than ssh shows."""
    found = []
    # A server that says why it refuses the account may close at once: its words are the reason.
    told = bool(theirs.get("said")) and set(theirs["said"]) <= set(ours.get("said", ()))
    ends = {theirs.get("reason"), ours.get("reason")}
    # For an address without a machine, the kernel says either, after it has looked for 3 s.
    nobody = ends == {"timed out", "no route"}
    for key in dict.fromkeys([*theirs, *ours]):
        want, got = theirs.get(key), ours.get(key)
        enough = key in ("said", "places") and set(want or ()) <= set(got or ())
        mute = key == "reason" and (
            want == "nothing said" or nobody or (told and ends <= {"closed", "denied"})
        )
        if want != got and not enough and not mute:
            found.append(f"{key}: ssh {want!r}, ours {got!r}")
    return found


def lack_problem(result: Mapping[str, Any], algorithm: str) -> list[str]:
    """What is wrong with a failure that must name an algorithm."""
    if result["ok"] or result.get("kind") in ("traceback", "hung"):
        return [f"not refused: {result}"]
    return [] if algorithm in result["err"] else [f"{algorithm} is not named: {result['err']}"]


def refusal_problem(result: Mapping[str, Any], keyword: str) -> list[str]:
    """What is wrong with a refusal that must name a keyword and the place of its line."""
    text = result["err"]
    problems = []
    if result["ok"] or result.get("kind") not in ("Refused", "Unreachable"):
        problems.append(f"not refused: {result}")
    if keyword.lower() not in text.lower():
        problems.append(f"{keyword} is not named: {text}")
    if not re.search(r"(config|known_hosts)\S* line \d+", text):
        problems.append(f"no file and line: {text}")
    return problems
