"""The sudo password of a run: from the settings, a file, or a person."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from opstasks.cli.options import password_from
from opstasks.cli.questions import is_interactive
from opstasks.core.command import Secret

PASSWORD_FILE = "OPSTASKS_SUDO_PASSWORD_FILE"  # noqa: S105 (a variable's name)


class PasswordBox:
    """The sudo password; asked for at most once in a run, when the first host needs it."""

    def __init__(self, given: Secret | None) -> None:
        self._secret = given
        self._lock = threading.Lock()
        self._terminal: list[Any] | None = None
        # A person is typing: nothing else should be written on the terminal.
        self.is_asking = False

    def get(self) -> Secret | None:
        """The password, or None without a terminal; raises Refused for a bad file."""
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
        from opstasks.fleet import private_files

        text = private_files.read_secret(Path(name).expanduser(), source)
        return password_from(text, source)

    def _ask(self) -> Secret | None:
        if not is_interactive():
            return None
        import getpass
        import termios

        self._terminal = termios.tcgetattr(sys.stdin)
        self.is_asking = True
        try:
            return Secret(getpass.getpass("sudo password: ", stream=sys.stderr))
        except EOFError:
            return None
        finally:
            self.is_asking = False
            self.restore_terminal()

    def restore_terminal(self) -> None:
        """Switch the echo on again if the program ends while waiting for the password."""
        import termios

        if self._terminal is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)
