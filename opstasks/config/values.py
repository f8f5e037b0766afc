"""Read configuration values for our own use, secrets included; never show them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from opstasks.config.inspect import paths
from opstasks.core.command import Secret
from opstasks.core.errors import CommandFailed, TimedOut
from opstasks.fleet.host import Host
from opstasks.fleet.program import Program


class ValuesRequest(msgspec.Struct, frozen=True):
    """Which keys to read from which files."""

    files: tuple[str, ...]
    keys: tuple[str, ...]


class ValuesAnswer(msgspec.Struct, frozen=True):
    """The keys that are set. A `Secret` is never printed."""

    values: dict[str, Secret]


VALUES = Program("opstasks.config.onhost.values", ValuesRequest, ValuesAnswer, max_bytes=1 << 20)


def read_values(host: Host, keys: Iterable[str]) -> dict[str, Secret]:
    """The service's values of some keys, in one round trip; keys that are not set are left out.

    Raises what `opstasks.fleet.host.Shell.call` raises, without the host's output.
    """
    try:
        answer = host.service.call(VALUES, ValuesRequest(paths(host.spec), tuple(sorted(keys))))
    except (CommandFailed, TimedOut) as error:
        error.tail = ""  # an interrupted answer may contain a secret
        raise
    return answer.values
