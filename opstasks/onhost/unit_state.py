"""A unit as ``systemctl show`` prints it: its state, and what happened to it between two looks.

Hosts and client judge by the same rules. It reads nothing itself.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping

State = Mapping[str, str]
# The properties that these functions need.
PROPERTIES = (
    "LoadState,ActiveState,SubState,MainPID,NRestarts,Result,ExecMainCode,ExecMainStatus"
    ",ActiveEnterTimestampMonotonic,ActiveExitTimestampMonotonic,ExecMainExitTimestampMonotonic"
    ",ActiveExitTimestamp,ActiveEnterTimestamp"
)
SYSTEMCTL = "/usr/bin/systemctl"  # the path that sudoers names
# The commands of a service. "Ex" is systemd's newer form, which names the prefixes of a command.
COMMANDS = (
    "ExecCondition",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
    "ExecReload",
    "ExecStop",
    "ExecStopPost",
)
# The properties that `account_problem` needs.
ACCOUNT_PROPERTIES = (
    "LoadState,User,DropInPaths,AmbientCapabilities,PermissionsStartOnly,"
    + ",".join(f"{name}Ex" for name in COMMANDS)
)
# The prefixes `+` and `!`: such a command runs as root, whatever User= says.
ROOT_FLAGS = {"privileged", "no-setuid"}
# After the command's own words, which may contain anything.
_FLAGS = re.compile(r".* ; flags=([a-z -]*) ; start_time=\[")
START_LIMIT = "start-limit-hit"
# ExecMainCode: how a process ended, as waitid(2) says it.
EXITED, KILLED, DUMPED = "1", "2", "3"


def parse(text: str) -> dict[str, str]:
    """The properties that ``systemctl show`` printed for one unit.

    Several commands with the same name are several lines of one value.
    """
    pairs = [line.split("=", 1) for line in text.split("\n") if "=" in line]
    found = dict(pairs)
    commands = {f"{name}Ex" for name in COMMANDS}.intersection(found)
    return found | {name: "\n".join(v for n, v in pairs if n == name) for name in commands}


def is_serving(state: State) -> bool:
    """Whether the unit is up (not between two crashes)."""
    return state.get("ActiveState") == "active" and state.get("SubState") == "running"


def is_wanted(state: State) -> bool:
    """Whether the unit should be up: also between two crashes, and after the last of too many.

    A person who stops it leaves it inactive.
    """
    return state.get("ActiveState") in ("active", "activating", "reloading", "failed")


def is_down(state: State) -> bool:
    """Whether the unit is neither up nor starting."""
    return state.get("ActiveState") in ("inactive", "failed")


def service_state(state: State) -> str | None:
    """The state in the words of `opstasks.core.state.ServiceState`; None if it is not known."""
    if is_serving(state):
        return "up"
    words = {"inactive": "stopped", "failed": "failed"}
    words.update(dict.fromkeys(("activating", "reloading"), "starting"))
    return words.get(state.get("ActiveState", ""))


# The values of LoadState with which systemd does not start a unit.
BAD_LOADS = ("masked", "not-found", "bad-setting", "error")


def start_problem(unit: str, load: str) -> str:
    """Why systemd would not start a unit with this LoadState; "" if it would, or is unknown."""
    if load == "masked":
        return f"{unit} is masked: systemd would not start it again"
    if load == "not-found":
        return f"the host has no unit {unit}"
    if load in ("bad-setting", "error"):
        return f"systemd cannot read the file of {unit} ({load})"
    return ""


def account_problem(unit: str, user: str, shown: State) -> str:
    """Why a unit would not run as the account `user`; "" if it would, or systemd does not tell.

    `User` alone does not decide: single commands may run as root, or all with root's rights.
    """
    if shown.get("LoadState") != "loaded" or "User" not in shown:
        return ""
    where = ", ".join(shown.get("DropInPaths", "").split())
    more = f", not as {user}{f': {where}' if where else ''}"
    # systemd prints nothing for root.
    if (account := shown["User"] or "root") != user:
        return f"{unit} would run as {account}{more}"
    if roots := [name for name in COMMANDS if _is_of_root(name, shown)]:
        return f"{unit} would run {', '.join(roots)} as root{more}"
    if rights := shown.get("AmbientCapabilities", ""):
        return f"{unit} would run with rights of root ({rights}){more}"
    return ""


def _is_of_root(name: str, shown: State) -> bool:
    """Whether root runs one of a service's commands with this name."""
    text = shown.get(f"{name}Ex", "")
    if text and name != "ExecStart" and shown.get("PermissionsStartOnly") == "yes":
        return True
    found = (_FLAGS.match(line) for line in text.split("\n"))
    return any(ROOT_FLAGS.intersection(flags[1].split()) for flags in found if flags)


def same_process(first: State, now: State) -> bool:
    """Whether the process of the first look still serves."""
    same = all(first.get(key) == now.get(key) for key in ("MainPID", "NRestarts"))
    return is_serving(now) and same


def done_by_hand(unit: str, first: State, now: State) -> str:
    """What a person did to a unit since it served at the first look; "" for nothing, or a crash.

    Only a request to systemd makes a unit leave its state before its process ends, and only
    systemd's own restart after a crash is counted in NRestarts.
    """
    if same_process(first, now):
        return ""
    if is_serving(now):
        is_crash = _number(now, "NRestarts") > _number(first, "NRestarts")
        return "" if is_crash else f"somebody restarted {unit}{_at(now, 'ActiveEnterTimestamp')}"
    if _was_asked_to_stop(first, now):
        return f"somebody stopped {unit}{_at(now, 'ActiveExitTimestamp')}"
    return ""


def started(unit: str, now: State) -> str:
    """When a unit was started that had been stopped, and by whom, for people."""
    return f"{unit} was started{_when(now, 'ActiveEnterTimestamp')} (by root, or by a boot)"


def ending(now: State) -> str:
    """How the unit's process ended, for people; "" if that is not known."""
    code, status = now.get("ExecMainCode"), _number(now, "ExecMainStatus")
    if now.get("Result") == "oom-kill":
        return "the kernel killed it: out of memory"
    if code in (KILLED, DUMPED):
        names = {int(item): item.name for item in signal.Signals}
        return f"its process was killed with {names.get(status, f'signal {status}')}"
    return f"its process ended with exit code {status}" if code == EXITED else ""


def _was_asked_to_stop(first: State, now: State) -> bool:
    left, ended = (
        _number(now, name)
        for name in ("ActiveExitTimestampMonotonic", "ExecMainExitTimestampMonotonic")
    )
    was_active = left > _number(first, "ActiveEnterTimestampMonotonic")
    return was_active and (left < ended or now.get("MainPID", "0") != "0")


def _at(now: State, name: str) -> str:
    """When, and how: only root may ask systemd to change a unit of the system."""
    return f"{_when(now, name)} (systemctl, by root)"


def _when(now: State, name: str) -> str:
    words = now.get(name, "").split()
    return f" at {words[2]} {words[3]}" if len(words) == 4 else ""


def _number(state: State, name: str) -> int:
    text = state.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
