"""What a change has already done on a host decides what its errors may say.

While a change is under way, a lost connection means that the host's state is unknown. After its
first action nothing is "refused" any more, because that would mean that nothing was touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from opstasks.core.command import Command
from opstasks.core.errors import Incomplete, Refused
from opstasks.fleet.program import AGAIN


class ChangeGuard:
    """Whether a change is under way on a host (`is_active`), and has acted (`has_acted`)."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.is_active = False
        self.has_acted = False

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """While inside, a change is under way; raises Incomplete for Refused after an action."""
        self.is_active, self.has_acted = True, False
        try:
            yield
        except Refused as refused:
            if not self.has_acted:
                raise
            raise self._incomplete(refused) from refused
        finally:
            self.is_active = False

    @contextlib.contextmanager
    def noting(self, commands: Sequence[Command]) -> Iterator[None]:
        """Note an action, unless the commands inside only read, or were refused."""
        try:
            yield
        except Refused:
            raise
        except BaseException:
            self._note(commands)
            raise
        self._note(commands)

    def _note(self, commands: Sequence[Command]) -> None:
        self.has_acted |= any(command.mutates for command in commands)

    def _incomplete(self, refused: Refused) -> Incomplete:
        error = Incomplete(
            f"the change is not complete: {refused.message}",
            host=refused.host or self._host,
            command=refused.command,
            tail=refused.tail,
            hint=refused.hint or AGAIN,
        )
        error.now = refused.now
        return error
