"""Runs on the host as root: changes packages, checkouts, units and other needs of the service."""

import contextlib
import os
from pathlib import Path
from typing import Any

from opstasks.manage.onhost.effect_units import units
from opstasks.manage.onhost.running import as_user, run
from opstasks.onhost.checkout_source import FETCH
from opstasks.onhost.commands import attempt
from opstasks.onhost.git_words import git
from opstasks.onhost.protocol import HostFailure

Action = dict[str, Any]
# Debian's package tools must not ask questions; a configuration file changed by hand stays.
APT = ("apt-get", "--yes", "--quiet", "--no-install-recommends")
APT_OPTIONS = ("-o", "Dpkg::Options::=--force-confold", "-o", "DPkg::Lock::Timeout=120")
# Without this, apt does not fail when it cannot update its lists.
STRICT = ("-o", "APT::Update::Error-Mode=any")
LISTS = "/var/lib/apt/lists"
PROBE_TIMEOUT_S = 60.0


# -- packages ------------------------------------------------------------------------------------


def packages(action: Action) -> None:
    """Install, purge or upgrade; skip packages that an earlier step has handled."""
    verb, names = action["verb"], action["names"]
    if names and all(installed(name) is (verb == "install") for name in names):
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    if verb == "refresh":
        run(*APT, *APT_OPTIONS, *STRICT, "update", env=env, timeout=600)
        os.utime(LISTS)
        verb = "upgrade"
    elif verb != "purge":
        # Old lists may be sufficient.
        with contextlib.suppress(HostFailure):
            run(*APT, *APT_OPTIONS, "update", env=env, timeout=600)
    run(*APT, *APT_OPTIONS, verb, *names, env=env, timeout=1800)


def installed(name: str) -> bool:
    """Whether a package is installed."""
    with contextlib.suppress(HostFailure):
        form = "${db:Status-Status}"
        return run("dpkg-query", "-W", "-f", form, name) == "installed"
    return False


# -- service -------------------------------------------------------------------------------------


def checkout(action: Action) -> None:
    """Clone a repository under a temporary name, then rename it, so it is never incomplete."""
    path = Path(action["path"])
    try:
        as_user(action["owner"], "sh", "-c", '[ ! -e "$1" ] || rmdir -- "$1"', "sh", str(path))
    except HostFailure:
        raise HostFailure(f"{path} exists and is not a git checkout; move it away") from None
    half = path.with_name(f".{path.name}.half")
    as_user(action["owner"], "rm", "-rf", "--one-file-system", "--", str(half))
    clone = ("clone", "--quiet", "--no-checkout", action["url"], str(half))
    as_user(action["owner"], *git(*clone))
    as_user(action["owner"], *git("-C", str(half), "checkout", "--quiet", action["ref"]))
    as_user(action["owner"], "mv", "--no-target-directory", "--", str(half), str(path))


def origin(action: Action) -> None:
    """Set a checkout's origin. Only its file is changed: no program of its settings runs.

    Also sets the branches to fetch: without them, nothing would be fetched after a removed remote.
    """
    config = f"{action['path']}/.git/config"
    wanted = {"remote.origin.url": action["url"], "remote.origin.fetch": FETCH}
    for key, value in wanted.items():
        words = ("git", "config", "--file", config, "--replace-all", key, value)
        as_user(action["owner"], *words)


def create(action: Action) -> None:
    """Run the command that creates a path; if it fails, an incomplete path is deleted."""
    path = Path(action["path"])
    try:
        as_user(action["owner"], "bash", "-c", action["run"])
    except HostFailure:
        with contextlib.suppress(HostFailure):
            as_user(action["owner"], "rm", "-f", "--", str(path))
        raise
    try:
        as_user(action["owner"], "test", "-e", str(path))
    except HostFailure:
        raise HostFailure(f"{path} does not exist after its command") from None


def probe(action: Action) -> None:
    """Run a probe's command unless its test succeeds already; the test must succeed afterwards."""
    if attempt(*action["test"], timeout_s=PROBE_TIMEOUT_S).returncode == 0:
        return
    run(*action["run"], timeout=180)
    run(*action["test"], timeout=PROBE_TIMEOUT_S)


def enable(action: Action) -> None:
    """Make a unit start with the host."""
    run("systemctl", "enable", "--quiet", action["name"])


def disable(action: Action) -> None:
    """Make a unit not start with the host."""
    run("systemctl", "disable", "--quiet", action["name"])


def start(action: Action) -> None:
    """Start a unit; raises HostFailure if anything overrides its described file."""
    if action["fragment"]:
        name = Path(action["fragment"]).name
        reason = foreign(action, units([name]).get(name))
        if reason:
            raise HostFailure(f"{name} is not started: {reason}")
    # A unit that was started too often would not start; systemd does not know every unit yet.
    attempt("systemctl", "reset-failed", action["name"], timeout_s=PROBE_TIMEOUT_S)
    run("systemctl", "start", action["name"], timeout=180)


def foreign(action: Action, now: dict[str, Any] | None) -> str:
    """Why a unit would not start as described; "" if it would."""
    if now is None:
        return "systemd does not know it"
    others = sorted(set(now["drop_ins"]) - set(action["drop_ins"]))
    if others:
        return f"{others[0]} changes its settings"
    if now["fragment"] != action["fragment"]:
        return f"systemd uses {now['fragment'] or 'no file'}"
    return f"it would run as {now['user']}" if now["user"] != action["user"] else ""


def stop(action: Action) -> None:
    """Stop a unit."""
    run("systemctl", "stop", action["name"], timeout=180)


def nothing(_: Action) -> None:
    """Change nothing."""
