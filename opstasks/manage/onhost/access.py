"""Runs on the host as root: changes what people get in by, and takes it back unless confirmed.

- ``install``  keeps the present files, arms a timer that puts them back, then installs the new
- ``confirm``  a fresh connection succeeded: disarms the timer and forgets the old files
- ``putback``  it did not: the old files again
- ``expire``   nobody said anything in time: the same, by the timer

The timer is systemd's: it fires even when the client is gone and its network with it.
"""

import base64
import contextlib
import json
import os
import socket
import stat
import subprocess
import time
from pathlib import Path

from opstasks.manage.onhost.apply import Action, carry_out, reload, run
from opstasks.manage.onhost.paths import look, parent_of, put, put_link, read
from opstasks.onhost.commands import StepError

TIMER = "opstasks-access-putback"


def keep(path: str) -> Action:
    """A file as it is: content and rights, or where a link leads; else no content."""
    info = look(path)
    if info is not None and stat.S_ISLNK(info.st_mode):
        with parent_of(path) as (folder, name):
            return {"path": path, "content": None, "link": os.readlink(name, dir_fd=folder)}
    if info is None or not stat.S_ISREG(info.st_mode):
        return {"path": path, "content": None}
    return {
        "path": path,
        "content": base64.b64encode(read(path)).decode(),
        "owner": str(info.st_uid),
        "group": str(info.st_gid),
        "mode": f"{stat.S_IMODE(info.st_mode):04o}",
    }


def restore(kept: Action) -> None:
    """A file as it was kept."""
    if kept["content"] is not None:
        data = base64.b64decode(kept["content"])
        put(kept["path"], data, kept["owner"], kept["group"], kept["mode"])
        return
    if kept.get("link"):
        put_link(kept["path"], kept["link"])
        return
    # A folder in a file's place was refused: it is still there, and stays.
    gone = contextlib.suppress(FileNotFoundError, IsADirectoryError)
    with gone, parent_of(kept["path"]) as (folder, name):
        os.unlink(name, dir_fd=folder)


def manifest(place: str) -> Path:
    """What is kept, and what to reload after putting it back."""
    return Path(place, "manifest.json")


def disarm() -> None:
    """Stop the timer, if it runs."""
    for unit in (f"{TIMER}.timer", f"{TIMER}.service"):
        subprocess.run(["systemctl", "stop", unit], capture_output=True, check=False)
    subprocess.run(["systemctl", "reset-failed", f"{TIMER}.*"], capture_output=True, check=False)


def arm(place: str, script: str, patience_s: int) -> None:
    """Have systemd put the files back later, whatever becomes of us."""
    program = Path(place, "putback.py")
    put(str(program), script.encode(), "0", "0", "0600")
    run(
        *("systemd-run", "--quiet", "--collect", f"--unit={TIMER}"),
        *(f"--on-active={patience_s}s", "--timer-property=AccuracySec=1s"),
        *("python3", "-I", str(program)),
    )


def claim(place: str) -> Action | None:
    """What is kept, taken so that nobody else takes it too; None when there is nothing."""
    claimed = Path(place, "claimed.json")
    with contextlib.suppress(FileNotFoundError):
        manifest(place).rename(claimed)
    try:
        kept: Action = json.loads(claimed.read_text())
    except FileNotFoundError:
        return None
    return kept


def putback(place: str) -> bool:
    """Put everything back that is kept; whether there was anything."""
    kept = claim(place)
    if kept is None:
        return False
    for item in reversed(kept["files"]):
        restore(item)
    for unit in kept["reload"]:
        reload(unit)
    forget(place)
    return True


def forget(place: str) -> None:
    """Drop what was kept."""
    for name in ("manifest.json", "claimed.json", "putback.py"):
        Path(place, name).unlink(missing_ok=True)


def greets(port: int, patience_s: float = 5.0) -> bool:
    """Whether an sshd answers on this machine; while it reloads, it may not for a moment."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as s:
            if s.recv(4) == b"SSH-":
                return True
        time.sleep(0.1)
    return False


def ssh_ports() -> list[int]:
    """Where sshd listens, by its own account."""
    lines = run("sshd", "-T").splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("port ")]


def install(request: Action) -> Action:
    """Do the steps with a way back; on any failure the way back is taken at once."""
    place, actions = request["place"], request["actions"]
    folder = Path(place)
    folder.mkdir(mode=0o700, exist_ok=True)
    disarm()
    earlier = claim(place) or {"files": [], "reload": []}
    # What an earlier, unproven run kept is the older and better state.
    known = {item["path"] for item in earlier["files"]}
    paths = [action["path"] for action in actions if "path" in action]
    kept = {
        "files": earlier["files"] + [keep(path) for path in paths if path not in known],
        "reload": list(
            dict.fromkeys(earlier["reload"] + [a["reload"] for a in actions if a.get("reload")])
        ),
    }
    put(str(manifest(place)), json.dumps(kept).encode(), "0", "0", "0600")
    arm(place, request["script"], request["patience_s"])
    answer = carry_out(actions)
    if answer["reason"]:
        failed = actions[answer["done"]].get("path", "")
        answer["reason"] = f"{failed}: {answer['reason']}; the old files are back"
    if not answer["reason"] and "ssh" in kept["reload"]:
        silent = [port for port in ssh_ports() if not greets(port)]
        if silent:
            answer = {"done": 0, "reason": f"sshd no longer answers on port {silent[0]}"}
    if answer["reason"]:
        putback(place)
        disarm()
        answer["done"] = 0
    return answer


def answer_to(request: Action) -> Action:
    """Do what is asked."""
    place = request["place"]
    if request["do"] == "install":
        return install(request)
    if request["do"] == "confirm":
        there = claim(place) is not None
        disarm()
        forget(place)
        return {"done": int(there), "reason": "" if there else "they were put back already"}
    done = putback(place)
    # The timer's own process does not stop itself.
    if request["do"] == "putback":
        disarm()
    return {"done": int(done), "reason": ""}


def main(request: str) -> None:
    """Answer a request."""
    os.umask(0o077)
    try:
        answer = answer_to(json.loads(request))
    except (StepError, OSError, LookupError, subprocess.SubprocessError) as error:
        answer = {"done": 0, "reason": str(error) or type(error).__name__}
    print(json.dumps(answer), flush=True)
