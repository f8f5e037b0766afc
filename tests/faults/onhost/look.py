"""Runs on a host as root: everything that a fault must not change, as JSON. None of our own code.

Argument: a cursor of the journal; only newer lines of our audit are read.
"""

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

HOME = "/home/opensafely"
CHECKOUTS = {"code": f"{HOME}/jobrunner/code", "lib": f"{HOME}/jobrunner/lib"}
WORKDIR = f"{HOME}/jobrunner/workdir"
STATE, ROOT_STATE = f"{HOME}/opstasks", "/var/lib/opstasks"
LOCK = f"{ROOT_STATE}/lock"
WORKSPACES = ("/srv/high_privacy/workspaces", "/srv/medium_privacy/workspaces", "/e")
UNITS = ("jobrunner.service", "docker.service", "ssh.service", "systemd-journald.service")
SYNC = ("opstasks-level3-sync.timer", "opstasks-level3-sync.service")
SYSTEMCTL = next(p for p in ("/usr/bin/systemctl.real", "/usr/bin/systemctl") if os.path.exists(p))
# A process of ours: a program, or the shell that runs it.
OURS = re.compile(
    r"exec\(sys\.stdin\.readline|echo ready:|/var/lib/opstasks/scripts/|/usr/local/lib/opstasks/"
    r"|jobrunner\.cli\.|jobrunner\.run import"
)
LEFT = re.compile(r"\.part$|\.tmp$|\.new$|staging-|^tmp|\.half$|\.partial$|\.inspect|~$")


def ask(*words, timeout_s=15):
    """The output of a program; None when it fails or hangs."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            words, capture_output=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
        )
        return done.stdout.decode(errors="replace") if done.returncode == 0 else None
    return None


def text_of(path):
    """The text of a file."""
    with open(path) as file:
        return file.read().strip()


def units(names):
    """The properties of units, by name, with one call."""
    asked = "LoadState,ActiveState,SubState,MainPID,NRestarts,UnitFileState"
    text = ask(SYSTEMCTL, "show", *names, f"--property={asked}") or ""
    blocks = text.strip().split("\n\n")
    found = [dict(line.split("=", 1) for line in b.splitlines() if "=" in line) for b in blocks]
    return dict(zip(names, found + [{}] * len(names), strict=False))


def checkout(path):
    """Where a checkout is, and what differs; git runs only for what its files do not say."""

    def git(*words):
        text = ask(
            *("/usr/bin/git", "-c", "safe.directory=*", "--no-optional-locks", "-C", path), *words
        )
        return None if text is None else text.strip()

    locks = glob.glob(f"{path}/.git/*.lock") + glob.glob(f"{path}/.git/refs/heads/*.lock")
    edits = git("status", "--porcelain")
    stash = []
    if os.path.exists(f"{path}/.git/refs/stash"):
        stash = (git("stash", "list") or "").splitlines()
    head = text_of(f"{path}/.git/HEAD")
    return {
        "head": git("rev-parse", "HEAD") if head.startswith("ref:") else head,
        "name": git("describe", "--tags", "--always"),
        "edits": edits,
        "diff": git("diff", "HEAD") if edits else "",
        "stashed": [git("stash", "show", "-p", f"stash@{{{n}}}") for n in range(len(stash))],
        "locks": [os.path.basename(p) for p in locks],
    }


def read_copy(folder):
    path = f"{folder}/db.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        check = db.execute("pragma quick_check").fetchone()[0]
        version = db.execute("pragma user_version").fetchone()[0]
        jobs = dict(
            (row[0], list(row[1:]))
            for row in db.execute("select id, state, status_code, workspace, action from job")
        )
        flags = dict(db.execute("select id, value from flags")) if version else {}
    return {"check": check, "version": version, "jobs": jobs, "flags": flags}


def database():
    """Read a copy, so that a lock of somebody else does not matter."""
    problem = ""
    for _ in range(3):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            try:
                for path in glob.glob(f"{WORKDIR}/db.sqlite*"):
                    shutil.copy(path, folder)
                return read_copy(folder)
            except (OSError, sqlite3.Error) as error:
                problem = str(error)
    return {"check": problem, "version": None, "jobs": None, "flags": None}


def snapshots():
    """What sqlite says about each snapshot of the database; a part of one is not "ok"."""
    found = {}
    for path in glob.glob(f"{STATE}/snapshots/*"):
        try:
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                found[path] = db.execute("pragma quick_check").fetchone()[0]
                db.execute("select count(*) from job")
        except sqlite3.Error as error:
            found[path] = str(error)
    return found


def containers():
    text = ask("/usr/bin/docker", "ps", "-a", "--format", "{{.Names}}\t{{.State}}")
    names = ask("/usr/bin/docker", "volume", "ls", "--format", "{{.Name}}")
    if text is None or names is None:
        return None, None
    found = dict(line.split("\t", 1) for line in text.splitlines())
    return found, [name for name in names.split() if name.startswith("os-")]


def images():
    text = ask(
        "/usr/bin/docker", "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"
    )
    return None if text is None else dict(line.rsplit(" ", 1) for line in text.splitlines())


def command_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def processes():
    """Those of ours, and those that have the lock's file open."""
    ours, holders = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        line = command_of(pid)
        # The listener of a trap has the trap's pattern in its command line.
        if OURS.search(line) and "mkfifo" not in line:
            ours[pid] = line[-90:]
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") == LOCK:
                        holders[pid] = line[-90:]
    return ours, holders


def tree(top):
    """Every file below a folder: its path, and a hash of its content."""
    found = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                with open(path, "rb") as file:
                    found[path] = hashlib.sha256(file.read()).hexdigest()[:16]
            except OSError as error:
                found[path] = f"error {error.errno}"
    return found


def records(pattern):
    found = {}
    for path in sorted(glob.glob(pattern)):
        try:
            with open(path) as file:
                found[os.path.basename(path)] = json.load(file)
        except (OSError, ValueError) as error:
            found[os.path.basename(path)] = {"unreadable": str(error)}
    return found


def audit(cursor):
    """The lines of our audit after a position in the journal, and the newest position."""
    words = ["/usr/bin/journalctl", "--no-pager", "--quiet", "--output=cat", "--show-cursor"]
    words += ["--identifier=opstasks"] if cursor else ["--lines=1"]
    words += [f"--after-cursor={cursor}"] if cursor else []
    text = ask(*words) or ""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    position = text.rpartition("-- cursor: ")[2].strip()
    return (found, position or cursor) if cursor else ([], position)


def state_files():
    found = {}
    for top in (STATE, ROOT_STATE):
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    found[path] = os.stat(path).st_size
    return found


def folder(path):
    with contextlib.suppress(OSError):
        return sorted(os.listdir(path))
    return []


def left_over(paths):
    """Files and folders that somebody forgot: parts, temporary ones, staged ones."""
    places = [*paths]
    for place in (
        "/srv/medium_privacy",
        "/srv/medium_privacy/workspaces",
        WORKDIR,
        f"{HOME}/config",
    ):
        places += [os.path.join(place, name) for name in folder(place)]
    places += [p for p in glob.glob("/tmp/*") + glob.glob("/var/tmp/*") if "opstasks" in p]
    wanted = [p for p in places if LEFT.search(os.path.basename(p)) or "/tmp/" in p]
    held = glob.glob("/srv/medium_privacy/.opstasks*/*") + glob.glob("/e/*/.opstasks*/*")
    return sorted(set(wanted + held))


def account_state():
    found = {}
    for path in ("/etc/passwd", "/etc/group", "/etc/shadow"):
        with open(path) as file:
            found |= {f"{path}:{line.split(':')[0]}": line.strip() for line in file}
    return found


def main(cursor):
    ours, holders = processes()
    there, volumes = containers()
    lines, now_cursor = audit(cursor)
    files = state_files()
    shown = units((*UNITS, *SYNC))
    timers = ask(SYSTEMCTL, "list-units", "--all", "--no-legend", "--plain", "opstasks-2*")
    etc = {
        p: h
        for top in ("/etc/systemd/system", "/etc/sudoers.d", "/etc/ssh")
        for p, h in tree(top).items()
    }
    print(
        json.dumps(
            {
                "boot": text_of("/proc/sys/kernel/random/boot_id"),
                "units": {name: shown[name] for name in UNITS},
                "code": checkout(CHECKOUTS["code"]),
                "lib": checkout(CHECKOUTS["lib"]),
                "database": database(),
                "containers": there,
                "volumes": volumes,
                "images": images(),
                "ours": ours,
                "holders": holders,
                "lock_is_free": ask("/usr/bin/flock", "-n", LOCK, "true") is not None,
                "files": {p: h for top in WORKSPACES for p, h in tree(top).items()},
                "config": tree(f"{HOME}/config"),
                "etc": etc,
                "accounts": account_state(),
                "releases": records(f"{STATE}/releases/*.json"),
                "scheduled": records(f"{ROOT_STATE}/scheduled/*.json"),
                "snapshots": snapshots(),
                "removals": records(f"{STATE}/outputs/*.json"),
                "pause": records(f"{STATE}/pause.json"),
                "state_files": files,
                "left": left_over(files),
                "sync": [shown[name] for name in SYNC],
                "timers": (timers or "").splitlines(),
                "audit": lines,
                "cursor": now_cursor,
            }
        )
    )


main(sys.argv[1] if len(sys.argv) > 1 else "")
