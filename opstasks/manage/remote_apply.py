"""Runs on the host as root: carries a plan's steps out, in order, stopping at the first failure.

Prints one JSON object: which steps are done, and why the next one is not. Each step is safe to
repeat; what can be half-done is done beside its place and then renamed.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Action = dict[str, Any]


class StepError(Exception):
    """A step could not be done."""


def run(*args: str, **options: Any) -> str:
    """Run a command that must succeed."""
    done = subprocess.run(
        args,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **options,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-6:]
        raise StepError(f"{args[0]} failed ({done.returncode}): " + "\n".join(said))
    return str(done.stdout)


def as_user(owner: str, *args: str) -> str:
    """Run a command as an account, with its own home and nothing of root's environment."""
    home = str(Path(f"~{owner}").expanduser())
    clean = ["env", "-i", f"HOME={home}", f"USER={owner}", f"PATH={os.environ['PATH']}"]
    return run("runuser", "-u", owner, "--", *clean, *args, cwd=home, timeout=1800)


def group(action: Action) -> None:
    """Make a group, or give it its id."""
    gid = ["--gid", str(action["gid"])] if action["gid"] else []
    run("groupmod" if action["exists"] else "groupadd", *gid, action["name"])


def user(action: Action) -> None:
    """Make an account, or bring it in line; it keeps groups that nobody described."""
    common = [
        "--uid",
        str(action["uid"]),
        "--gid",
        action["group"],
        "--home",
        action["home"],
        "--shell",
        action["shell"],
    ]
    groups = ",".join(action["groups"])
    if action["exists"]:
        run(
            "usermod",
            *common,
            *(["--append", "--groups", groups] if groups else []),
            action["name"],
        )
    else:
        more = ["--groups", groups] if groups else []
        # No skeleton: the home's contents are described, and the lock may lie there already.
        run("useradd", "--no-create-home", *common, *more, action["name"])


def set_rights(path: Path, action: Action) -> None:
    """Owner first, then mode: a change of owner can clear mode bits."""
    shutil.chown(path, action["owner"], action["group"])
    path.chmod(int(action["mode"], 8))


def directory(action: Action) -> None:
    """Make a directory, or bring its rights in line."""
    path = Path(action["path"])
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise StepError(f"{path} is there and is no directory; move it away")
    if not path.exists():
        path.mkdir(mode=0o700)
    set_rights(path, action)


def rights(action: Action) -> None:
    """Bring a file's rights in line."""
    path = Path(action["path"])
    if path.is_symlink():
        raise StepError(f"{path} is a link")
    set_rights(path, action)


def file(action: Action) -> None:
    """Write a file: staged beside its place, checked, given its rights, renamed."""
    path = Path(action["path"])
    if path.is_dir() and not path.is_symlink():
        raise StepError(f"{path} is a directory; move it away")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    staged = Path(name)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(action["content"])
            stream.flush()
            os.fsync(stream.fileno())
        if action["check"]:
            run(*(word.replace("@file@", name) for word in action["check"]))
        set_rights(staged, action)
        if action["backup"] and path.exists():
            backup = path.with_name(path.name + ".bak")
            shutil.copy2(path, backup)
            shutil.chown(backup, action["owner"], action["group"])
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    if action["reload"]:
        run("systemctl", "daemon-reload")


def checkout(action: Action) -> None:
    """Clone a repository: beside its place, then renamed, so that half a clone is never found."""
    path = Path(action["path"])
    if path.exists():
        if any(path.iterdir()):
            raise StepError(f"{path} is there and is no git checkout; move it away")
        path.rmdir()
    half = path.with_name(f".{path.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    as_user(action["owner"], "git", "clone", "--quiet", "--no-checkout", action["url"], str(half))
    as_user(action["owner"], "git", "-C", str(half), "checkout", "--quiet", action["ref"])
    half.rename(path)


def create(action: Action) -> None:
    """Run the command that makes a path; what it made half is taken away again."""
    path = Path(action["path"])
    try:
        as_user(action["owner"], "bash", "-c", action["run"])
    except StepError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    if not path.exists():
        raise StepError(f"{path} is not there after its command")


def enable(action: Action) -> None:
    """Have a unit start with the host."""
    run("systemctl", "enable", "--quiet", action["name"])


def start(action: Action) -> None:
    """Start a unit."""
    run("systemctl", "start", action["name"], timeout=180)


ACTIONS: dict[str, Callable[[Action], None]] = {
    "group": group,
    "user": user,
    "directory": directory,
    "rights": rights,
    "file": file,
    "checkout": checkout,
    "create": create,
    "enable": enable,
    "start": start,
}


def main(request: str) -> None:
    """Do the steps, say how far it went."""
    os.umask(0o027)
    actions = json.loads(request)
    answer: dict[str, Any] = {"done": 0, "reason": ""}
    for action in actions:
        try:
            ACTIONS[action["do"]](action)
        except (StepError, OSError, LookupError, subprocess.SubprocessError) as error:
            answer["reason"] = str(error) or type(error).__name__
            break
        answer["done"] += 1
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer), flush=True)
