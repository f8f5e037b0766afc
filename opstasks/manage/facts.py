"""How a host stands, in one round trip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from opstasks.core.command import Command
from opstasks.core.errors import OpsError
from opstasks.core.result import Result
from opstasks.fleet import old_program as remote
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.manage import keys
from opstasks.manage.model import Description, Tree

Facts = dict[str, Any]
SCRIPT = "opstasks.manage.onhost.facts"


def sha256(text: str) -> str:
    """The hash by which contents are compared."""
    return hashlib.sha256(text.encode()).hexdigest()


def access_dir(spec: HostSpec) -> str:
    """Where the host keeps what it puts back unless a fresh connection succeeds."""
    return f"{spec.lock_dir}/access"


def request(wanted: Description, spec: HostSpec) -> dict[str, Any]:
    """What to ask the host about; of secret files only owner and mode, never the content."""
    contents = wanted.contents
    paths = [(entry.path, "", False) for entry in wanted.directories]
    paths += [(entry.path, "", False) for entry in wanted.rights]
    paths += [(entry.path, "", False) for entry in wanted.removals]
    paths += [
        (file.path, sha256(contents[file.path]), not (file.secret or file.once))
        for file in wanted.files
    ]
    paths += [(entry.path, "", False) for entry in wanted.creations]
    checked = [file for file in wanted.files if file.check and not file.once]
    return {
        "groups": [entry.name for entry in wanted.groups],
        "users": [entry.name for entry in wanted.users],
        "people": bool(wanted.roles),
        "mark": keys.MARK,
        "paths": paths,
        "checks": [
            (file.path, contents[file.path], list(file.check), sha256(contents[file.path]))
            for file in checked
        ],
        "settings": [(entry.name, entry.path, entry.match) for entry in wanted.settings],
        "trees": [_tree(tree, wanted) for tree in wanted.trees],
        "checkouts": [entry.path for entry in wanted.checkouts],
        "packages": [entry.name for entry in wanted.packages if entry.state != "any"],
        "upgrade": wanted.options.upgrade and wanted.options.packages == "manage",
        "probes": [(entry.name, list(entry.test)) for entry in wanted.probes],
        "units": [entry.name for entry in wanted.units],
        "words": _words(wanted),
        "pending": f"{access_dir(spec)}/manifest.json",
    }


def _tree(tree: Tree, wanted: Description) -> tuple[Any, ...]:
    """A tree with the numbers that its owner and group are to have, where they are described."""
    uids = {user.name: str(user.uid) for user in wanted.users if user.uid}
    gids = {group.name: str(group.gid) for group in wanted.groups if group.gid}
    owner, group = uids.get(tree.owner, tree.owner), gids.get(tree.group, tree.group)
    return (tree.path, owner, group, [tree.files, *tree.tolerated], tree.directories)


def _words(wanted: Description) -> list[str]:
    """What a person who changes one of these things by hand would type."""
    placed: tuple[Sequence[Any], ...] = (
        wanted.directories,
        wanted.files,
        wanted.rights,
        wanted.removals,
        wanted.settings,
    )
    named: tuple[Sequence[Any], ...] = (wanted.groups, wanted.users, wanted.packages)
    words = [entry.path for entries in placed for entry in entries]
    words += [entry.name for entries in named for entry in entries]
    words += [word for unit in wanted.units for word in (unit.name, f"{unit.name}.service")]
    return sorted(set(words))


def question(wanted: Description, spec: HostSpec) -> Command:
    """The command that asks how a host stands."""
    return remote.call(SCRIPT, request(wanted, spec))


def parse(result: Result, host: str) -> Facts:
    """The facts that a host answered with; raises OpsError for anything else."""
    try:
        facts: Facts = json.loads(result.out)
    except ValueError:
        raise OpsError("the host's answer makes no sense", host=host, tail=result.tail()) from None
    return facts


def gather(host: Host, wanted: Description) -> Facts:
    """Ask the host as root; raises Unreachable, Refused without sudo, OpsError."""
    return parse(host.root.run(question(wanted, host.spec)), host.name)
