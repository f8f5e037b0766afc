"""Runs on the host: work on the service account's files, done as that account."""

import json
import os
import pwd
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.disk_errors import cause_of
from opstasks.onhost.protocol import HostFailure, HostRefusal, error_text

# How long work may take, and how many bytes it may answer: the account's files may be anything.
LIMIT_S = 45.0
MAX_ANSWER_BYTES = 32 << 20
# Shell text: a limit of memory (KiB) for what reads the account's files, for example /dev/zero.
LIMITED = "ulimit -Sv 1000000"


def account(site: Site) -> dict[str, Any]:
    """Options to start a process as the service account: environment and, for root, ids."""
    entry = _entry(site)
    env = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    env |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    options: dict[str, Any] = {"env": env, "cwd": "/", "umask": 0o027}
    if os.geteuid() == 0:
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        options |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
    return options


def _entry(site: Site) -> pwd.struct_passwd:
    """The service account. Raises HostFailure on a host that was never set up."""
    try:
        return pwd.getpwnam(site.service_user)
    except KeyError:
        raise HostFailure(f"there is no account {site.service_user}") from None


def as_service(site: Site, work: Callable[[], Any], *, limit_s: float = LIMIT_S) -> Any:
    """Do work as the service account in a separate process, so root never follows its links.

    `work` must return plain JSON, and is killed after `limit_s` seconds: a file can be a pipe that
    never ends. Raises HostRefusal or HostFailure when `work` fails.
    """
    if os.geteuid() != 0:
        return work()
    entry = _entry(site)
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            with os.fdopen(writer, "w") as pipe:
                json.dump(_answer_as(entry, work), pipe)
        finally:
            os._exit(0)
    os.close(writer)
    try:
        text = _read_all(reader, time.monotonic() + limit_s)
    finally:
        os.close(reader)
        # It may be stopped, or hang on a network drive: then do not wait for it.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, os.WNOHANG)
    if not text:
        raise HostFailure("the process of the service account ended early")
    answer = json.loads(text)
    if "refused" in answer:
        raise HostRefusal(*answer["refused"])
    if "failed" in answer:
        raise HostFailure(*answer["failed"])
    return answer["value"]


def _read_all(reader: int, deadline: float) -> bytes:
    """All bytes of a pipe until its end. Raises HostFailure if they are too many or too late."""
    found = bytearray()
    while len(found) <= MAX_ANSWER_BYTES:
        left_s = max(0.0, deadline - time.monotonic())
        if not select.select([reader], [], [], left_s)[0]:
            raise HostFailure("the work of the service account did not end in time")
        data = os.read(reader, 1 << 16)
        if not data:
            return bytes(found)
        found += data
    raise HostFailure("the work of the service account answered too much")


def _answer_as(entry: pwd.struct_passwd, work: Callable[[], Any]) -> dict[str, Any]:
    """Become the account permanently and do the work; returns its result or its error."""
    try:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        os.umask(0o027)
        return {"value": work()}
    except HostRefusal as error:
        return {"refused": [error.reason, error.detail, error.cause]}
    except HostFailure as error:
        return {"failed": [error.reason, error.detail, error.cause or cause_of(error.__cause__)]}
    except BaseException as error:
        return {"failed": [error_text(error), "", cause_of(error)]}
