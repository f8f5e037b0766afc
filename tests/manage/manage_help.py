"""Descriptions in a test's own folder, and facts of a host that matches them exactly."""

import base64
import struct
from pathlib import Path

import msgspec
import yaml

from opstasks.fleet.inventory import HostSpec
from opstasks.manage.describe import describe_all
from opstasks.manage.facts import ManageFacts, sha256
from opstasks.manage.plan import make_plan
from tests.manage.effect_help import effect_of

SANDBOX_BACKENDS = Path(__file__).resolve().parents[2] / "opstasks/sandbox/backends"


def key(seed=0, kind="ssh-ed25519"):
    """A well-formed public key without a private part."""
    name, body = kind.encode(), bytes([seed % 256]) * 32
    blob = struct.pack(">I", len(name)) + name + struct.pack(">I", len(body)) + body
    return f"{kind} {base64.b64encode(blob).decode()}"


def write_backends(folder, *, base=None, own=None, files=None, keys=None):
    """A folder of descriptions: a base, the backend `mine`, file sources and people's keys."""
    for name, data in (("base", base), ("mine", own or {})):
        if data is not None:
            place = folder / name
            (place / "files").mkdir(parents=True, exist_ok=True)
            text = data if isinstance(data, str) else yaml.safe_dump(data)
            (place / "host.yaml").write_text(text)
    for name, text in (files or {}).items():
        (folder / "mine" / "files" / name).write_text(text)
    (folder / "keys").mkdir(exist_ok=True)
    for name, text in (keys or {}).items():
        (folder / "keys" / name).write_text(text)
    return folder


def spec(backend="mine", **more):
    if backend == "sandbox":
        more = {"backends": str(SANDBOX_BACKENDS), **more}
    return HostSpec(name="h", backend=backend, address="h", **more)


def described(backend="mine", fetch=None, *, upgrade=False, **host):
    """One host's description, with its people; further arguments are keys of the host."""
    asked = {"fetch": fetch} if fetch else {}
    return describe_all([spec(backend, **host)], **asked, upgrade=upgrade)["h"]


def entry_facts(entry, kind):
    return {
        "kind": kind,
        "owner": entry.owner,
        "group": entry.group,
        "mode": entry.mode,
        "changed_at": 1_790_000_000,
    }


def facts_of(wanted, login="ops"):
    """The answer of a host that matches its description exactly, as JSON values."""
    members = {group.name: [] for group in wanted.groups}
    for user in wanted.users:
        for group in user.groups:
            members[group].append(user.name)
    paths = {entry.path: entry_facts(entry, "directory") for entry in wanted.directories}
    for entry in wanted.files:
        paths[entry.path] = entry_facts(entry, "file")
        if not (entry.once or entry.secret):
            paths[entry.path]["sha256"] = sha256(wanted.contents[entry.path])
    paths |= {entry.path: entry_facts(entry, "file") for entry in wanted.rights}
    paths |= {entry.path: None for entry in wanted.removals}
    if wanted.options.requires:
        paths[wanted.options.requires] = {
            "kind": "directory",
            "owner": "root",
            "group": "root",
            "mode": "0700",
        }
    made = {"kind": "file", "owner": "opensafely", "group": "opensafely", "mode": "0640"}
    paths |= {entry.path: made for entry in wanted.creations}
    return {
        "login": login,
        "groups": {g.name: {"gid": g.gid, "members": members[g.name]} for g in wanted.groups},
        "users": {
            u.name: {
                "uid": u.uid or 1005,
                "group": u.group,
                "groups": sorted(u.groups),
                "home": u.home,
                "shell": u.shell,
                "locked": False,
                "expired": False,
            }
            for u in wanted.users
        },
        "keyed": sorted(wanted.listed()),
        "marked": sorted(wanted.listed()),
        "paths": paths,
        "refusals": {},
        "settings": {s.name: [s.line] for s in wanted.settings},
        "trees": {t.path: {"wrong": 0, "examples": []} for t in wanted.trees},
        "checkouts": {c.path: True for c in wanted.checkouts},
        "packages": {p.name: p.state == "present" for p in wanted.packages},
        "upgradable": [],
        "probes": {p.name: True for p in wanted.probes},
        "units": {
            u.name: {
                "file_state": "enabled" if u.enabled else "disabled",
                "active_state": "active" if u.state == "running" else "inactive",
            }
            for u in wanted.units
        },
        "last_uses": {},
        "is_unproven": False,
        "open_accounts": [],
        "effect": effect_of(wanted),
    }


def typed(facts):
    """These facts as the program decodes them."""
    return msgspec.convert(facts, ManageFacts)


def plan_of(facts, wanted, *selection):
    """The plan for a host with these facts."""
    return make_plan(typed(facts), wanted, *selection)
