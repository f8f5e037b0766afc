"""The requests of `doctor` to a host, and the types of the answers."""

from __future__ import annotations

import msgspec

from opstasks.core.command import Command, cmd
from opstasks.core.fields import Line, Moment, Small
from opstasks.deploy import fit, present, release
from opstasks.doctor import left
from opstasks.fleet import lock
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program
from opstasks.jobs.disks import places
from opstasks.locks.break_lock import HOLDERS, HoldersRequest
from opstasks.onhost.unit_state import SYSTEMCTL
from opstasks.primitives import systemd
from opstasks.sync import facts as sync_facts
from opstasks.sync import units

# Programs, and the packages that contain them.
PROGRAMS = {
    "awk": "mawk",
    "docker": "docker.io",
    "flock": "util-linux",
    "git": "git",
    "journalctl": "systemd",
    "ps": "procps",
    "systemd-analyze": "systemd",
    "systemd-cat": "systemd",
    "systemd-run": "systemd",
    "timeout": "coreutils",
}
# Names the accounts with an empty password; any account of the host can become them.
OPEN_ACCOUNTS = '/^[^+-]/ && $2 == "" { print $1 " has an empty password"; n = 1 } END { exit n }'
# job-runner's own commands, which make every change of its state.
COMMANDS = ("flags", "kill_job", "migrate", "prepare_for_reboot", "retry_job")

# The folders of releases, preparations, removals and retries, in the folder of our state.
FOLDERS = ("kept", "outputs", "reboots", "releases", "snapshots", "untold")


class DoctorRequest(msgspec.Struct, frozen=True):
    """Programs, paths, sudo rules and disks to check; `hold` should be empty or absent.

    `folders` are those that tasks make when they first need them.
    """

    programs: tuple[str, ...]
    paths: tuple[str, ...]
    folders: tuple[str, ...]
    sudo: tuple[str, ...]
    database: str
    disks: tuple[str, ...]
    hold: str


class DoctorPath(msgspec.Struct, frozen=True):
    """A path, as the service account sees it; `mode` are the permission bits.

    If it cannot be looked at, `why` says so, and owner and mode are not known: it may well be
    there. `closed_at` is the folder above it that the account may not enter.
    """

    owner: Line
    mode: Small
    readable: bool
    writable: bool
    why: Line = ""
    closed_at: Line = ""


class CommandFacts(msgspec.Struct, frozen=True):
    """A command's exit code and last line."""

    code: Small
    text: Line = ""


class EngineFacts(msgspec.Struct, frozen=True):
    """Why docker did not answer our client, or the API version that was used."""

    error: Line = ""
    version: Line = ""


class DatabaseFacts(msgspec.Struct, frozen=True):
    """What is wrong with job-runner's database; `damaged` when sqlite reports damage."""

    problem: Line = ""
    damaged: bool = False


class DiskFacts(msgspec.Struct, frozen=True):
    """How full a file system is."""

    used_percent: Small
    inodes_percent: Small


class DoctorFacts(msgspec.Struct, frozen=True):
    """The facts that the service account can read; None for a missing path or disk.

    `closed` says of folders why the account may not write to them.
    """

    now_at: Moment
    python: tuple[Small, Small]
    programs: dict[str, Line]
    paths: dict[str, DoctorPath | None]
    sudo: dict[str, CommandFacts]
    docker: EngineFacts
    database: DatabaseFacts
    disks: dict[str, DiskFacts | None]
    persistent_journal: bool
    leftovers: tuple[Line, ...]
    closed: dict[Line, Line] = {}


INSPECT = Program("opstasks.doctor.onhost.inspect", DoctorRequest, DoctorFacts)


def commands(spec: HostSpec) -> dict[str, Command]:
    """The commands as the service account, for one round trip."""
    return {
        "facts": INSPECT.command(request(spec)),
        "unit": systemd.show(spec.unit),
        "lock": lock.holder(spec),
        "releases": release.list_command(spec),
        "present": present.present_command(spec),
        "fit": fit.fit_command(spec),
        **left.commands(spec),
        **({"sync": sync_facts.inspect_command(spec)} if spec.level3_source else {}),
    }


def root_commands(spec: HostSpec) -> dict[str, Command]:
    """The commands as root."""
    return {
        "root": cmd("id", "-u"),
        "accounts": cmd("awk", "-F:", OPEN_ACCOUNTS, "/etc/passwd", "/etc/shadow"),
        "holders": HOLDERS.command(HoldersRequest(spec.lock_file)),
        "sudoers": cmd("visudo", "-c", "-q"),
        "sshd": cmd("sshd", "-t"),
        "journal": cmd("journalctl", "--quiet", "--no-pager", "--lines=1", f"--unit={spec.unit}"),
    }


def request(spec: HostSpec) -> DoctorRequest:
    """The request to the program."""
    return DoctorRequest(
        programs=(*PROGRAMS, *(["rsync"] if spec.level3_source else [])),
        paths=(*(path for path, _, _ in paths(spec)), spec.lock_dir, secrets_file(spec)),
        folders=folders(spec),
        sudo=tuple(sudo_rules(spec)),
        database=spec.database,
        disks=tuple(disks(spec)),
        hold=f"{spec.medium_privacy}/{units.HOLD}",
    )


def paths(spec: HostSpec) -> list[tuple[str, bool, str]]:
    """Paths that must exist: path, whether the service account writes to it, and the hint."""
    manage, deploy = f"inv -H {spec.name} manage", f"inv -H {spec.name} deploy"
    return [
        (f"{spec.config_dir}/load-env", False, manage),
        (f"{spec.config_dir}/01_defaults.env", False, manage),
        (f"{spec.config_dir}/04_local.env", False, manage),
        (f"{spec.code_dir}/.git", True, manage),
        (f"{spec.lib_dir}/.git", True, manage),
        *((f"{spec.code_dir}/jobrunner/cli/{name}.py", False, deploy) for name in COMMANDS),
        (spec.workdir, True, manage),
        (spec.state_dir, True, manage),
        (spec.lock_file, True, manage),
        (f"{spec.high_privacy}/workspaces", True, manage),
        (f"{spec.medium_privacy}/workspaces", True, manage),
    ]


def folders(spec: HostSpec) -> tuple[str, ...]:
    """The folders that tasks make when they first need them."""
    return tuple(f"{spec.state_dir}/{name}" for name in FOLDERS)


def secrets_file(spec: HostSpec) -> str:
    """The file with the backend's secrets."""
    return f"{spec.config_dir}/02_secrets.env"


def sudo_rules(spec: HostSpec) -> list[str]:
    """The commands that sudo must allow the service account without a password."""
    verbs = ("start", "stop", "restart", "reset-failed")
    return [f"{SYSTEMCTL} {verb} {spec.unit}" for verb in verbs]


def disks(spec: HostSpec) -> list[str]:
    """The folders whose disks must not be full."""
    # The lock's folder also has the records of scheduled work.
    records = spec.lock_dir
    return [*places(spec), "/tmp", records]  # noqa: S108
