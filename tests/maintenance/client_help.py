"""Items, records and pauses of a host, as the client gets them."""

from opstasks.maintenance.checklist import AfterAnswer, DatabaseNetwork, RequeuedJob
from opstasks.maintenance.onhost.records import ItemStep
from opstasks.maintenance.onhost.units import HostUnit
from opstasks.maintenance.records import PREPARE, Maintenance, Pause, ScheduledItem

NOW = 1_800_000_000.0
DAY = 24 * 3600
UP = {"opstasks-one.timer": "active"}


def make_item(**words):
    base = {"id": "one", "boot_id": "now", "step": "scheduled", "timed": True}
    return ScheduledItem(**{**base, **words})


def make_maintenance(*items, pause=None, **words):
    """Records of a host; `pause` is the note on the present pause."""
    base = {"now_at": NOW, "boot_id": "now", "items": items, "note": pause}
    if pause is not None:
        base["flag_at"] = pause.flag_at
    return Maintenance(**{**base, **words})


OURS = Pause(task=PREPARE, who="ann", id="one", flag_at=NOW)
BY_BOB = Pause(who="bob", flag_at=NOW)
READY = make_item(
    outcome="ready",
    step="done",
    boot_id="before",
    was_active=True,
    requeued=("a",),
    mounts=("/e",),
)
REFUSED = make_item(
    id="two",
    outcome="refused",
    step="waiting",
    boot_id="before",
    reason="someone is changing the host",
    due_there="22:00",
    finished_at=NOW - 3600,
)
INTERRUPTED = make_item(
    id="two", step="draining", boot_id="before", steps=(ItemStep(NOW - 3600, "pause"),)
)
LAST_MONTH = make_item(outcome="ready", step="done", boot_id="long ago", next_boot="before")
# A host that recovered completely after READY.
GOOD = AfterAnswer(
    booted_at=NOW - 60,
    has_docker=True,
    network=DatabaseNetwork("jobrunner-db", exists=True, is_isolated=True),
    mounted=("/", "/e", "/srv"),
    fstab=("/srv",),
    service=HostUnit(active="active", sub="running"),
    sync=HostUnit(load="not-found"),
    jobs={"a": RequeuedJob("running", "executing")},
    error="",
)
