"""Runs on the host: run Python text that may be hostile, with as little access as possible.

It runs in namespaces of its own, which need no rights. It sees only Python, the folders that it was
given (read-only) and an empty /tmp: no home, no configuration, no sockets, no other process, no
network. When it ends, or at its time limit, the kernel ends all processes that it started.

A host may forbid user namespaces (`user.max_user_namespaces`, AppArmor). Then the text runs as the
account itself: only the environment and the limits protect the host, and the answer says so.
"""

import contextlib
import os
import signal
import site
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple

# How much it may print or write into one file, and other limits of one process.
MAX_BYTES = 1 << 20
MAX_MEMORY_BYTES = 4 << 30
MAX_PROCESSES, MAX_FILES = 1000, 256
# Where the new root folder is made, in a namespace of its own.
ROOT = "/mnt"
READY = b"ready"
# Parts of the system that Python and programs need, without configuration of this host.
SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/etc/alternatives"),
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"),
    *("--net", "--ipc", "--uts"),
)
# $1: the new root folder; then the paths to show, up to "--"; then the command. Nothing hostile
# has run yet.
SCRIPT = """set -e
root=$1; shift
mount -t tmpfs -o size=64m,mode=755,nosuid,nodev opstasks "$root"
mkdir -p "$root/tmp" "$root/dev"
while [ "$1" != -- ]; do
    if [ -L "$1" ]; then mkdir -p "$root${1%/*}"; cp -P "$1" "$root$1"; shift; continue; fi
    if [ -d "$1" ]; then mkdir -p "$root$1"; else mkdir -p "$root${1%/*}"; : >"$root$1"; fi
    mount --bind "$1" "$root$1"
    case $1 in
    /dev/*) ;;
    *) mount -o remount,bind,ro,nosuid,nodev "$root$1" 2>/dev/null ||
        mount -o remount,bind,ro,nosuid,nodev,noexec "$root$1" ;;
    esac
    shift
done
shift
cd "$root"
# The service account's PATH may lack its folder.
exec /usr/sbin/chroot "$root" setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
# This runs first, in a Python that imports nothing from the folders: Python would run their
# sitecustomize.py before any text of ours. It reports on a pipe that the namespaces work. The text
# does not have this pipe and cannot withdraw the report, so it cannot choose to run without the
# namespaces. A process without rights cannot raise its limits again.
FIRST = f"""import os, resource as r, sys
sign, folder, text = int(sys.argv[1]), *sys.argv[2:]
for what, most in ((r.RLIMIT_FSIZE, {MAX_BYTES}), (r.RLIMIT_AS, {MAX_MEMORY_BYTES}),
    (r.RLIMIT_NPROC, {MAX_PROCESSES}), (r.RLIMIT_NOFILE, {MAX_FILES}), (r.RLIMIT_CORE, 0)):
    high = r.getrlimit(what)[1]
    most = most if high == r.RLIM_INFINITY else min(most, high)
    r.setrlimit(what, (most, most))
os.write(sign, {READY!r})
os.close(sign)
os.chdir(folder)
os.execv(sys.executable, [sys.executable, "-B", "-c", text])
"""


Output = tuple[int | None, str, str]


class Ended(NamedTuple):
    """How it ended: `code` is None at the time limit; `is_confined`: in namespaces of its own."""

    code: int | None
    out: str
    err: str
    is_confined: bool


def run(
    text: str,
    folders: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    *,
    timeout_s: float,
    confines: bool = True,
) -> Ended:
    """Run Python text in one of these folders; it sees all of them.

    Without `confines` it runs as the account itself.
    """
    words = [sys.executable, "-I", "-B", "-c", FIRST]
    shown = [*existing([*SYSTEM, *python_folders()]), *DEVICES, *existing(folders)]
    confined = [*NAMESPACES, "sh", "-c", SCRIPT, "sh", ROOT, *shown, "--", *words]
    if confines:
        ended, is_confined = _signed(confined, (cwd, text), env, timeout_s)
        if is_confined:  # else the host has no such namespaces; the text has not run
            return Ended(*ended, is_confined)
    ended, _ = _signed(words, (cwd, text), env, timeout_s)
    return Ended(*ended, False)


def python_folders() -> list[str]:
    """The folders of Python and its packages that are not among the system's."""
    found = (sys.prefix, sys.base_prefix, site.getusersitepackages())
    return [path for path in dict.fromkeys(found) if not f"{path}/".startswith("/usr/")]


def existing(paths: Sequence[str]) -> list[str]:
    """The paths that exist."""
    return [path for path in paths if os.path.lexists(path)]


def _signed(
    words: Sequence[str], rest: Sequence[str], env: Mapping[str, str], timeout_s: float
) -> tuple[Output, bool]:
    """Run a command that ends with FIRST; also returns whether FIRST gave its sign."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    with open(reader, "rb", buffering=0) as signs:  # noqa: PTH123 (a descriptor)
        try:
            ended = _ended([*words, str(writer), *rest], env, timeout_s, writer)
        finally:
            os.close(writer)
        return ended, signs.read(len(READY)) == READY


def _ended(words: Sequence[str], env: Mapping[str, str], timeout_s: float, sign: int) -> Output:
    """Run a command; its output is kept in memory, up to a limit."""
    with memory_file("out") as out, memory_file("err") as err:
        try:
            process = subprocess.Popen(
                words,
                env=dict(env),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                close_fds=True,  # code of a release gets nothing of ours
                pass_fds=(sign,),
                start_new_session=True,
            )
        except OSError as error:
            return 127, "", str(error)
        try:
            code: int | None = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            # Also processes that it left behind, unless they have a session of their own.
            with_children(process)
        return code, read(out), read(err)


def with_children(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def memory_file(name: str) -> IO[bytes]:
    """A file in memory: it needs no disk space, and is gone at the end."""
    return open(os.memfd_create(name), "w+b", buffering=0)  # noqa: PTH123 (a descriptor)


def read(file: IO[bytes]) -> str:
    """What was written into a file, up to the limit."""
    file.seek(0)
    return file.read(MAX_BYTES).decode("utf-8", "replace")
