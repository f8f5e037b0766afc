"""The env files as backends/ describes them."""

from __future__ import annotations

from opstasks.config.keys import FILES
from opstasks.fleet.inventory import HostSpec
from opstasks.manage.describe import describe, is_described


def templates(spec: HostSpec) -> dict[str, str]:
    """The text of each env file that a host's backend describes, by file name."""
    if not is_described(spec):
        return {}
    contents = describe(spec).contents
    found = {name: contents.get(f"{spec.config_dir}/{name}") for name in FILES}
    return {name: text for name, text in found.items() if text is not None}
