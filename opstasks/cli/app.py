"""One run of the program: options, hosts, connections, and the console."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from invoke.exceptions import Exit

from opstasks.cli.options import RunOptions
from opstasks.cli.password import PasswordBox
from opstasks.cli.recording import TaskRun

if TYPE_CHECKING:
    from opstasks.core.result import FleetResult
    from opstasks.fleet.fleet import Fleet
    from opstasks.fleet.host import Host
    from opstasks.fleet.inventory import HostSpec, Inventory
    from opstasks.fleet.last_seen import Sightings
    from opstasks.fleet.transport import Transport
    from opstasks.output.console import Console

P = TypeVar("P")
T = TypeVar("T")


class App:
    """One run of the program: everything that tasks share, made at first use."""

    def __init__(
        self, options: RunOptions, places_of: Callable[[str], list[int]] | None = None
    ) -> None:
        """`places_of` tells where the values of a flag are in the line that was typed."""
        from opstasks.output.console import Console

        self.options = options
        self.places_of = places_of or (lambda flag: [])
        self.console: Console = Console(
            as_json=options.json,
            echo=options.echo,
            no_color=options.no_color,
            wide=options.wide,
            ids_only=options.ids_only,
            fields=options.fields,
        )
        self.stop = threading.Event()
        self._passwords = PasswordBox(options.password, self._where_sudo_may_ask, self.console.held)
        self._inventory: Inventory | None = None
        self._inventory_file: Path | None = None
        self._fleet: Fleet | None = None
        self.run = TaskRun()
        self._is_anywhere = True
        self._hosts: dict[str, Host] = {}
        self._seen: Sightings | None = None

    @property
    def inventory(self) -> Inventory:
        """The fleet as hosts.yaml describes it; empty without a file."""
        if self._inventory is None:
            from opstasks.fleet.host_settings import load
            from opstasks.fleet.hosts_file import find_inventory

            self._inventory_file = find_inventory(self.options.inventory or None)
            self._inventory = load(self._inventory_file)
        return self._inventory

    @property
    def fleet(self) -> Fleet:
        """The hosts that -H selects; this machine without it."""
        if self._fleet is None:
            self._fleet = self._make_fleet(self.options.hosts)
        return self._fleet

    def choose_all(self) -> None:
        """Without -H, select every host of hosts.yaml, for this task only.

        Raises Refused if there is none. Call it before the hosts are used.
        """
        from opstasks.core.errors import Refused

        if self.options.hosts:
            return
        if not self.inventory.hosts:
            path = self._inventory_file
            what = f"{path} has no hosts" if path else "there is no hosts.yaml"
            raise Refused(what, hint=self.inventory.no_hosts_hint())
        self._fleet = self._make_fleet(("all",))

    def _make_fleet(self, chosen: Sequence[str]) -> Fleet:
        from opstasks.cli.here import refuse_unless_backend
        from opstasks.fleet import host_patterns
        from opstasks.fleet.fleet import Fleet
        from opstasks.fleet.inventory import local_host

        def failed() -> list[str]:
            return self.run.failed(self.inventory, self._inventory_file, self.console)

        if chosen:
            items = host_patterns.expand(chosen, failed)
            specs = self.inventory.choose(items)
        else:
            specs = [local_host(self.inventory)]
            if not self._is_anywhere:
                refuse_unless_backend(specs[0], self.run.task, self.inventory, self.options.typed)
        return Fleet(
            [self._make_host(spec) for spec in specs],
            parallel=self.options.parallel,
            keep_going=self.options.keep_going,
            stop=self.stop,
            on_interrupt=self._say_stopping,
            show=self.console.arrived,
            is_held=lambda: self._passwords.is_asking,
            observer=self.console.observe,
        )

    def _say_stopping(self) -> None:
        self.console.note()  # the terminal shows ^C where the cursor is
        self.console.note("stopping after the current step (Ctrl-C again to stop at once)")

    def _make_host(self, spec: HostSpec) -> Host:
        from opstasks.fleet.host import Host

        if spec.name not in self._hosts:
            self._hosts[spec.name] = Host(
                self._adjusted(spec, self.options.identity),
                connect=self._connect,
                passwords=self._passwords.for_host,
                observer=self.console.observe,
                stop=self.stop,
            )
        return self._hosts[spec.name]

    def _where_sudo_may_ask(self) -> list[str]:
        from opstasks.fleet.sudo import ASK

        return [name for name, host in self._hosts.items() if host.spec.sudo == ASK]

    def _adjusted(self, spec: HostSpec, identity: str) -> HostSpec:
        """The host of the inventory; settings of the command line replace its own."""
        import msgspec

        over: dict[str, Any] = {
            "identity_file": identity,
            "ssh_config": self.options.ssh_config,
            "connect_timeout_s": self.options.connect_timeout_s,
        }
        return msgspec.structs.replace(spec, **{key: value for key, value in over.items() if value})

    def _connect(self, spec: HostSpec) -> Transport:
        from opstasks.fleet.local import LocalTransport
        from opstasks.fleet.openssh import connect

        if spec.local:
            return LocalTransport()
        gateway = self.inventory.gateway_of(spec)
        # As in ssh: -S and the time limit apply to both, -i only to the host itself.
        gateway = gateway and self._adjusted(gateway, identity="")
        return connect(spec, gateway)

    @contextlib.contextmanager
    def running(self, task: str, *, anywhere: bool) -> Iterator[None]:
        """While inside, the task runs; at its end, its outcomes are recorded for `-H @failed`.

        `anywhere`: without -H it makes sense on a machine that is no backend host.
        """
        self._is_anywhere = anywhere
        # A new fleet with the same hosts: connections stay open for the next task.
        self.run, self._fleet = TaskRun(task), None
        is_complete = False
        try:
            yield
            is_complete = True
        except Exit:
            is_complete = True
            raise
        finally:
            if self._fleet is not None and not self.options.dry:
                self.run.record(
                    self._fleet, self._inventory_file, self.console, is_complete=is_complete
                )

    def ends_with(self, result: FleetResult[Any]) -> None:
        """Note the result that a task shows at its end."""
        if self._fleet is not None:
            self._fleet.outcomes.end(result)

    def close(self) -> None:
        """Close every connection, and keep what was seen for the Tab key."""
        self.console.close()
        self._passwords.restore_terminal()
        for host in self._hosts.values():
            host.close()
        if self._seen is not None:
            self._seen.write(self._inventory_file)

    @property
    def seen(self) -> Sightings:
        """What this run has seen on hosts."""
        if self._seen is None:
            from opstasks.fleet.last_seen import Sightings

            self._seen = Sightings()
        return self._seen
