"""Runs `ssh` and our tool, each in a fork with its own ~/.ssh, /etc/ssh and /etc/hosts.

OpenSSH takes the home folder from the account and not from $HOME. So the row's files are mounted
over the real ones, in a mount namespace that ends with the fork. Its process namespace ends every
proxy that is left. Because of the forks, a row does not pay for our imports.

Standard input: one request of JSON a line; the answer is one line of JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import select
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

NEW_MOUNTS, NEW_USERS, NEW_PROCESSES = 0x20000, 0x10000000, 0x20000000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
DIE_WITH_PARENT = 1
LOOK = 'echo "user=$(id -un) connection=$SSH_CONNECTION"'
LIBC = ctypes.CDLL(None, use_errno=True)
HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)


def check(code: int, what: str) -> None:
    if code:
        raise OSError(ctypes.get_errno(), what)


def private_namespaces() -> None:
    """New mounts and processes; without the rights of root, also a user namespace."""
    user, group = os.getuid(), os.getgid()
    if user == 0:
        check(LIBC.unshare(NEW_MOUNTS | NEW_PROCESSES), "unshare")
        return
    check(LIBC.unshare(NEW_USERS | NEW_MOUNTS | NEW_PROCESSES), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def mount(source: Path | None, target: str, flags: int) -> None:
    told = os.fsencode(source) if source else None
    check(LIBC.mount(told, os.fsencode(target), None, flags, None), f"mount {target}")


def enter(folder: Path) -> None:
    """The row's files in the places where every program looks for them."""
    mount(None, "/", RECURSIVE | PRIVATE)
    mount(folder / "dot_ssh", str(HOME / ".ssh"), BIND)
    mount(folder / "etc_ssh", "/etc/ssh", BIND)
    for name in ("hosts", "nsswitch.conf"):
        mount(folder / name, f"/etc/{name}", BIND)


def with_ssh(request: dict[str, Any]) -> dict[str, Any]:
    argv = ["ssh", "-o", "BatchMode=yes", *request["argv"], LOOK]
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    return {"ok": done.returncode == 0, "out": done.stdout, "err": done.stderr}


def with_ours(request: dict[str, Any]) -> dict[str, Any]:
    from opstasks.cli.app import App
    from opstasks.cli.options import RunOptions
    from opstasks.core.command import cmd
    from opstasks.core.errors import OpsError

    app = App(RunOptions(**{**request["options"], "hosts": tuple(request["options"]["hosts"])}))
    try:
        (host,) = app.fleet.hosts
        out = host.login.output(cmd("sh", "-c", LOOK))
    except OpsError as error:
        text = "\n".join(filter(None, (str(error), error.tail)))
        return {"ok": False, "out": "", "err": text, "kind": type(error).__name__}
    except BaseException:
        return {"ok": False, "out": "", "err": traceback.format_exc(), "kind": "traceback"}
    app.close()
    return {"ok": True, "out": out, "err": "", "kind": ""}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request; we are the first process of our namespace."""
    enter(Path(request["folder"]))
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["env"]["TMPDIR"])
    return with_ours(request) if request["tool"] == "ours" else with_ssh(request)


def in_fork(request: dict[str, Any], pipe: int) -> None:
    private_namespaces()
    inner = os.fork()
    if inner:
        os.waitpid(inner, 0)
        return
    LIBC.prctl(DIE_WITH_PARENT, signal.SIGKILL)
    os.setsid()
    try:
        found = answer(request)
    except BaseException:
        found = {"ok": False, "out": "", "err": traceback.format_exc(), "kind": "defect"}
    with os.fdopen(pipe, "w") as file:
        json.dump(found, file)


def carry_out(request: dict[str, Any]) -> dict[str, Any]:
    """The outcome of one request; a fork that takes too long is ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            in_fork(request, writer)
        finally:
            os._exit(0)
    os.close(writer)
    text = b""
    try:
        while select.select([reader], [], [], request["limit_s"])[0]:
            part = os.read(reader, 1 << 16)
            text += part
            if not part:
                break
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    hung = {"ok": False, "out": "", "err": "did not end in time", "kind": "hung"}
    return json.loads(text) if text else hung


def main() -> None:
    import fabric
    import paramiko

    import opstasks.fleet.ssh

    assert fabric and paramiko and opstasks.fleet.ssh
    sys.stdout.reconfigure(line_buffering=True)
    place = HOME / ".ssh"
    is_new = not place.exists()
    place.mkdir(mode=0o700, exist_ok=True)
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))))
    if is_new:
        with contextlib.suppress(OSError):  # a row has put a file there
            place.rmdir()


if __name__ == "__main__":
    main()
