"""Faults of file systems, of the database and of the checkouts."""

from tests.faults.fault import Fault, script
from tests.look import CODE, DB, HOME, STATE

# -- file systems -----------------------------------------------------------------------------


KEPT = "/opt/faults/small"


def small(folder, size):
    """A script: the folder becomes a file system of its own, so that it can be filled."""
    return (
        f"rm -rf {KEPT}; cp -a {folder} {KEPT};"
        f" mount -t tmpfs -o size={size} tmpfs {folder}; cp -a {KEPT}/. {folder}/;"
        f" chown --reference={KEPT} {folder}; chmod --reference={KEPT} {folder}"
    )


def full(name, folder, size, fill=".fill"):
    """A fault: the folder's file system is full, until its end."""
    return Fault(
        f"{name} full",
        script(f"cat /dev/zero >{folder}/{fill} 2>/dev/null; true"),
        script(f"rm -f {folder}/{fill}"),
        setup=small(folder, size),
        cause="[Nn]o space|[Ff]ull|disk|free, ",
        extra={"crashes": True},
    )


def read_only(name, folder, **more):
    """A fault: the folder can only be read, until its end."""
    return Fault(
        f"{name} read-only",
        script(f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"),
        script(f"umount -l {folder}"),
        cause="[Rr]ead-only|[Pp]ermission|writ|readonly|cannot (lock|open)",
        extra={"crashes": True},
        **more,
    )


FILE_SYSTEMS = [
    full("state folder", STATE, "80m"),
    full("database's folder", f"{HOME}/jobrunner/workdir", "80m"),
    full("code's disk", CODE, "80m", ".git/.fill"),
    full("tmp", "/tmp", "16m"),
    full("medium privacy", "/srv/medium_privacy", "8m"),
    full("config folder", f"{HOME}/config", "1m"),
    read_only("home", "/home"),
    read_only("state folder", STATE),
    read_only("code", CODE),
    read_only("database's folder", f"{HOME}/jobrunner/workdir"),
    read_only("tmp", "/tmp"),
    read_only("var-lib-opstasks", "/var/lib/opstasks"),
    read_only("medium privacy", "/srv/medium_privacy"),
    read_only("etc", "/etc"),
]

# -- the database -----------------------------------------------------------------------------

HOLD = (
    "setsid python3 -c 'import sqlite3,time;"
    f' c=sqlite3.connect("{DB}",isolation_level=None,timeout=20); c.execute("begin exclusive");'
    " time.sleep(600)' faults-holder >/dev/null 2>&1 & sleep 0.6"
)
DATABASE = [
    Fault(
        "database locked",
        script(HOLD),
        script("pkill -f '[b]egin exclusive.*faults-holder' || true"),
        cause="locked|busy",
        extra={"crashes": True},
    ),
    Fault(
        "database not writable",
        script(f"chown root {DB}*; chmod 0444 {DB}*"),
        script(f"chown opensafely {DB}*; chmod 0640 {DB}*"),
        cause="readonly|read-only|[Pp]ermission|writ|owner|root",
        extra={"crashes": True},
        stays=True,
    ),
    Fault(
        "database corrupt",
        script(f"dd if=/dev/urandom of={DB} bs=1 seek=100 count=4000 conv=notrunc 2>/dev/null"),
        cause="malformed|corrupt|not a database|damaged",
        # Perhaps no job can be read any more.
        touches=frozenset({"database", "jobs", "flags"}),
        stays=True,
        extra={"crashes": True},
    ),
]

# -- git --------------------------------------------------------------------------------------


def broken(name, make, mend, cause, **more):
    """A fault of a checkout that stays until a person mends it."""
    return Fault(name, script(make), script(mend), cause=cause, stays=True, **more)


GIT = [
    broken(
        "index.lock of somebody",
        f"runuser -u opensafely touch {CODE}/.git/index.lock",
        f"rm -f {CODE}/.git/index.lock",
        r"index\.lock",
    ),
    broken(
        "HEAD.lock of a killed git",
        f"runuser -u opensafely touch {CODE}/.git/HEAD.lock",
        f"rm -f {CODE}/.git/HEAD.lock",
        r"HEAD\.lock|HEAD",
    ),
    broken(
        "packed-refs broken",
        f"cp -a {CODE}/.git/packed-refs /opt/faults/refs; echo '<<<<' >>{CODE}/.git/packed-refs",
        f"cp -a /opt/faults/refs {CODE}/.git/packed-refs",
        "packed-refs|refs",
        touches=frozenset({"code"}),
    ),
    broken(
        "object of root",
        f"chown -R root {CODE}/.git/objects; chmod -R go-w {CODE}/.git/objects",
        f"chown -R opensafely {CODE}/.git/objects",
        "[Pp]ermission|root|owner|insufficient",
    ),
    broken(
        "checkout of root",
        f"chown root {CODE} {CODE}/.git",
        f"chown opensafely {CODE} {CODE}/.git",
        "[Pp]ermission|root|owner|dubious",
    ),
    broken(
        "branch gone upstream",
        "git -C /srv/sandbox/git/job-runner.git update-ref -d refs/heads/main",
        "git -C /srv/sandbox/git/job-runner.git update-ref refs/heads/main v2.73.0^{commit}",
        "main|branch",
        early=True,
    ),
]
