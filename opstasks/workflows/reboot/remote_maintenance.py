"""Runs on the host: pause, prepare for a reboot, now or later, and end a pause.

``main(request)`` gets JSON ``{"op": ..., "site": {...}, ...}`` and prints one JSON object:
``{"ok": true, ...}`` or ``{"ok": false, "refused": ..., "reason": ..., "detail": ...}``.

The work of `prepare-reboot` never depends on a client: it is always armed as a systemd unit that
runs a copy of this script as root, at once or by a timer, and its record says how it went. What
belongs to the service account (database, snapshot, job-runner's commands) is done as that account.

Layout under ``lock_dir``, all root's: ``scheduled/ID.json`` the records, which the service
account may read; ``scripts/ID/`` what will run, for root alone. A pause is described in
``state_dir/pause.json``, the service account's own.
"""

import contextlib
import fcntl
import json
import math
import os
import pwd
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

Site = dict[str, Any]
Record = dict[str, Any]

SYSTEMCTL = "/usr/bin/systemctl"
PYTHON = "/usr/bin/python3"
IDENTIFIER = "opstasks"
PREPARE, UNPAUSE = "prepare-reboot", "unpause"
BOOT_UNIT = "opstasks-boot.service"
UNIT_DIR = "/etc/systemd/system"
# Until the service is stopped, nothing was done that a cancel could not take back.
CANCELLABLE = ("armed", "waiting", "draining")
POLL_S = 1.0
# A host that slept through its time must not be taken down at a moment nobody chose.
LATE_S = 1800
REQUEUE_TIMEOUT_S = 3600
# Whoever follows sees that the host is ready before it goes down.
SEEN_S = 3
KEEP_RECORDS, KEEP_SNAPSHOTS = 50, 5
# Records and scripts take 100 kB.
LEAST_ROOM = 1 << 20
WAITING_ON_REBOOT = "waiting_on_reboot"
# What makes an installed copy run; the copy can install another one of itself.
INSTALLED_END = """

if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text(), Path(__file__).read_text().removesuffix(INSTALLED_END))
"""


class StepError(Exception):
    """A step could not be done; `refused` says that nothing was touched."""

    def __init__(self, reason: str, detail: str = "", *, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.refused = refused


class CancelledError(Exception):
    """Someone stopped the unit while that was still possible."""


# -- small things ----------------------------------------------------------------------------


def call(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says."""
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run(
        args, capture_output=True, text=True, errors="replace", check=False, **options
    )


def must(reason: str, *args: str, **options: Any) -> str:
    """Run a command that must succeed; returns what it printed."""
    try:
        done = call(*args, **options)
    except (OSError, subprocess.SubprocessError) as error:
        raise StepError(reason, f"{type(error).__name__}: {error}") from error
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise StepError(reason, "\n".join(said.splitlines()[-8:]))
    return done.stdout.strip()


def write_json(path: Path, value: Any, mode: int, group: int = -1) -> None:
    """Write a file, whole or not at all, and safe from a power cut."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "w") as file:
            os.fchown(file.fileno(), -1, group)
            os.fchmod(file.fileno(), mode)
            json.dump(value, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        # A full disk gets no fuller.
        new.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any]:
    """A file's object; empty when there is none, or none that can be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def boot_id() -> str:
    """The kernel's name for the present boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def host_time(seconds: float) -> str:
    """A time for people, in the host's own zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(seconds))


def resolve(at: str, delay_s: int, now: float) -> int:
    """When it is due: after a delay, or at ``HH:MM`` or ``YYYY-MM-DD HH:MM`` in the host's zone.

    A time of day that has passed today means tomorrow's.
    """
    if not at:
        return math.ceil(now + delay_s)
    if len(at) > 5:
        return local_time(datetime.strptime(at, "%Y-%m-%d %H:%M").timetuple()[:5])
    clock = time.strptime(at, "%H:%M")
    today = time.localtime(now)
    for days in (0, 1):
        day = (today.tm_year, today.tm_mon, today.tm_mday + days)
        due = local_time((*day, clock.tm_hour, clock.tm_min))
        if due > now:
            return due
    raise StepError(f"{at} does not come within a day", refused=True)


def local_time(when: tuple[int, ...]) -> int:
    """Seconds since the epoch of a local time; refuses one that the clock change leaves out."""
    year, month, day, hour, minute = when
    due = int(time.mktime((year, month, day, hour, minute, 0, 0, 0, -1)))
    if time.localtime(due)[3:5] != (hour, minute):
        raise StepError(
            f"there is no {hour:02}:{minute:02} on that day: the clocks change", refused=True
        )
    return due


# -- accounts --------------------------------------------------------------------------------


def account(site: Site) -> dict[str, Any]:
    """How to start a process as the service account: environment and, for root, who."""
    entry = pwd.getpwnam(site["service_user"])
    env = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    env |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    options: dict[str, Any] = {"env": env, "cwd": "/", "umask": 0o027}
    if os.geteuid() == 0:
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        options |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
    return options


def as_service(site: Site, work: Callable[[], Any]) -> Any:
    """Do something as the service account, in a process of its own; root never follows its links.

    What `work` returns must be plain JSON.
    """
    if os.geteuid() != 0:
        return work()
    entry = pwd.getpwnam(site["service_user"])
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            os.initgroups(entry.pw_name, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            os.umask(0o027)
            answer = {"value": work()}
        except StepError as error:
            answer = {"reason": error.reason, "detail": error.detail, "refused": error.refused}
        except BaseException as error:
            answer = {"reason": f"{type(error).__name__}: {error}", "detail": "", "refused": False}
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    answer = json.loads(text or '{"reason": "it broke off", "detail": "", "refused": false}')
    if "value" not in answer:
        raise StepError(answer["reason"], answer["detail"], refused=answer["refused"])
    return answer["value"]


def job_runner(site: Site, module: str, *args: str, answer: str = "", timeout_s: int = 120) -> str:
    """Run one of job-runner's own commands as the service account, in its environment."""
    script = 'set -a; . "$1/load-env" >/dev/null; set +a; cd "$2" && shift 2 && exec "$@"'
    command = ["python3", "-B", "-m", module, *args]
    reason = f"job-runner's {module.rpartition('.')[2]} failed"
    options = {**account(site), "input": answer, "timeout": timeout_s}
    return must(
        reason, "bash", "-c", script, "bash", site["config_dir"], site["code"], *command, **options
    )


# -- the record, the journal, the lock -------------------------------------------------------


def record_path(site: Site, id: str) -> Path:
    """Where a record lies."""
    return Path(site["lock_dir"], "scheduled", id + ".json")


def script_dir(site: Site, id: str) -> Path:
    """Where the script of an armed item lies; root's alone."""
    return Path(site["lock_dir"], "scripts", id)


def read_record(site: Site, id: str) -> Record:
    """One record; empty when there is none."""
    return read_json(record_path(site, id))


def write_record(site: Site, id: str, /, **changes: Any) -> Record:
    """Change a record, whole or not at all; the service account may read it, others may not."""
    record = {**read_record(site, id), **changes}
    group = pwd.getpwnam(site["service_user"]).pw_gid
    write_json(record_path(site, id), record, 0o640, group)
    return record


def records(site: Site) -> list[Record]:
    """Every record, newest first."""
    found = [read_json(path) for path in Path(site["lock_dir"], "scheduled").glob("*.json")]
    return sorted((r for r in found if r.get("id")), key=lambda r: str(r["id"]), reverse=True)


def say(site: Site, id: str, text: str, step: str = "") -> None:
    """Note in the record what is going on; whoever watches reads it there."""
    steps = [*read_record(site, id).get("steps", []), [time.time(), text]]
    write_record(site, id, steps=steps, **({"step": step} if step else {}))
    print(text, flush=True)


def journal(record: Record, phase: str, outcome: str = "", detail: str = "") -> None:
    """One line of the audit, as `opstasks.audit` writes them; never fails the work itself."""
    entry = {
        "run_id": record["id"],
        "host": record["host"],
        "task": record["kind"],
        "phase": phase,
        "who": record["who"],
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "args": {"why": record["why"]} if record.get("why") else {},
        "outcome": outcome,
        "detail": detail,
    }
    line = json.dumps({k: v for k, v in entry.items() if v}, sort_keys=True)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        call("systemd-cat", "-t", IDENTIFIER, "-p", "info", input=line + "\n", timeout=20)


@contextlib.contextmanager
def lock(site: Site, record: Record, wait_s: float) -> Iterator[None]:
    """Hold the host's lock; refuses, naming the holder, when it does not come free in time."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(site["lock_file"], flags, 0o644)
    with os.fdopen(fd, "r+") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    raise StepError(
                        f"someone is changing the host: {holder(file.read())}", refused=True
                    ) from None
                time.sleep(min(POLL_S, max(0.01, deadline - time.monotonic())))
        since = datetime.now(UTC).isoformat(timespec="seconds")
        words = {"who": record["who"], "task": record["kind"], "since": since}
        file.truncate(0)
        file.write(json.dumps({**words, "run_id": record["id"]}) + "\n")
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate(0)


def holder(text: str) -> str:
    """Who holds the lock, from what the lock file says."""
    try:
        found = json.loads(text.strip().splitlines()[-1])
        return f"{found['who']}, {found['task']}, since {found['since']}"
    except (ValueError, LookupError, TypeError):
        return "unknown"


# -- systemd ---------------------------------------------------------------------------------


def unit_state(unit: str) -> dict[str, str]:
    """A unit as systemd has it."""
    names = "LoadState,ActiveState,SubState,UnitFileState"
    text = must("cannot read the unit", "systemctl", "show", unit, f"--property={names}")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def is_down(unit: str) -> bool:
    """Whether a unit is not up, nor about to be."""
    return unit_state(unit).get("ActiveState") in ("inactive", "failed")


def systemctl(verb: str, unit: str, timeout_s: int = 200) -> None:
    """Start or stop a unit."""
    must(f"cannot {verb} {unit}", SYSTEMCTL, verb, unit, timeout=timeout_s)


def stop_unit(unit: str) -> None:
    """Stop a unit, unless it is down already, and see that it is down."""
    if not is_down(unit):
        systemctl("stop", unit)
    if not is_down(unit):
        raise StepError(f"{unit} does not stop")


# -- the database ----------------------------------------------------------------------------


def query(site: Site, text: str, *values: Any, database: str = "") -> list[list[Any]]:
    """Rows of job-runner's database, read as the service account."""
    path = database or site["database"]

    def read() -> list[list[Any]]:
        uri = f"file:{path}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            return [list(row) for row in connection.execute(text, values)]

    found: list[list[Any]] = as_service(site, read)
    return found


def running_jobs(site: Site) -> list[dict[str, Any]]:
    """The jobs that a reboot would interrupt, longest running first."""
    rows = query(
        site,
        "SELECT id, workspace, action, status_code, started_at FROM job"
        " WHERE state = 'running' ORDER BY started_at",
    )
    names = ("id", "workspace", "action", "status_code", "started_at")
    return [dict(zip(names, row, strict=True)) for row in rows]


def job_ids(site: Site, database: str = "") -> set[str]:
    """Every job that the database knows."""
    return {str(row[0]) for row in query(site, "SELECT id FROM job", database=database)}


def snapshot(site: Site, id: str) -> str:
    """A checked copy of the database, there as a whole or not at all; returns its path."""
    folder = Path(site["state_dir"], "reboots")
    target = folder / (id + ".sqlite")

    def copy() -> str:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        new = target.with_suffix(".new")
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        uri = f"file:{site['database']}?mode=ro"
        with (
            contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as old,
            contextlib.closing(sqlite3.connect(new)) as fresh,
        ):
            old.backup(fresh)
            verdict = fresh.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise StepError(f"the copy of the database is not sound: {verdict}")
        new.replace(target)
        for old_copy in sorted(folder.glob("*.sqlite"), reverse=True)[KEEP_SNAPSHOTS:]:
            old_copy.unlink()
        return str(target)

    return str(as_service(site, copy))


# -- the pause -------------------------------------------------------------------------------


def pause_path(site: Site) -> Path:
    """Who paused, why, since when, until when."""
    return Path(site["state_dir"], "pause.json")


def flag(site: Site) -> float:
    """When job-runner's own flag `paused` was set; 0 while it is not."""
    try:
        rows = query(site, "SELECT value, timestamp FROM flags WHERE id = 'paused'")
    except StepError as error:
        if "no such table" in error.reason:
            return 0.0
        raise
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return 0.0
        raise
    # What job-runner itself takes as true.
    paused = [row for row in rows if str(row[0]).lower() == "true"]
    return float(paused[0][1] or 1) if paused else 0.0


def pause_note(site: Site, since: float) -> dict[str, Any]:
    """Our note on the pause that the flag stands for; empty for a pause made by hand."""
    note: dict[str, Any] = as_service(site, lambda: read_json(pause_path(site)))
    try:
        ours = since and abs(float(note.get("flag_time", 0)) - since) < 1
    except (TypeError, ValueError):
        return {}
    return note if ours else {}


def set_pause(site: Site, **words: Any) -> dict[str, Any]:
    """Pause with job-runner's own command, see that it holds, and note whose it is."""
    before = flag(site)
    job_runner(site, "jobrunner.cli.flags", "set", "--create", "paused=true")
    since = flag(site)
    if not since:
        raise StepError("job-runner's flag does not hold")
    note = {"since": since, **words, "flag_time": since, "boot_id": boot_id()}

    def write() -> bool:
        pause_path(site).parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_json(pause_path(site), note, 0o640)
        return True

    try:
        as_service(site, write)
    except (StepError, OSError):
        # Nobody would know whose pause it is, nor end it.
        if not before:
            clear_pause(site)
        raise
    return note


def clear_pause(site: Site) -> None:
    """Unpause with job-runner's own command, and see that it holds."""
    job_runner(site, "jobrunner.cli.flags", "set", "--create", "paused=")
    if flag(site):
        raise StepError("job-runner's flag does not go away")

    def remove() -> bool:
        pause_path(site).unlink(missing_ok=True)
        return True

    as_service(site, remove)


def op_pause(request: dict[str, Any]) -> dict[str, Any]:
    """Pause; when it is paused already, only what is asked anew changes."""
    site = request["site"]
    since = flag(site)
    before = pause_note(site, since)
    asked = {name: request[name] for name in ("why", "until", "id") if request.get(name)}
    if since and not asked and before:
        return {"changed": False, "pause": before}
    words = {"who": request["who"], "task": "pause", "why": "", "until": 0, "id": ""}
    words |= {name: before[name] for name in ("why", "until", "id", "who") if name in before}
    return {"changed": True, "pause": set_pause(site, **(words | asked))}


def op_unpause(request: dict[str, Any]) -> dict[str, Any]:
    """Unpause, whoever paused."""
    site = request["site"]
    since = flag(site)
    before = pause_note(site, since)
    if since:
        clear_pause(site)
    return {"changed": bool(since), "pause": before, "since": since}


# -- what must be so -------------------------------------------------------------------------


def problems(site: Site) -> list[str]:
    """Everything that would keep a preparation from ending well; looked at twice.

    Once when it is armed, once when it fires: what was so then need not be so now.
    """
    found = []
    looks = (unit_problem, docker_problem, database_problem, room_problem, command_problem)
    for look in (*looks, release_problem):
        try:
            text = look(site)
        except (StepError, OSError, KeyError, sqlite3.Error, subprocess.SubprocessError) as error:
            detail = getattr(error, "detail", "").strip().splitlines()[-1:]
            text = ": ".join([str(error), *detail])
        if text:
            found.append(text)
    return found


def unit_problem(site: Site) -> str:
    """The service must be there."""
    state = unit_state(site["unit"])
    return "" if state.get("LoadState") == "loaded" else f"there is no unit {site['unit']}"


def docker_problem(site: Site) -> str:
    """The service account must be able to remove containers and volumes."""
    must("docker does not answer", "docker", "ps", "--quiet", **account(site), timeout=60)
    return ""


def database_problem(site: Site) -> str:
    """The database must be readable, and there must be room for a copy of it."""
    ids = job_ids(site)
    size = Path(site["database"]).stat().st_size
    place = site["state_dir"] if Path(site["state_dir"]).is_dir() else site["home"]
    if shutil.disk_usage(place).free < size * 1.2 + (16 << 20):
        return f"no room for a snapshot of the database ({len(ids)} jobs) under {place}"
    return ""


def room_problem(site: Site) -> str:
    """What is armed is kept on the disk, and so is how it went."""
    free = shutil.disk_usage(site["lock_dir"]).free
    return f"no room under {site['lock_dir']}" if free < LEAST_ROOM else ""


def command_problem(site: Site) -> str:
    """job-runner's own commands must be there, and load with the configuration as it is."""
    for name in ("prepare_for_reboot", "flags"):
        if not Path(site["code"], "jobrunner", "cli", name + ".py").is_file():
            return f"the installed job-runner has no command {name}"
    job_runner(site, "jobrunner.cli.prepare_for_reboot", "--help")
    return ""


def release_problem(site: Site) -> str:
    """A half-done deploy must be brought to its end first."""
    for path in sorted(Path(site["state_dir"], "releases").glob("*.json"))[-1:]:
        record = as_service(site, partial(read_json, path))
        if record and not record.get("outcome"):
            return f"the release {record.get('id')} is unfinished: run `deploy` first"
    return ""


def op_look(request: dict[str, Any]) -> dict[str, Any]:
    """Everything that the operator is shown before the question."""
    site = request["site"]
    now = time.time()
    due = resolve(request["at"], request["delay_s"], now)
    if due <= now and request["at"]:
        raise StepError(f"{request['at']} has passed on the host", refused=True)
    answer = {"now": now, "due": due, "due_there": host_time(due), "problems": problems(site)}
    if answer["problems"]:
        return answer
    newest = next((r for r in records(site) if r.get("kind") == PREPARE and r["outcome"]), {})
    jobs = running_jobs(site)
    return {
        **answer,
        "serving": not is_down(site["unit"]),
        "enabled": unit_state(site["unit"]).get("UnitFileState") == "enabled",
        "jobs": jobs,
        "paused": flag(site),
        "armed": [r for r in pending(site) if r.get("kind") == PREPARE],
        "ready": is_ready(site, newest, jobs),
    }


def is_ready(site: Site, newest: Record, jobs: list[dict[str, Any]]) -> bool:
    """Whether the host stands as a preparation left it."""
    done = newest.get("outcome") == "ready" and newest.get("boot_id") == boot_id()
    return bool(done and not jobs and is_down(site["unit"]) and flag(site))


# -- arming ----------------------------------------------------------------------------------


def pending(site: Site) -> list[Record]:
    """Records whose work is still to come, or going on, in this boot."""
    here = boot_id()
    return [r for r in records(site) if not r.get("outcome") and r.get("boot_id") == here]


def install(site: Site, id: str, script: str, request: dict[str, Any]) -> list[str]:
    """Put a copy of this script where only root reads it; returns the command line to run it."""
    folder = script_dir(site, id)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.parent.chmod(0o700)
    folder.mkdir(mode=0o700, exist_ok=True)
    run = folder / "run.py"
    new = folder / "run.py.new"
    new.write_text(script.rstrip() + INSTALLED_END)
    new.chmod(0o700)
    new.replace(run)
    write_json(folder / "request.json", request, 0o600)
    return [PYTHON, "-I", str(run), str(folder / "request.json")]


def op_arm(request: dict[str, Any], script: str) -> dict[str, Any]:
    """Arm one piece of work: at once (`due` 0) or by a timer; refuses a second preparation."""
    site, record = request["site"], request["record"]
    record_path(site, record["id"]).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if record["kind"] == PREPARE:
        found = problems(site)
        if found:
            raise StepError("; ".join(found), refused=True)
        make_room(site, replace=request["replace"])
    else:
        arm_boot(site, script)
    now = time.time()
    # From here on, not from the question: looking and answering took their time.
    due = resolve("", record["delay_s"], now) if record["delay_s"] else record["due"]
    if record["timed"] and due <= now + 1:
        raise StepError(f"{host_time(due)} has passed", refused=True)
    record = {**record, "due": due, "due_there": host_time(due), "armed_at": now, "steps": []}
    record |= {"boot_id": boot_id(), "step": "armed", "outcome": ""}
    write_record(site, record["id"], **record)
    try:
        start_unit(site, record, script)
    except StepError as error:
        write_record(site, record["id"], outcome="failed", reason=error.reason)
        raise
    prune(site)
    return {"record": read_record(site, record["id"])}


def make_room(site: Site, *, replace: bool) -> None:
    """There is one preparation at most: refuse, or take the one before away."""
    for other in pending(site):
        if other.get("kind") != PREPARE:
            continue
        if not replace:
            raise StepError(
                f"armed already: {other['id']} by {other['who']} for {other['due_there']}",
                refused=True,
            )
        cancel(site, other, "replaced")


def start_unit(site: Site, record: Record, script: str) -> None:
    """Hand the work to systemd, which needs nobody to stay."""
    request = {"op": "fire", "site": site, "id": record["id"]}
    line = install(site, record["id"], script, request)
    name = f"opstasks-{record['id']}"
    options = [
        "--quiet",
        "--collect",
        f"--unit={name}",
        f"--description=opstasks {record['kind']} by {record['who']}",
        # A stop reaches this script, which knows what it can leave; not a command half-way.
        "--property=KillMode=mixed",
        "--property=TimeoutStopSec=1800",
    ]
    if record["timed"]:
        when = datetime.fromtimestamp(record["due"], UTC)
        options += [f"--on-calendar={when:%Y-%m-%d %H:%M:%S} UTC", "--timer-property=AccuracySec=1"]
    must("systemd does not take it", "systemd-run", *options, "--", *line, timeout=60)
    if record["timed"] and unit_state(name + ".timer").get("ActiveState") != "active":
        raise StepError("systemd took the timer, but it does not run")


def prune(site: Site) -> None:
    """Forget the oldest records that are over, and the scripts of all that are."""
    over = [r for r in records(site) if r.get("outcome")]
    for record in over:
        shutil.rmtree(script_dir(site, str(record["id"])), ignore_errors=True)
    for record in over[KEEP_RECORDS:]:
        record_path(site, str(record["id"])).unlink(missing_ok=True)


def op_cancel(request: dict[str, Any]) -> dict[str, Any]:
    """Take one armed piece of work away, by id or the only one there is."""
    site, id = request["site"], request["id"]
    waiting = [r for r in records(site) if not r.get("outcome")]
    chosen = [r for r in waiting if not id or str(r["id"]).startswith(id)]
    if id and not chosen:
        over = [r for r in records(site) if str(r["id"]).startswith(id)]
        if over:
            return {"changed": False, "record": over[0]}
        raise StepError(f"nothing is called {id}", refused=True)
    if not chosen:
        return {"changed": False, "record": {}}
    if len(chosen) > 1:
        names = ", ".join(str(r["id"]) for r in chosen)
        raise StepError(f"which one? {names}", refused=True)
    record = chosen[0]
    audit = {**record, **request["audit"], "kind": "scheduled.cancel"}
    journal(audit, "start")
    try:
        done = cancel(site, record, f"cancelled by {audit['who']}")
    except StepError as error:
        journal(audit, "end", "refused" if error.refused else "failed", error.reason)
        raise
    if record["kind"] == UNPAUSE:
        # It is cancelled, whatever can be said of the pause.
        with contextlib.suppress(StepError, OSError, sqlite3.Error):
            done = no_end(site, done)
    journal(audit, "end", "changed", f"{record['kind']} {record['id']} {done['outcome']}")
    return {"changed": True, "record": done}


def no_end(site: Site, record: Record) -> Record:
    """The end of a pause was cancelled: the pause goes on, and its note says so."""
    since = flag(site)
    note = pause_note(site, since)
    if note.get("id") != record["id"]:
        return record
    kept = {**note, "until": 0, "id": ""}

    def write() -> bool:
        write_json(pause_path(site), kept, 0o640)
        return True

    as_service(site, write)
    reason = f"{record['reason']}; the pause goes on until `unpause`"
    return write_record(site, str(record["id"]), reason=reason)


def cancel(site: Site, record: Record, reason: str) -> Record:
    """Stop the timer, then what it may just have started; refuses past the point of return."""
    id, name = str(record["id"]), f"opstasks-{record['id']}"
    if record.get("boot_id") != boot_id():
        return write_record(site, id, outcome="dropped", reason=f"by a reboot; {reason}")
    call(SYSTEMCTL, "stop", name + ".timer", timeout=60)
    now = read_record(site, id)
    if now.get("step") not in CANCELLABLE:
        if not now.get("outcome") and is_down(name + ".service"):
            # It broke off without a word: a full disk, a kill. Nothing is left to be stopped.
            reason = f"at {now.get('step')!r}; {reason}"
            return write_record(site, id, outcome="cut off", reason=reason, finished=time.time())
        raise StepError(f"too late: it is at {now.get('step')!r}", refused=True)
    # From here on the script ends itself, or has passed the point and goes on to its end.
    call(SYSTEMCTL, "stop", name + ".service", timeout=240)
    now = read_record(site, id)
    if now.get("outcome") not in ("", "cancelled"):
        raise StepError(f"too late: it ended {now['outcome']!r}", refused=True)
    prune(site)
    return write_record(site, id, outcome="cancelled", reason=reason, finished=time.time())


# -- the work itself -------------------------------------------------------------------------


def op_fire(request: dict[str, Any], script: str) -> dict[str, Any]:
    """What a unit of ours runs, as root, with nobody watching; once, and never again."""
    site, id = request["site"], request["id"]
    record = read_record(site, id)
    if not record or record["outcome"] or record["step"] != "armed":
        return {"outcome": "not wanted any more"}
    signal.signal(signal.SIGTERM, on_stop)
    work = {PREPARE: prepare, UNPAUSE: end_pause}[record["kind"]]
    outcome, reason, detail = "failed", "", ""
    journal(record, "start")
    try:
        say(site, id, "wait for the lock", "waiting")
        with lock(site, record, record["lock_wait_s"]):
            outcome, reason = work(site, record, script)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            finish(site, record, outcome, reason, "")
    except StepError as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        outcome = "refused" if error.refused else "failed"
        reason, detail = error.reason, error.detail
        finish(site, record, outcome, reason, detail)
    except CancelledError:
        outcome, reason = "cancelled", "its unit was stopped"
        finish(site, record, outcome, reason, "")
    except Exception as error:  # nobody is watching: the record must tell
        outcome, reason = "failed", f"{type(error).__name__}: {error}"
        finish(site, record, outcome, reason, "")
    shutil.rmtree(script_dir(site, id), ignore_errors=True)
    if outcome == "ready" and record["reboot"]:
        time.sleep(SEEN_S)
        must("cannot reboot", SYSTEMCTL, "--no-block", "reboot", timeout=60)
    return {"outcome": outcome, "reason": reason}


def on_stop(signum: int, frame: Any) -> None:
    """The unit is being stopped."""
    raise CancelledError


def finish(site: Site, record: Record, outcome: str, reason: str, detail: str) -> None:
    """The end, in the record and in the journal."""
    words = {"outcome": outcome, "reason": reason, "detail": detail, "finished": time.time()}
    changed = "changed" if outcome in ("ready", "done") else outcome
    journal(record, "end", changed, reason or outcome)
    write_record(site, record["id"], **words)


def end_pause(site: Site, record: Record, script: str) -> tuple[str, str]:
    """A pause's time is over: unpause, if it is still that pause."""
    since = flag(site)
    if not since:
        return "done", "it was not paused any more"
    if pause_note(site, since).get("id") != record["id"]:
        return "done", "someone else has paused since; left alone"
    clear_pause(site)
    forget_boot(site)
    return "done", "unpaused"


def prepare(site: Site, record: Record, script: str) -> tuple[str, str]:
    """Pause, let jobs end if asked, stop, snapshot, requeue, verify; or back to serving."""
    id = record["id"]
    say(site, id, "check again that it can be done", "waiting")
    late = time.time() - record["due"]
    if record["timed"] and late > LATE_S:
        raise StepError(f"{late / 60:.0f} minutes late: did the host sleep?", refused=True)
    found = problems(site)
    if found:
        raise StepError("; ".join(found), refused=True)
    write_record(site, id, mounts=mounts(), was_active=was_active(site))
    try:
        hold_new_work(site, record, script)
        drain(site, record)
        return requeue(site, record)
    except Exception as error:  # a full disk, for one: whatever it is, back to serving
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        undo(site, id, error)
        raise


def was_active(site: Site) -> bool:
    """Whether the service was up, before this preparation or the one that it repeats."""
    if not is_down(site["unit"]):
        return True
    ready = [r for r in records(site) if r.get("kind") == PREPARE and r.get("outcome") == "ready"]
    return bool(ready and ready[0].get("boot_id") == boot_id() and ready[0].get("was_active"))


def hold_new_work(site: Site, record: Record, script: str) -> None:
    """Nothing new begins; after the boot it does, by itself, unless someone else paused before."""
    id = record["id"]
    since = flag(site)
    note = pause_note(site, since)
    if since and note.get("task") != PREPARE:
        write_record(site, id, paused_by_us=False)
        say(site, id, "paused already, by somebody else: it stays so after the boot", "draining")
        return
    say(site, id, "pause new work", "draining")
    write_record(site, id, paused_by_us=True)
    why = record["why"] or "prepared for a reboot"
    words = {"who": record["who"], "why": why, "until": 0, "id": id, "task": PREPARE}
    arm_boot(site, script)
    set_pause(site, **words, keep=record["keep_paused"])


def drain(site: Site, record: Record) -> None:
    """Wait for running jobs to end, up to the deadline that was given."""
    deadline = time.monotonic() + record["drain_s"]
    told = -1
    while record["drain_s"]:
        left = len(running_jobs(site))
        if left != told:
            say(site, record["id"], f"{left} job(s) running")
            told = left
        if not left or time.monotonic() >= deadline:
            return
        time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))


def requeue(site: Site, record: Record) -> tuple[str, str]:
    """From the stop of the service on: the part that a cancel does not take back."""
    id = record["id"]
    # In this order: a cancel that reads the step before it sends its signal cannot be misled.
    say(site, id, f"stop {site['unit']}", "stopping")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop_unit(site["unit"])
    say(site, id, "snapshot the database", "snapshot")
    kept = snapshot(site, id)
    jobs = running_jobs(site)
    ids = [job["id"] for job in jobs]
    write_record(site, id, snapshot=kept)
    say(site, id, f"requeue {len(ids)} job(s)", "requeueing")
    job_runner(
        site,
        "jobrunner.cli.prepare_for_reboot",
        answer="y\n",
        timeout_s=REQUEUE_TIMEOUT_S,
    )
    say(site, id, "verify that nothing runs and nothing is lost", "verifying")
    verify(site, ids, kept)
    # Those of an earlier preparation in this boot wait, too.
    write_record(site, id, requeued=sorted(waiting_jobs(site)))
    say(site, id, "READY TO REBOOT", "done")
    return "ready", f"{len(ids)} job(s) requeued"


def verify(site: Site, ids: list[str], kept: str) -> None:
    """No job lost, none running, none of the requeued ones left in docker."""
    lost = job_ids(site, kept) ^ job_ids(site)
    if lost:
        raise StepError(f"the set of jobs changed: {', '.join(sorted(lost))}")
    running = running_jobs(site)
    if running:
        raise StepError(f"still running: {', '.join(job['id'] for job in running)}")
    missing = set(ids) - waiting_jobs(site)
    if missing:
        raise StepError(f"not requeued: {', '.join(sorted(missing))}")
    left = [name for name in docker_names(site) if of_jobs(name, ids)]
    if left:
        raise StepError(f"left in docker: {', '.join(left)}")
    alive = docker_list(site, "ps", "--filter", "name=^os-job-", "--format", "{{.Names}}")
    if alive:
        raise StepError(f"containers that no job stands for are running: {', '.join(alive)}")


def waiting_jobs(site: Site) -> set[str]:
    """The jobs that wait for the reboot."""
    text = "SELECT id FROM job WHERE state = 'pending' AND status_code = ?"
    return {str(row[0]) for row in query(site, text, WAITING_ON_REBOOT)}


def docker_names(site: Site) -> list[str]:
    """Every container and every volume by name."""
    containers = docker_list(site, "ps", "--all", "--format", "{{.Names}}")
    return sorted({*containers, *docker_list(site, "volume", "ls", "--format", "{{.Name}}")})


def docker_list(site: Site, *args: str) -> list[str]:
    """What a listing of docker's prints."""
    return must("cannot ask docker", "docker", *args, **account(site), timeout=120).split()


def of_jobs(name: str, ids: list[str]) -> bool:
    """Whether a container or a volume belongs to one of these jobs."""
    found = re.fullmatch(r"os-(?:job|volume)-([A-Za-z0-9]+)(?:-manager)?", name)
    return bool(found and found[1] in ids)


def undo(site: Site, id: str, error: Exception) -> None:
    """Back to serving: what was requeued begins anew, what still runs goes on."""
    record = read_record(site, id)
    words = "cancelled" if isinstance(error, CancelledError) else str(error)
    # Each of these matters even where the others fail.
    with contextlib.suppress(OSError):
        say(site, id, f"going back: {words}")
    with contextlib.suppress(StepError, OSError):
        if record.get("was_active") and is_down(site["unit"]):
            systemctl("start", site["unit"])
    with contextlib.suppress(StepError, OSError, sqlite3.Error):
        since = flag(site)
        if record.get("paused_by_us") and pause_note(site, since).get("id") == id:
            clear_pause(site)


def mounts() -> list[str]:
    """Where real file systems are mounted."""
    real = ("/dev/", "//")
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    # Device, place, type: a network file system has a colon or slashes in its device.
    return sorted(
        {
            row[1]
            for row in rows
            if (row[0].startswith(real) or ":" in row[0])
            and not row[1].startswith(("/run/", "/var/lib/docker/", "/etc/", "/proc/", "/sys/"))
        }
    )


# -- after the boot --------------------------------------------------------------------------


def arm_boot(site: Site, script: str) -> None:
    """Have the next boot end the pause: a unit that stays, unlike a timer, over a reboot."""
    line = install(site, "boot", script, {"op": "boot", "site": site})
    text = (
        "[Unit]\n"
        "Description=opstasks: end the pause that a reboot needed\n"
        f"After=docker.service {site['unit']}.service\n\n"
        "[Service]\nType=oneshot\n"
        f"ExecStart={' '.join(line)}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    path = Path(UNIT_DIR, BOOT_UNIT)
    if not path.exists() or path.read_text() != text:
        new = path.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        new.replace(path)
    must("cannot arrange for the boot", SYSTEMCTL, "enable", "--quiet", BOOT_UNIT, timeout=60)


def forget_boot(site: Site) -> None:
    """There is nothing more to do after a boot."""
    call(SYSTEMCTL, "disable", "--quiet", BOOT_UNIT, timeout=60)
    Path(UNIT_DIR, BOOT_UNIT).unlink(missing_ok=True)
    shutil.rmtree(script_dir(site, "boot"), ignore_errors=True)


def op_boot(request: dict[str, Any], script: str) -> dict[str, Any]:
    """Run once after a boot: end the pause of a preparation, or keep time for one that ends."""
    site = request["site"]
    since = flag(site)
    note = pause_note(site, since)
    done = "nothing was paused by us"
    if note and note.get("boot_id") != boot_id():
        done = after_boot(site, note, script)
    still_to_come = note and (note.get("boot_id") == boot_id() or note.get("until"))
    if done == "unpaused" or not still_to_come:
        forget_boot(site)
    return {"done": done}


def after_boot(site: Site, note: dict[str, Any], script: str) -> str:
    """What becomes of a pause that a reboot came upon."""
    until = float(note.get("until") or 0)
    if note.get("task") == PREPARE and note.get("keep"):
        return "stays paused, as was asked"
    entry = {
        "id": str(note.get("id") or "boot"),
        "host": site["host"],
        "kind": UNPAUSE,
        "who": str(note.get("who")),
        "why": "after the reboot",
    }
    if note.get("task") != PREPARE and (not until or until > time.time() + SEEN_S):
        return keep_time(site, note, until, entry, script) if until else "stays paused"
    journal(entry, "start")
    try:
        with lock(site, entry, 600):
            clear_pause(site)
    except StepError as error:
        journal(entry, "end", "failed", error.reason)
        raise
    journal(entry, "end", "changed", "unpaused by the boot")
    return "unpaused"


def keep_time(site: Site, note: dict[str, Any], until: float, entry: Record, script: str) -> str:
    """Arm the end of a pause anew: the reboot took its timer."""
    gone = str(note["id"])
    if read_record(site, gone):
        write_record(site, gone, outcome="dropped", reason="by a reboot, which armed it anew")
    id = gone + "b"
    record = {**entry, "id": id, "due": int(until), "timed": True, "lock_wait_s": 600}
    record |= {"delay_s": 0, "reboot": False, "why": str(note.get("why"))}
    op_arm({"site": site, "record": record, "replace": False}, script)
    words = {name: note[name] for name in ("who", "why", "until", "task", "since") if name in note}
    set_pause(site, **words, id=id)
    return "the end of the pause is armed anew"


# -- the way in ------------------------------------------------------------------------------

WITH_SCRIPT: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "arm": op_arm,
    "fire": op_fire,
    "boot": op_boot,
}
PLAIN: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "look": op_look,
    "pause": op_pause,
    "unpause": op_unpause,
    "cancel": op_cancel,
}


def main(request: str, script: str = "") -> None:
    """Do one thing and print how it went."""
    os.umask(0o022)
    asked = json.loads(request)
    try:
        if asked["op"] in WITH_SCRIPT:
            answer = WITH_SCRIPT[asked["op"]](asked, asked.get("script") or script)
        else:
            answer = PLAIN[asked["op"]](asked)
        answer = {"ok": True, **answer}
    except StepError as error:
        words = {"reason": error.reason, "detail": error.detail, "refused": error.refused}
        answer = {"ok": False, **words}
    except (OSError, KeyError, sqlite3.Error, subprocess.SubprocessError) as error:
        reason = f"{type(error).__name__}: {error}"
        answer = {"ok": False, "reason": reason, "detail": "", "refused": False}
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer), flush=True)
