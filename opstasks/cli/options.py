"""The core flags: allowed anywhere on the command line, for every task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import invoke

from opstasks.core.command import Secret
from opstasks.core.errors import Refused

CORE_FLAGS: tuple[dict[str, Any], ...] = (
    {
        "names": ("hosts", "H"),
        "kind": list,
        "help": "Hosts, groups, globs, exclusions: -H 'prod,!emis'. @failed: hosts not ok in the"
        " task's last run. @FILE: names in a file. Without -H: this machine.",
    },
    {"names": ("inventory",), "help": "The file that describes the hosts (default: hosts.yaml)."},
    {
        "names": ("parallel",),
        "kind": int,
        "default": 0,
        "help": "Work on at most this many hosts together (default: 32 for reading, and more if"
        " some are slow; 1 for changing).",
    },
    {
        "names": ("keep-going",),
        "kind": bool,
        "default": False,
        "help": "Continue with the next host after a failure.",
    },
    {"names": ("yes", "y"), "kind": bool, "default": False, "help": "Agree to every question."},
    {"names": ("json",), "kind": bool, "default": False, "help": "Print the result as JSON."},
    {"names": ("identity", "i"), "help": "The private key to log in with."},
    {"names": ("ssh-config", "S"), "help": "The ssh_config file to read."},
    {
        "names": ("connect-timeout",),
        "kind": int,
        "default": 0,
        "help": "How long to wait for a connection, in seconds.",
    },
)


@dataclass(frozen=True)
class RunOptions:
    """The core flags of one run, and the words after ``--``."""

    hosts: tuple[str, ...] = ()
    inventory: str = ""
    parallel: int = 0
    keep_going: bool = False
    yes: bool = False
    json: bool = False
    dry: bool = False
    echo: bool = False
    debug: bool = False
    identity: str = ""
    ssh_config: str = ""
    connect_timeout_s: int = 0
    password: Secret | None = None
    remainder: tuple[str, ...] = ()
    no_color: bool = False
    wide: bool = False
    ids_only: bool = False
    fields: tuple[str, ...] = ()


def options_from(args: Any, config: invoke.Config, argv: Sequence[str]) -> RunOptions:
    """The core flags that Invoke parsed; raises Refused for impossible values."""
    for name in ("parallel", "connect-timeout"):
        value = args[name].value or 0
        if value < 0:
            raise Refused(f"--{name} must be 0 or greater, not {value}")
    ssh_config = args["ssh-config"].value or ""
    if ssh_config and not Path(ssh_config).expanduser().is_file():
        raise Refused(f"--ssh-config: {ssh_config!r} is not a file")
    password = config.sudo.password
    return RunOptions(
        hosts=tuple(args.hosts.value or ()),
        inventory=args.inventory.value or "",
        parallel=args.parallel.value or 0,
        keep_going=args["keep-going"].value,
        yes=args.yes.value,
        json=args.json.value,
        dry=args.dry.value,
        echo=args.echo.value,
        debug=args.debug.value,
        identity=args.identity.value or "",
        ssh_config=ssh_config,
        connect_timeout_s=args["connect-timeout"].value or 0,
        password=password_from(str(password), "sudo.password") if password else None,
        remainder=tuple(argv[argv.index("--") + 1 :]) if "--" in argv else (),
    )


def password_from(text: str, source: str) -> Secret:
    """A password from a file or a setting; raises Refused for more than one line of text.

    sudo reads one line; the text after it would be run as commands.
    """
    word = text.removesuffix("\n").removesuffix("\r")
    if not word or not word.isprintable():
        raise Refused(
            f"{source} must contain one line of text: the password",
            hint="remove everything else from it",
        )
    return Secret(word)
