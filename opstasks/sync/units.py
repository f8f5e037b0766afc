"""The files of the sync on a host: a script, a service and a timer.

`manage` and `sync.start` install the same files, from here; only `sync.start` and `sync.stop`
decide whether the timer runs.
"""

from __future__ import annotations

import msgspec

from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import script_text
from opstasks.primitives import rsync
from opstasks.sync.onhost import records

NAME = "opstasks-level3-sync"
SERVICE, TIMER = f"{NAME}.service", f"{NAME}.timer"
SCRIPT_PATH = "/usr/local/lib/opstasks/level3-sync"
UNIT_DIR = "/etc/systemd/system"
EVERY_S = 120
# A removal keeps a file here for a moment; it must not be copied meanwhile.
HOLD = ".opstasks-removed"

_SERVICE = """\
# Installed by `manage` and `sync.start` of opstasks: do not edit here.
[Unit]
Description=Level 3 file sync: {source} to the medium-privacy workspaces
After=local-fs.target remote-fs.target

[Service]
Type=oneshot
User={user}
Group=reviewers
UMask=0027
Nice=10
NoNewPrivileges=yes
ExecStart=/usr/bin/python3 -I {script}
"""

# Counted from the end of the last run, so that runs never overlap: a slow run delays the next.
_TIMER = f"""\
# Installed by `manage` and `sync.start` of opstasks: do not edit here.
[Unit]
Description=Level 3 file sync, {EVERY_S} s after the last run ended

[Timer]
Unit={SERVICE}
OnActiveSec=1s
OnUnitInactiveSec={EVERY_S}s
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


class SyncRunRequest(msgspec.Struct, frozen=True):
    """What the installed script copies, its arguments, and the place of its records."""

    source: str
    target: str
    temp_dir: str
    state_dir: str
    rsync: tuple[str, ...]


def check_source(spec: HostSpec) -> None:
    """Raise Refused for a host without a source to sync from."""
    if not spec.level3_source:
        raise Refused(
            "there is nothing to sync: the host has no level3_source",
            host=spec.name,
            hint="set `level3_source` in hosts.yaml",
        )


def lock_path(spec: HostSpec) -> str:
    """The sync's own lock."""
    return f"{spec.state_dir}/{records.LOCK}"


def folder() -> str:
    """The folder of the script."""
    return SCRIPT_PATH.rpartition("/")[0]


def script(spec: HostSpec) -> str:
    """The script with this host's paths."""
    temp_dir = f"{spec.medium_privacy}/.{NAME}"
    words = rsync.careful_copy(spec.level3_source, spec.workspaces_dir, temp_dir, (f"/{HOLD}",))
    request = SyncRunRequest(
        source=spec.level3_source,
        target=spec.workspaces_dir,
        temp_dir=temp_dir,
        state_dir=spec.state_dir,
        rsync=tuple(words),
    )
    return script_text(
        "opstasks.sync.onhost.run",
        request,
        "Level 3 file sync, installed by `manage` and `sync.start` of opstasks: do not edit here.",
    )


def files(spec: HostSpec) -> dict[str, str]:
    """Every file by its path."""
    # Unit files have specifiers, so a per cent sign is doubled.
    source = spec.level3_source.replace("%", "%%")
    service = _SERVICE.format(source=source, user=spec.service_user, script=SCRIPT_PATH)
    return {
        SCRIPT_PATH: script(spec),
        f"{UNIT_DIR}/{SERVICE}": service,
        f"{UNIT_DIR}/{TIMER}": _TIMER,
    }
