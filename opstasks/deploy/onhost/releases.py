"""Runs on the host, as the service account: list the records of releases.

The request: ``state_dir`` and ``limit``. The answer: ``{"releases": [...]}``, newest first, up to
the limit, and every older one that is unfinished or whose record cannot be read.
"""

from typing import Any

from opstasks.deploy.onhost.record import order_of, seconds, started_at
from opstasks.onhost.protocol import Answer, Request
from opstasks.onhost.release_records import Record, read_all

TEXTS = (
    "who",
    "kind",
    "ref",
    "from_code",
    "to_code",
    "from_lib",
    "to_lib",
    "from_name",
    "to_name",
    "step",
    "outcome",
    "reason",
    "how",
    "snapshot",
    "restore_from",
)
VERSIONS = ("from_version", "to_version")
MAX_TEXT = 2000


def main(request: Request) -> Answer:
    """The newest releases, and all unfinished ones."""
    return {"releases": newest(request["state_dir"], request["limit"])}


def newest(state_dir: str, limit: int) -> list[dict[str, Any]]:
    """The newest releases, and all older ones that are unfinished, newest first.

    The order is that of `opstasks.deploy.onhost.record.next_order`: the host's clock may have been
    set back, and the ids contain the time of the operator's clock. Those whose record cannot be
    read are at the end: they have no order.
    """
    good, bad = read_all(state_dir)
    ids = sorted(good, key=lambda name: (order_of(good[name]), name), reverse=True)
    found = [release_of(name, good[name]) for name in ids]
    found += [
        {**release_of(name, {}), "unread": what.why, "unread_place": what.place}
        for name, what in bad.items()
    ]
    return found[:limit] + [release for release in found[limit:] if not release["outcome"]]


def release_of(name: str, record: Record) -> dict[str, Any]:
    """A record as `opstasks.deploy.release.Release`; a value of the wrong type becomes empty."""
    return {
        "id": text(record.get("id")) or name,
        **{key: text(record.get(key)) for key in TEXTS},
        **{key: version(record.get(key)) for key in VERSIONS},
        "started_at": started_at(record),
        "finished_at": seconds(record.get("finished")),
        "rolling_back": record.get("rolling_back") is True,
    }


def text(value: Any) -> str:
    """A text of bounded length; "" for anything else."""
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def version(value: Any) -> int:
    """The version of a database; 0 for anything else."""
    return value if type(value) is int and 0 <= value < 1 << 31 else 0
