"""All that runs as root on a host, found in the code, with a command that runs it in the tests."""

import ast
from dataclasses import dataclass

import yaml

from scripts.layout import PACKAGE, modules

BASE = PACKAGE / "backends" / "base"


@dataclass(frozen=True)
class Row:
    """A command of a person (`inv`) or of the host (`sh`), and what it runs as root.

    `kinds` are the kinds of planted files with which a slow one runs; none means all.
    """

    runs: tuple[str, ...]
    inv: tuple[str, ...] = ()
    sh: str = ""
    reads_only: bool = False
    kinds: tuple[str, ...] = ()


NEWEST = "$(ls -t /var/lib/opstasks/scripts/2*/run.py | head -n 1)"
ROWS = (
    Row(("doctor.checks:_inspect_root",), inv=("doctor",), reads_only=True),
    Row(("history.read:read",), inv=("history",), reads_only=True),
    Row(("manage.inspect:ask",), inv=("--dry", "manage"), reads_only=True),
    Row(("maintenance.after:inspect",), inv=("after-reboot", "--wait", "1s"), reads_only=True),
    Row(("maintenance.prepare:inspect",), inv=("--dry", "prepare-reboot"), reads_only=True),
    Row(("manage.disable:inspect_account",), inv=("users.disable", "gone"), reads_only=True),
    Row(
        ("locks.break_lock:inspect", "locks.break_lock:_write", "locks.break_lock:_stop"),
        inv=("lock.break", "--reason", "test", "--yes"),
    ),
    Row(("maintenance.pause:pause",), inv=("pause", "--for", "2h", "--yes")),
    Row(("maintenance.onhost.boot",), sh="systemctl restart opstasks-boot"),
    Row(("maintenance.onhost.end_pause",), sh=f"python3 -I {NEWEST}"),
    Row(("maintenance.cancel:cancel",), inv=("scheduled.cancel", "--yes")),
    Row(("maintenance.pause:unpause",), inv=("unpause", "--yes")),
    Row(
        (
            "maintenance.prepare:_schedule",
            "maintenance.prepare:apply_later",
            "maintenance.prepare:read_claims",
            "maintenance.follow:maintenance_of",
            "maintenance.follow:boot_id",
            "maintenance.onhost.prepare",
        ),
        inv=("prepare-reboot", "--yes"),
        kinds=("link",),
    ),
    Row(
        ("sync.act:start", "sync.act:stop", "sync.act:_place"),
        inv=("sync.start", "--yes"),
        kinds=("big",),
    ),
    Row(("sync.act:once", "sync.act:_run"), inv=("sync.once", "--yes"), kinds=("big",)),
    Row(
        ("jobrunner-database-network", "jobrunner-network.service"),
        sh="systemctl restart jobrunner-network",
    ),
    Row(
        (
            *("manage.apply:apply", "manage.perform:_call"),
            *("manage.access:change_access", "manage.access:restore"),
        ),
        sh="echo >>/etc/sudoers.d/opstasks",
        inv=("manage", "--yes"),
    ),
    Row(("manage.disable:disable",), inv=("users.disable", "gone", "--yes"), kinds=("last",)),
)
# They open no file of another account: one prints a constant text, one asks for /etc/shadow.
HARMLESS = {"99-opstasks", "first-password"}
# These run inside another program, or as the service account.
NOT_ROOT = {"sync.onhost.run", "onhost.several"}


def uses_of_root() -> set[str]:
    """The functions that run something in root's shell: ``history.read:read``."""
    return {
        f"{name.removeprefix('opstasks.')}:{function.name}"
        for name, path in modules().items()
        if ".onhost" not in name
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and node.attr == "root"
    }


def programs_of_units() -> set[str]:
    """The programs that no client calls: units start them, as root unless they say otherwise."""
    begun, called = set(), set()
    for name, path in modules().items():
        tree = ast.parse(path.read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        if ".onhost" in name and "main" in functions:
            begun.add(name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Program" and node.args:
                called.add(ast.literal_eval(node.args[0]))
    return {name.removeprefix("opstasks.") for name in begun - called} - NOT_ROOT


def files_that_root_runs() -> set[str]:
    """The programs and units that `manage` installs, by name, without units of other accounts."""
    found = set()
    for file in yaml.safe_load((BASE / "host.yaml").read_text())["files"]:
        text = (BASE / "files" / file["source"]).read_text()
        is_unit = file["path"].endswith(".service") and "\nUser=" not in text
        is_program = file["owner"] == "root" and text.startswith("#!")
        if is_unit or is_program:
            found.add(file["path"].rpartition("/")[2].replace("@unit@", "jobrunner"))
    return found - HARMLESS
