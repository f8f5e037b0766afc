"""One situation: the files of a person, and the name that this person types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_PLACE = re.compile(r"<([a-z0-9_]+(?::[a-z0-9_.-]+)?)>")


@dataclass(frozen=True)
class Row:
    """A situation. It does not say what must happen: that is what `ssh` does.

    In every text, `<alpha>` is a server's address, `<alpha:rsa>` one of its host keys,
    `<key:ed>` a public key, `<private:ed>` a private key, `<agent:ed.rsa>` the socket of an agent
    with these keys, `<hash:alpha>` a server's name as known_hosts hides it, `<krl:alpha>` a file
    of ssh-keygen -k that revokes its key, `<tmp>` a folder that exists for this row only and
    `<home>` the person's. Every server's name has an address.
    """

    name: str
    # What is typed after `ssh` and -H: a name, or user@name:port.
    host: str = "alpha"
    # ~/.ssh/config.
    config: str = ""
    # Further files by path: in ~/.ssh, /etc/ssh or <tmp>.
    files: Mapping[str, str] = field(default_factory=dict)
    # Files that are not 0600, by path.
    modes: Mapping[str, int] = field(default_factory=dict)
    # Private keys in ~/.ssh, and which key each one is: `id_rsa=rsa`.
    keys: str = "id_ed25519=ed"
    # ~/.ssh/known_hosts; None is a file that knows every key of every server.
    known: str | None = None
    # Keys in the person's agent, in this order; None is no agent.
    agent: str | None = None
    # Added to the environment.
    env: Mapping[str, str] = field(default_factory=dict)
    # hosts.yaml: what the host says there besides its address.
    settings: Mapping[str, object] = field(default_factory=dict)
    # Flags of both: -i KEY, -F FILE (our -S).
    identity: str = ""
    ssh_config: str = ""
    # Flags that give `ssh` the same settings as `settings` give our tool.
    ssh_flags: tuple[str, ...] = ()
    # Our tool does not support this keyword: it must refuse, and name the keyword.
    refused_by_name: str = ""
    # Our tool lacks this algorithm, which the server needs: it must fail, and name the algorithm.
    lacks: str = ""
    # Also compare the lines that known_hosts has after a new host key.
    learns: bool = False


def fill(text: str, look_up: Callable[[str], str]) -> str:
    """A text with its places filled."""
    return _PLACE.sub(lambda found: look_up(found[1]), text)
