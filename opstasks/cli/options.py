"""The core flags: allowed anywhere on the command line, for every task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import invoke

from opstasks.core.command import Secret
from opstasks.core.errors import Refused
from opstasks.core.hints import quoted

CORE_FLAGS: tuple[dict[str, Any], ...] = (
    {"names": ("hosts", "H"), "kind": list},
    {"names": ("inventory",)},
    {"names": ("parallel",), "kind": int, "default": 0},
    {"names": ("keep-going",), "kind": bool, "default": False},
    {"names": ("yes", "y"), "kind": bool, "default": False},
    {"names": ("json",), "kind": bool, "default": False},
    {"names": ("fields",)},
    {"names": ("quiet", "q"), "kind": bool, "default": False},
    {"names": ("wide",), "kind": bool, "default": False},
    {"names": ("no-color",), "kind": bool, "default": False},
    {"names": ("identity", "i")},
    {"names": ("ssh-config", "S")},
    {"names": ("connect-timeout",), "kind": int, "default": 0},
)

# The flags that help shows, ours and Invoke's, in this order: the name of the value, and the text.
CORE_HELP: dict[str, tuple[str, str]] = {
    "hosts": (
        "HOSTS",
        "Hosts, groups, globs, exclusions: -H 'prod,!emis'. @failed: hosts not ok in the task's"
        " last run. @FILE: names in a file. Without -H: this machine.",
    ),
    "yes": ("", "Agree to every question."),
    "dry": ("", "Show the plan and change nothing."),
    "json": ("", "Print the result as one JSON document."),
    "fields": ("NAMES", "With --json: only these fields of each value, separated by commas."),
    "quiet": ("", "Print only the ids, one per line, for pipes."),
    "wide": ("", "Print all columns, also those that do not fit into the window."),
    "no-color": ("", "Print without colours. NO_COLOR and TERM=dumb do the same."),
    "parallel": (
        "N",
        "Work on at most this many hosts together (default: 32 for reading, and more if some are"
        " slow; 1 for changing).",
    ),
    "keep-going": ("", "Continue with the next host after a failure."),
    "inventory": (
        "FILE",
        "The file that describes the hosts (default: $OPSTASKS_HOSTS, hosts.yaml here or above, or"
        " the one in ~/.config/opstasks).",
    ),
    "identity": ("FILE", "The private key to log in with."),
    "ssh-config": ("FILE", "The ssh_config file to read."),
    "connect-timeout": (
        "DURATION",
        "How long to wait for a connection: 20, 20s or 2m (default: 10s, or as in hosts.yaml).",
    ),
    "prompt-for-sudo-password": ("", "Ask for the sudo password at once, not when it is needed."),
    "echo": ("", "Print each command on a host before it runs."),
    "debug": ("", "Print tracebacks, and what Invoke does."),
    "config": ("FILE", "A file with settings for Invoke, such as sudo.password."),
    "help": ("[TASK]", "Show the help of a task or of a group of tasks. flags: this list."),
    "list": ("[GROUP]", "List the tasks with what they do, perhaps of one group."),
    "version": ("", "Show the version."),
    "print-completion-script": ("SHELL", "Print the completion for bash, zsh or fish."),
}
# Flags of Invoke for its own way to run commands; no task here uses it.
UNUSED_FLAGS = ("command-timeout", "hide", "pty", "warn-only")
LIST_FLAGS = ("list-depth", "list-format")
# Invoke reads them before it loads the tasks, and so before it knows flags of ours.
EARLY_FLAGS = ("collection", "search-root", "write-pyc")


@dataclass(frozen=True)
class RunOptions:
    """The core flags of one run, the words after ``--``, and all words as they were typed."""

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
    typed: tuple[str, ...] = ()
    no_color: bool = False
    wide: bool = False
    ids_only: bool = False
    fields: tuple[str, ...] = ()


def options_from(args: Any, config: invoke.Config, argv: Sequence[str]) -> RunOptions:
    """The core flags that Invoke parsed; raises Refused for impossible values."""
    ssh_config, identity = args["ssh-config"].value or "", args.identity.value or ""
    _check_files(ssh_config, identity)
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
        identity=identity,
        ssh_config=ssh_config,
        connect_timeout_s=args["connect-timeout"].value or 0,
        password=password_from(str(password), "sudo.password") if password else None,
        no_color=args["no-color"].value,
        wide=args.wide.value,
        fields=fields_from(args.fields.value),
        ids_only=args.quiet.value,
        typed=tuple(argv[1:]),
        remainder=tuple(argv[argv.index("--") + 1 :]) if "--" in argv else (),
    )


def _check_files(ssh_config: str, identity: str) -> None:
    """Raise Refused for a missing file; `-i` may use %-tokens, or a key that an agent has."""
    if not ssh_config and not identity:
        return
    from opstasks.fleet.named_files import home_path, is_file

    if ssh_config and not is_file(home_path(ssh_config)):
        raise Refused(f"--ssh-config: {quoted(ssh_config)} is not a file", hint="inv --help flags")
    if not identity or "%" in identity:
        return
    if not any(is_file(home_path(f"{identity}{end}")) for end in ("", ".pub")):
        raise Refused(f"--identity: {quoted(identity)} is not a file", hint="inv --help flags")


def fields_from(text: str | None) -> tuple[str, ...]:
    """The names of --fields; raises Refused for an empty one."""
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise Refused(f"--fields: a name is empty in {quoted(text)}", hint="--fields id,state")
    return names


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
