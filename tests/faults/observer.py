"""What an observer compares: the parts of a host, what was lost, what is not as it should be."""

import json
import time

from tests.faults.ground import look
from tests.faults.workflow import serves
from tests.look import HOME

# The parts that a refused run must leave alone; inspections may write caches ("state").
COMPARED = (
    *("service", "code", "lib", "database", "jobs", "flags", "releases", "removals", "scheduled"),
    *("pause", "config", "etc", "accounts", "files", "images", "containers", "volumes", "sync"),
)
LOCAL = f"{HOME}/config/04_local.env"


def parts(seen):
    """The parts of a host, each as one comparable value."""
    unit = seen["units"]["jobrunner.service"]
    database = seen["database"]
    return {
        "service": (unit.get("MainPID"), unit.get("SubState")),
        "code": (seen["code"]["head"], seen["code"]["diff"]),
        "lib": (seen["lib"]["head"], seen["lib"]["diff"]),
        "database": (database["check"], database["version"]),
        "jobs": database["jobs"],
        "flags": {k: v for k, v in (database["flags"] or {}).items() if k == "paused" and v},
        "containers": sorted(seen["containers"] or {}),
        "volumes": seen["volumes"],
        "sync": [(unit.get("ActiveState"), unit.get("UnitFileState")) for unit in seen["sync"][:1]],
        **{
            name: seen[name]
            for name in (
                *("releases", "removals", "scheduled", "pause", "config", "etc", "accounts"),
                *("files", "images"),
            )
        },
    }


def changed(before, seen, leave=()):
    """The names of the parts that differ."""
    was, now = parts(before), parts(seen)
    return [name for name in COMPARED if name not in leave and was[name] != now[name]]


def problems(seen, rests=False):
    """What is not as it should be on a host that nobody is changing."""
    found = []
    unit = seen["units"]["jobrunner.service"]
    if not rests and not serves(seen):
        found.append(f"the service is {unit.get('ActiveState')}/{unit.get('SubState')}")
    if unit.get("LoadState") not in ("loaded", None):
        found.append(f"the unit is {unit.get('LoadState')}")
    if not seen["lock_is_free"]:
        found.append(f"the lock is held by {seen['holders']}")
    if seen["ours"]:
        found.append(f"processes of ours: {seen['ours']}")
    if seen["database"]["check"] != "ok":
        found.append(f"the database: {seen['database']['check']}")
    found += _of_checkouts(seen) + _of_records(seen)
    broken = {path: said for path, said in seen["snapshots"].items() if said != "ok"}
    if broken:
        found.append(f"left over: parts of snapshots: {broken}")
    if seen["left"]:
        found.append(f"left over: {seen['left']}")
    return found


def _of_checkouts(seen):
    found = []
    code, lib, version = seen["code"], seen["lib"], seen["database"]["version"]
    wanted = {"v2.71.0": 1, "v2.73.0": 3, "broken-crash": 3}.get(code["name"])
    if code["name"] != lib["name"] and code["name"] != "broken-crash":
        found.append(f"code {code['name']}, dependencies {lib['name']}")
    if version is not None and wanted and version != wanted:
        found.append(f"code {code['name']}, database version {version}")
    for name in ("code", "lib"):
        found += [f"{name}: {what}" for what in seen[name]["locks"]]
        if seen[name]["edits"]:
            found.append(f"{name} is edited: {seen[name]['edits'][:80]}")
    return found


def _of_records(seen):
    found = [
        f"release {k} is unfinished" for k, r in seen["releases"].items() if not r.get("outcome")
    ]
    for kind in ("releases", "scheduled", "removals", "pause"):
        found += [f"{kind}: {k}: unreadable" for k, r in seen[kind].items() if "unreadable" in r]
    found += [
        f"removal {k} is not finished"
        for k, r in seen["removals"].items()
        if r.get("state") == "removing"
    ]
    return found


def lost(before, seen, flow, fault):
    """What is gone that nobody asked to remove."""
    leave = flow.changes | fault.touches
    found = []
    if seen["database"]["jobs"] is not None and "database" not in fault.touches:
        gone = set(before["database"]["jobs"] or {}) - set(seen["database"]["jobs"])
        found += [f"job {job} is gone from the database" for job in gone]
    container = f"os-job-{before['job']}"
    if "containers" not in leave and "boot" not in fault.touches and seen["containers"] is not None:
        if seen["containers"].get(container) != before["containers"].get(container):
            found.append(f"the container of the job is {seen['containers'].get(container)}")
        if set(before["volumes"]) - set(seen["volumes"]):
            found.append("the volume of the job is gone")
    found += _lost_files(before, seen, flow, fault)
    gone = set(before["accounts"]) - set(seen["accounts"])
    return found + [f"account {name} is gone" for name in gone]


def _lost_files(before, seen, flow, fault):
    asked = ("/a.csv", "/b.csv") if flow.name == "outputs.rm" else ()
    if "boot" in fault.touches or "files" in fault.touches:
        asked = (*asked, *[p for p in before["files"] if p.startswith("/e/")])
    found = []
    for path, digest in before["files"].items():
        if seen["files"].get(path) == digest:
            continue
        if path.endswith(asked) and "high_privacy" not in path:
            continue
        found.append(f"{path} is gone" if path not in seen["files"] else f"{path} has changed")
    return found


def lost_edit(machine, fault):
    """What a person wrote by hand and is nowhere any more."""
    if fault.name == "file edited by hand":
        places = f"{HOME}/jobrunner/code/jobrunner/run.py {HOME}/opstasks /var/lib/opstasks"
        stashed = f"git -c safe.directory=* -C {HOME}/jobrunner/code stash list -p"
        done = machine.run(f"grep -rqF '# by hand' {places} || {stashed} | grep -qF '# by hand'")
        return [] if done.returncode == 0 else ["the edit by hand is nowhere any more"]
    if fault.name == "config edited by hand":
        done = machine.run(f"grep -q MAX_WORKERS=2 {LOCAL}")
        return [] if done.returncode == 0 else ["the line in 04_local.env is gone"]
    return []


def audit_problems(before, seen, ended, fault):
    """Runs in the host's journal whose recorded end is missing, or is not how they ended."""
    if "audit" in fault.touches or "boot" in fault.touches:
        return []
    runs = {}
    for entry in seen["audit"]:
        runs.setdefault(entry.get("run_id"), []).append(entry)
    found = []
    for run, entries in runs.items():
        ends = [e for e in entries if e.get("phase") == "end"]
        starts = [e for e in entries if e.get("phase") == "start"]
        if len(ends) > 1 or len(starts) > 1:
            found.append(f"{run}: {len(starts)} starts, {len(ends)} ends in the journal")
        if starts and not ends and ended.code in (0, 1, 2):
            found.append(f"{run} ({starts[0].get('task')}) has no end in the journal")
    return found


def is_quiet(seen):
    """Whether nothing of ours runs any more."""
    return not seen["ours"] and seen["lock_is_free"]


def untrue_release(seen, fault):
    """What the newest record of a release says, if the code is somewhere else."""
    ended = [(k, r) for k, r in sorted(seen["releases"].items()) if r.get("outcome")]
    if not ended or {"code", "lib"} & fault.touches or len(ended) < len(seen["releases"]):
        return []
    name, record = ended[-1]
    there = "from_name" if record["outcome"] == "rolled back" else "to_name"
    if record.get(there) != seen["code"]["name"]:
        code = seen["code"]["name"]
        return [f"release {name} is {record['outcome']} ({record.get(there)}), the code is {code}"]
    return []


def settled(machine, cursor, timeout_s=45):
    """What is seen when nothing of ours runs any more, or when the time is up."""
    deadline = time.monotonic() + timeout_s
    seen = look(machine, cursor)
    while not is_quiet(seen) and time.monotonic() < deadline:
        time.sleep(1)
        seen = look(machine, cursor)
    return seen


def text_of(value):
    """A value as text, for messages."""
    return json.dumps(value, default=str)[:300]
