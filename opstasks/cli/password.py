"""The sudo passwords of a run: given for the whole run, or typed by a person for each host.

A password from Invoke's settings, from --prompt-for-sudo-password or from a file is for every host
of the run where sudo may ask. A password that a person types is for the host that the question
names. When that host has accepted it, the person is asked once whether the other hosts may get it;
--yes does not answer this question. A host that did not accept a password gets no other one in the
same run.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from opstasks.cli.options import password_from
from opstasks.cli.questions import is_interactive, show, typed_unseen
from opstasks.core.command import Secret

PASSWORD_FILE = "OPSTASKS_SUDO_PASSWORD_FILE"  # noqa: S105 (a variable's name)


class PasswordBox:
    """The sudo passwords of the hosts; asks the person for one when sudo asks.

    `asking_hosts` are the names of the run's hosts where sudo may ask. While a person types,
    `held` keeps the terminal free of anything else.
    """

    def __init__(
        self,
        given: Secret | None,
        asking_hosts: Callable[[], Iterable[str]] = lambda: (),
        held: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._given = given
        self._asking_hosts = asking_hosts
        self._held = held
        # The file may be a pipe: it is read once.
        self._reading = threading.Lock()
        # Held from a question until the host has accepted the password or not.
        self._turn = threading.Lock()
        self._accepted: dict[str, Secret] = {}
        self._first_host = ""
        self._not_accepted: set[str] = set()
        # The hosts that may get the first host's password; None until the person is asked.
        self._agreed: set[str] | None = None
        self._terminal: list[Any] | None = None
        # A person is typing: nothing else should be written on the terminal.
        self.is_asking = False

    @contextlib.contextmanager
    def for_host(self, host: str) -> Iterator[Secret | None]:
        """The password for a host, or None without a terminal; see `fleet.sudo.PasswordSource`.

        Other hosts that need a question wait until this one has accepted its password. Raises
        Refused for a bad file, for a password that is no text, and for a host that did not accept
        an earlier password.
        """
        with contextlib.ExitStack() as turn:
            secret = self._known_for(host)
            if secret is None:
                turn.enter_context(self._turn)
                # Meanwhile the host may have accepted or refused a password on another connection.
                secret = self._known_for(host) or self._shared_with(host)
                if secret is None:
                    secret = self._ask(host)
                else:
                    turn.close()
            with self._judged(host, secret):
                yield secret

    def _known_for(self, host: str) -> Secret | None:
        """The password that needs no question; raises Refused if the host did not accept one."""
        from opstasks.fleet.refusals import wrong_password

        if host in self._not_accepted:
            raise wrong_password(host)
        return self._for_the_run() or self._accepted.get(host)

    @contextlib.contextmanager
    def _judged(self, host: str, secret: Secret | None) -> Iterator[None]:
        """Remember whether the host accepts its password while inside.

        Only the password counts, not whether the account may use sudo: its rights may change,
        because `manage` tries new rights and restores the old ones.
        """
        from opstasks.fleet.refusals import PasswordNotAccepted

        try:
            yield
        except PasswordNotAccepted:
            if secret is not None:
                self._not_accepted.add(host)
            raise
        if secret is not None:
            self._accepted[host] = secret
            self._first_host = self._first_host or host

    def _for_the_run(self) -> Secret | None:
        with self._reading:
            if self._given is None:
                self._given = self._from_file()
            return self._given

    def _shared_with(self, host: str) -> Secret | None:
        """The password of another host, if this one may get it."""
        if not self._first_host:
            return None
        if self._agreed is None:
            self._agreed = self._ask_to_share(host)
        return self._accepted[self._first_host] if host in self._agreed else None

    @staticmethod
    def _from_file() -> Secret | None:
        name = os.environ.get(PASSWORD_FILE)
        if not name:
            return None
        source = f"${PASSWORD_FILE} ({name})"
        from opstasks.fleet import private_files
        from opstasks.fleet.named_files import home_path

        text = private_files.read_secret(home_path(name), source)
        return password_from(text, source)

    # -- questions ---------------------------------------------------------------------------

    def _ask(self, host: str) -> Secret | None:
        if not is_interactive():
            return None
        with self._asking():
            try:
                what = f"sudo password for {host}"
                return Secret(typed_unseen(f"{what}: ", f"the {what}"))
            except EOFError:
                return None

    def _ask_to_share(self, host: str) -> set[str]:
        """The hosts that may get the first host's password; none unless a person answers yes."""
        from opstasks.fleet.fleet import named

        done = {*self._accepted, *self._not_accepted, host}
        names = [host, *(name for name in self._asking_hosts() if name not in done)]
        with self._asking():
            show(f"{self._first_host} accepted it. Use it on {named(names)} as well? [y/N]")
            # Not sys.stdin: the program could not end while this thread waits for input.
            answer = os.read(sys.stdin.fileno(), 1024)
        if not answer:
            print(file=sys.stderr)
        return set(names) if answer.strip().lower() in (b"y", b"yes") else set()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        import termios

        self._terminal = termios.tcgetattr(sys.stdin)
        self.is_asking = True
        try:
            with self._held():
                yield
        finally:
            self.is_asking = False
            self.restore_terminal()

    def restore_terminal(self) -> None:
        """Switch the echo on again if the program ends while waiting for the password."""
        import termios

        if self._terminal is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)
