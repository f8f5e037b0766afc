"""Every claim of a result about a host, compared with what the observer saw.

Typed claims are the values under `now`. The texts are searched for statements about a state.
"""

import re

from tests.faults.observer import changed, text_of
from tests.faults.workflow import paused, serves

SERVICE = {
    "up": ("active/running",),
    "starting": ("activating/auto-restart", "activating/start", "activating/start-pre"),
    "stopped": ("inactive/dead",),
    "failed": ("failed/failed",),
}
PREPARED = "prepare-reboot"
# A boot changes these.
BOOT_CLAIMS = ("service", "paused", "prepared", "boot_id")


def typed(ended):
    """The claims under `now`, of the value or of the error."""
    host = ended.host
    for place in (host, host.get("value"), host.get("error")):
        if isinstance(place, dict) and isinstance(place.get("now"), dict):
            return place["now"]
    return {}


def service_of(seen):
    """The unit's state in systemd's words."""
    unit = seen["units"]["jobrunner.service"]
    return f"{unit.get('ActiveState')}/{unit.get('SubState')}"


def is_true(name, value, before, seen):
    """Whether a typed claim is true; a value that the observer cannot see counts as true."""
    checks = {
        "service": lambda: service_of(seen) in SERVICE.get(value, (value,)),
        "code": lambda: seen["code"]["head"] == value,
        "lib": lambda: seen["lib"]["head"] == value,
        "database_version": lambda: seen["database"]["version"] in (value, None),
        "paused": lambda: seen["database"]["flags"] is None or paused(seen) is value,
        "prepared": lambda: is_prepared(seen) is value,
        "jobs": lambda: all(_job_is(seen, job, said) for job, said in value.items()),
        "removed": lambda: not [p for said in value for p in _files(seen, said)],
        "scheduled": lambda: set(value) == scheduled_ids(seen),
        "unfinished": lambda: (value or "") == unfinished(seen),
        "boot_id": lambda: seen["boot"].replace("-", "") == value.replace("-", ""),
    }
    return name not in checks or bool(checks[name]())


def is_prepared(seen):
    """Whether the host was made ready for a reboot, and is so still.

    Root's preparation pauses the host until the boot; the service account's cannot, and only stops
    the service and its jobs, as the playbook does.
    """
    if serves(seen):
        return False
    ready = [r for r in seen["scheduled"].values() if r.get("outcome") == "ready"]
    states = [row[0] for row in (seen["database"]["jobs"] or {}).values()]
    return bool(ready and paused(seen)) or not ("running" in states or seen["containers"])


def scheduled_ids(seen):
    """The ids of scheduled work that has not ended."""
    return {k.removesuffix(".json") for k, r in seen["scheduled"].items() if not r.get("outcome")}


def unfinished(seen):
    """The id of the release that has no outcome; "" without one."""
    found = [k.removesuffix(".json") for k, r in seen["releases"].items() if not r.get("outcome")]
    return found[0] if found else ""


def _job_is(seen, job, said):
    if seen["database"]["jobs"] is None:
        return True
    row = seen["database"]["jobs"].get(job)
    if row is None:
        return said in ("", "missing", "gone")
    return any(word and word in said for word in row[:2])


def _files(seen, said):
    name = "/" + said.lstrip("/")
    return [p for p in seen["files"] if p.endswith(name) and "high_privacy" not in p]


# A statement of a text, and what is not so if it is untrue: (before, seen, leave) -> what differs.
STATEMENTS = (
    (r"READY TO REBOOT", lambda before, seen, leave: serves(seen) and "it serves"),
    (
        r"[Nn]othing was (touched|changed)",
        lambda before, seen, leave: changed(before, seen, leave),
    ),
    (
        r"database untouched",
        lambda before, seen, leave: seen["database"]["version"] != before["database"]["version"],
    ),
    (
        r"no name was moved",
        # None: docker did not answer the observer.
        lambda before, seen, leave: seen["images"] not in (before["images"], None),
    ),
)
AT = re.compile(r"(back on|now at|now the host is at) ((?:v\d|broken-)[\w.-]*\w)", re.IGNORECASE)
IS = re.compile(r"\b(?:the service is|now [^;\n]*?service) (up|starting|stopped|failed)\b")


def untrue(text, before, seen, leave):
    """The statements of a text that are not true."""
    found = [
        f"'{words} {name}', but the code is at {seen['code']['name']}"
        for words, name in AT.findall(text)
        if seen["code"]["name"] != name
    ]
    found += [
        f"the service is {word}, seen: {service_of(seen)}"
        for word in IS.findall(text)
        if service_of(seen) not in SERVICE[word]
    ]
    for pattern, differs in STATEMENTS:
        said = re.search(pattern, text)
        other = said and differs(before, seen, leave)
        if other:
            found.append(f"{said[0]!r}, but: {other}")
    return found


def false_statements(ended, before, views, leave):
    """Claims that are true in none of the observer's views (at once, and when all was quiet)."""
    found = []
    # What was read while the host went down is over when the observer looks.
    passed = BOOT_CLAIMS if "the host is going down" in ended.error.get("message", "") else ()
    for name, value in typed(ended).items():
        if name in passed:
            continue
        if not any(is_true(name, value, before, seen) for seen in views):
            found.append(f"now.{name} is {text_of(value)}, seen: {_seen(name, views[-1])}")
    value = ended.host.get("value")
    said = [ended.error.get("message", ""), ended.error.get("tail", "")]
    if isinstance(value, dict):
        said += [str(value.get("state", "")), str(value.get("note", ""))]
        found += _of_release(value, views)
    text = "\n".join(said)
    wrong = [untrue(text, before, seen, leave) for seen in views]
    return found + (wrong[-1] if all(wrong) else [])


def _of_release(value, views):
    if "to_name" not in value or not value.get("changed"):
        return []
    seen = views[-1]
    told = (value["to_name"], value.get("database_version"))
    there = [(v["code"]["name"], v["database"]["version"]) for v in views]
    if value.get("database_version") and told not in there:
        return [f"deployed {told}, seen {seen['code']['name']}, {seen['database']['version']}"]
    return []


def _seen(name, seen):
    shown = {
        "service": lambda: service_of(seen),
        "code": lambda: seen["code"]["head"],
        "lib": lambda: seen["lib"]["head"],
        "database_version": lambda: seen["database"]["version"],
        "paused": lambda: paused(seen),
        "prepared": lambda: is_prepared(seen),
        "jobs": lambda: seen["database"]["jobs"],
        "scheduled": lambda: sorted(scheduled_ids(seen)),
        "unfinished": lambda: unfinished(seen),
        "boot_id": lambda: seen["boot"],
    }
    return text_of(shown[name]()) if name in shown else "?"
