"""What a task gets: the options, the selected hosts, a console and a way to ask.

`Context` is Invoke's own context with these added, so a task is an ordinary Invoke task.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import invoke
from invoke.exceptions import Exit

from opstasks.core.command import Secret
from opstasks.core.errors import FAILED, OK, Interrupted, Refused

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.fleet import Fleet
    from opstasks.fleet.host import Host
    from opstasks.fleet.inventory import HostSpec, Inventory
    from opstasks.fleet.transport import Transport
    from opstasks.output.console import Console, Row

PASSWORD_FILE = "OPSTASKS_SUDO_PASSWORD_FILE"  # noqa: S105 (a variable's name)


P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
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


class App:
    """One run of the program: everything that tasks share, made at first use."""

    def __init__(self, options: Options) -> None:
        from opstasks.output.console import Console

        self.options = options
        self.console: Console = Console(as_json=options.json, echo=options.echo)
        self.stop = threading.Event()
        self._password = _PasswordBox(options.password)
        self._inventory: Inventory | None = None
        self._fleet: Fleet | None = None

    @property
    def inventory(self) -> Inventory:
        """The fleet as hosts.yaml describes it; empty without a file."""
        if self._inventory is None:
            from opstasks.fleet.host_settings import load
            from opstasks.fleet.hosts_file import find_inventory

            self._inventory = load(find_inventory(self.options.inventory or None))
        return self._inventory

    @property
    def fleet(self) -> Fleet:
        """The hosts that -H selects; this machine without it."""
        if self._fleet is None:
            self._fleet = self._make_fleet()
        return self._fleet

    def _make_fleet(self) -> Fleet:
        from opstasks.fleet.fleet import Fleet
        from opstasks.fleet.inventory import local_host

        if self.options.hosts:
            specs = self.inventory.select(list(self.options.hosts))
        else:
            specs = [local_host(self.inventory)]
        return Fleet(
            [self._make_host(spec) for spec in specs],
            parallel=self.options.parallel,
            keep_going=self.options.keep_going,
            stop=self.stop,
            on_interrupt=lambda: self.console.note(
                "\nstopping after the current step (Ctrl-C again to stop at once)"
            ),
        )

    def _make_host(self, spec: HostSpec) -> Host:
        from opstasks.fleet.host import Host

        return Host(
            self._adjusted(spec, self.options.identity),
            connect=self._connect,
            password=self._password.get,
            observer=self.console.observe,
            stop=self.stop,
        )

    def _adjusted(self, spec: HostSpec, identity: str) -> HostSpec:
        """The host with what the command line says put over what the inventory says."""
        import msgspec

        over: dict[str, Any] = {
            "identity_file": identity,
            "ssh_config": self.options.ssh_config,
            "connect_timeout_s": self.options.connect_timeout_s,
        }
        return msgspec.structs.replace(spec, **{key: value for key, value in over.items() if value})

    def _connect(self, spec: HostSpec) -> Transport:
        from opstasks.fleet.local import LocalTransport
        from opstasks.fleet.ssh import SSHTransport

        if spec.local:
            return LocalTransport()
        gateway = self.inventory.gateway_of(spec)
        # As with ssh: -S and the time limit are for both, -i for the host itself.
        gateway = gateway and self._adjusted(gateway, identity="")
        return SSHTransport(spec, gateway)

    def close(self) -> None:
        """Drop every connection."""
        self._password.restore_terminal()
        if self._fleet is not None:
            self._fleet.close()


class Context(invoke.Context):
    """Invoke's context, with the run's options, hosts and console."""

    def __init__(self, config: invoke.Config, app: App) -> None:
        super().__init__(config)
        self._set(app=app)

    app: App

    @property
    def options(self) -> Options:
        """The core flags."""
        return self.app.options

    @property
    def fleet(self) -> Fleet:
        """The selected hosts."""
        return self.app.fleet

    @property
    def console(self) -> Console:
        """Where to print."""
        return self.app.console

    def confirm(self, question: str) -> None:
        """Ask before a change; raises Refused for no, and without a terminal or --yes."""
        if self.options.yes:
            return
        self._need_a_person(question, "add --yes to agree")
        if answer_to(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise Refused("not confirmed; nothing was changed")

    def confirm_name(self, question: str, name: str) -> None:
        """Ask for a name to be typed, before what cannot be undone; raises Refused otherwise."""
        if self.options.yes:
            return
        self._need_a_person(question, "add --yes to agree")
        if answer_to(f"{question} ").rstrip("\n") != name:
            raise Refused("not the same name; nothing was changed")

    def choose(self, question: str, choices: Sequence[str]) -> str:
        """Ask which of a few; the first one with --yes. Raises Refused when nobody can answer."""
        if self.options.yes:
            return choices[0]
        self._need_a_person(question, f"add --yes to {choices[0]}")
        answer = answer_to(f"{question} [{'/'.join(choices)}] ").strip().lower()
        if answer not in choices:
            raise Refused(f"{answer!r} is none of {', '.join(choices)}; nothing was changed")
        return answer

    def pick(self, question: str, lines: Sequence[str], commands: Sequence[str] = ()) -> int:
        """Ask for one of numbered lines; its place. Raises Refused when nobody can answer.

        `commands` are what to type instead, one for each line. --yes agrees, it does not choose:
        with it nobody is asked, either.
        """
        if self.options.yes or self.options.json or not _is_interactive():
            hint = "type one of these" if commands else "say it more precisely"
            raise Refused(question, tail="\n".join(commands or lines), hint=hint)
        from opstasks.output.console import printable

        for number, line in enumerate(lines, 1):
            print(f"{number:4}  {printable(line)}", file=sys.stderr)
        answer = answer_to(f"{question} Which number? ").strip()
        if not (answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(lines)):
            raise Refused(f"{answer!r} is none of 1 to {len(lines)}; nothing was done")
        return int(answer) - 1

    @staticmethod
    def ask_secret(name: str) -> str:
        """A value that nobody may see: typed unseen, or the first line of standard input.

        Raises Refused for an empty one: what was to be piped in may have failed.
        """
        import getpass

        try:
            with asking():
                if sys.stdin.isatty():
                    value = getpass.getpass(f"{name}: ", stream=sys.stderr)
                else:
                    value = sys.stdin.readline().rstrip("\n")
        except EOFError:
            print(file=sys.stderr)
            value = ""
        if not value:
            raise Refused(f"no value came for {name}", hint=f"{name}= sets it to nothing")
        return value

    @staticmethod
    def one_line(text: str, flag: str) -> str:
        """Words for other people's tables; raises Refused for what is no one line of text."""
        if not text.isprintable():
            raise Refused(f"--{flag} is to be one line of text", hint="leave out what is no text")
        return text

    def _need_a_person(self, question: str, hint: str) -> None:
        if not _is_interactive() or self.options.json:
            raise Refused(f"{question} Nobody is there to answer", hint=hint)

    def to_change(self, plans: FleetResult[P], wants: Callable[[P], bool]) -> list[Host]:
        """The hosts with something to do; none in a dry run, or when one of all cannot be done.

        With --keep-going the others are.
        """
        if self.options.dry or (plans.exit_code and not self.options.keep_going):
            return []
        found = plans.values
        return [host for host in self.fleet.hosts if host.name in found and wants(found[host.name])]

    def carry_out(
        self,
        plans: FleetResult[P],
        work: Callable[[Host, P], T],
        hosts: Sequence[Host] | None = None,
    ) -> FleetResult[T]:
        """Change hosts one after another as planned; without `hosts` all those with a plan."""
        from opstasks.fleet.fleet import Fleet

        found = plans.values
        if hosts is None:
            hosts = [host for host in self.fleet.hosts if host.name in found]
        return Fleet.of(self.fleet, hosts).roll(lambda host: work(host, found[host.name]))

    def finish(self, result: FleetResult[Any], row: Callable[[Any], Row] | None = None) -> None:
        """Show a fleet's result; ends the program unless every host did what was asked."""
        self.console.fleet(result, row)
        self.end(result)

    def end(self, result: FleetResult[Any]) -> None:
        """End the program, with a result's exit code, unless every host did what was asked."""
        if self.options.debug:
            _print_causes(result)
        code = result.exit_code or (FAILED if self.console.is_cut_short else OK)
        if code:
            raise Exit(code=code)


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """A question comes before any change: Ctrl-C at it raises Interrupted, which says so."""
    try:
        yield
    except KeyboardInterrupt:
        print(file=sys.stderr)
        raise Interrupted("interrupted; nothing was changed") from None


def answer_to(question: str) -> str:
    """The line that a person types."""
    print(question, end="", file=sys.stderr, flush=True)
    with asking():
        line = sys.stdin.readline()
    if not line:
        print(file=sys.stderr)  # Ctrl-D leaves the cursor behind the question
    return line


def _is_interactive() -> bool:
    """Whether a person can be asked: questions go to standard error."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _print_causes(result: FleetResult[Any]) -> None:
    from opstasks.output.console import traceback_text

    for item in result:
        if item.error is not None:
            print(traceback_text(item.error), file=sys.stderr)


def password_from(text: str, source: str) -> Secret:
    """A password that nobody typed; raises Refused for more than one line.

    sudo reads one line. What came after it would be taken for a command.
    """
    word = text.removesuffix("\n").removesuffix("\r")
    if not word or not word.isprintable():
        raise Refused(
            f"{source} does not hold a password in one line of text",
            hint="leave the password alone in it",
        )
    return Secret(word)


class _PasswordBox:
    """The sudo password, asked for at most once a run, whoever needs it first."""

    def __init__(self, given: Secret | None) -> None:
        self._secret = given
        self._lock = threading.Lock()
        self._terminal: list[Any] | None = None

    def get(self) -> Secret | None:
        """The password, or None when nobody can be asked."""
        with self._lock:
            if self._secret is None:
                self._secret = self._from_file() or self._ask()
            return self._secret

    @staticmethod
    def _from_file() -> Secret | None:
        name = os.environ.get(PASSWORD_FILE)
        if not name:
            return None
        source = f"${PASSWORD_FILE} ({name})"
        try:
            return password_from(Path(name).expanduser().read_text(), source)
        except OSError as error:
            raise Refused(f"cannot read {source}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise Refused(f"{source} is no text") from None

    def _ask(self) -> Secret | None:
        if not _is_interactive():
            return None
        import getpass
        import termios

        self._terminal = termios.tcgetattr(sys.stdin)
        try:
            return Secret(getpass.getpass("sudo password: ", stream=sys.stderr))
        except EOFError:
            return None
        finally:
            self.restore_terminal()

    def restore_terminal(self) -> None:
        """Switch the echo on again, if the program ends while a worker waits for the password."""
        import termios

        if self._terminal is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)
