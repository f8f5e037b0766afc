"""What `inv` alone prints: every task once, by what it is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from opstasks.cli.help import hanging
from opstasks.core.formats import plural

# The order is that of the screen. A test fails for a task without a group.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "LOOK": (
        "status",
        "jobs.ls",
        "jobs.show",
        "jobs.logs",
        "logs",
        "history",
        "doctor",
        "host.stats",
        "hosts",
        "lock.show",
    ),
    "RELEASES": (
        "deploy",
        "deploy.pending",
        "deploy.releases",
        "deploy.rollback",
        "images.ls",
        "images.update",
    ),
    "JOBS": (
        "jobs.kill",
        "jobs.retry",
        "jobs.mount",
        "jobs.strace",
        "jobs.follow",
        "jobs.stats",
        "jobs.queries",
        "db.progress",
    ),
    "SERVICE": (
        "service.start",
        "service.stop",
        "service.restart",
        "pause",
        "unpause",
        "run",
        "shell",
        "lock.break",
    ),
    "REBOOT": ("prepare-reboot", "after-reboot", "scheduled", "scheduled.cancel"),
    "CONFIG": (
        "config.show",
        "config.check",
        "config.set",
        "config.unset",
        "manage",
        "users.disable",
    ),
    "FILES": (
        "outputs.ls",
        "outputs.rm",
        "outputs.pending",
        "outputs.attest",
        "sync.status",
        "sync.start",
        "sync.stop",
        "sync.once",
    ),
    "TRY": (
        "completion",
        "sandbox.up",
        "sandbox.submit",
        "sandbox.status",
        "sandbox.publish",
        "sandbox.ssh-config",
        "sandbox.many",
        "sandbox.down",
    ),
}
# For a task that has no group yet.
OTHER = "OTHER"
INDENT = " " * (max(map(len, GROUPS)) + 2)


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """The tasks by group, in the order of the screen; groups without a task are left out."""
    present = set(names)
    found = {group: [name for name in GROUPS[group] if name in present] for group in GROUPS}
    rest = present - {name for members in found.values() for name in members}
    found[OTHER] = sorted(rest)
    return {group: members for group, members in found.items() if members}


def lines(names: Iterable[str], title: tuple[str, str], more: str, columns: int) -> Iterator[str]:
    """The screen: a title line, one paragraph for each group, and how to see more."""
    name, about = title
    gap = " " * max(2, min(columns, 80) - len(name) - len(about))
    is_short = len(name) + len(about) + 2 <= columns
    yield from [f"{name}{gap}{about}"] if is_short else [name, *hanging(about, columns)]
    for group, members in grouped(names).items():
        yield from hanging(" ".join(members), columns, f"{group:{len(INDENT)}}", INDENT)
    yield from hanging(more, columns)


def about_hosts(explicit: str) -> str:
    """Which hosts.yaml is used, and what it has; a broken one is said in one line."""
    from opstasks.core.errors import Refused
    from opstasks.fleet.host_settings import load
    from opstasks.fleet.hosts_file import find_inventory

    try:
        path = find_inventory(explicit or None)
        if path is None:
            return "no hosts.yaml; -H user@host needs none"
        inventory = load(path)
    except (Refused, OSError) as error:
        return error.message if isinstance(error, Refused) else f"hosts.yaml: {error}"
    hosts, groups = len(inventory.hosts), len(inventory.groups)
    return f"hosts.yaml: {short(path)}, {plural(hosts, 'host')}, {plural(groups, 'group')}"


def short(path: Path) -> str:
    """A path relative to the working directory or the home directory."""
    for folder, sign in ((Path.cwd(), "."), (Path.home(), "~")):
        if path.is_relative_to(folder):
            return f"{sign}/{path.relative_to(folder)}"
    return str(path)
