"""Read a host's configuration."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from opstasks.config.keys import (
    FILES,
    MANAGED_FILES,
    SECRETS_FILE,
    HostConfig,
    described_keys,
    secret_keys,
)
from opstasks.config.templates import templates
from opstasks.core.errors import Refused
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program


class ShowRequest(msgspec.Struct, frozen=True):
    """Which files to read; the hashes of `public_files` may leave the host.

    `secret_keys`, and the keys in `secret_file`, must not be shown. `watched` are keys to read from
    the running service as well. `with_code` asks which keys job-runner's code reads.
    """

    files: tuple[str, ...]
    public_files: tuple[str, ...]
    secret_file: str
    secret_keys: tuple[str, ...]
    watched: tuple[str, ...]
    unit: str
    code_dir: str
    with_code: bool


SHOW = Program("opstasks.config.onhost.show", ShowRequest, HostConfig)


def paths(spec: HostSpec) -> tuple[str, ...]:
    """The four files on a host, the local one last."""
    return tuple(f"{spec.config_dir}/{name}" for name in FILES)


def show_request(spec: HostSpec, *, code: bool = False, typed: Iterable[str] = ()) -> ShowRequest:
    """The request of `SHOW` for a host; `typed` are keys that a person typed as secrets."""
    described = templates(spec)
    return ShowRequest(
        files=paths(spec),
        public_files=tuple(f"{spec.config_dir}/{name}" for name in MANAGED_FILES),
        secret_file=f"{spec.config_dir}/{SECRETS_FILE}",
        secret_keys=tuple(sorted({*secret_keys(described), *typed})),
        watched=tuple(sorted(described_keys(described))),
        unit=spec.unit,
        code_dir=spec.code_dir,
        with_code=code,
    )


def inspect(host: Host, *, code: bool = False, typed: Iterable[str] = ()) -> HostConfig:
    """Read a host's configuration in one round trip; raises Refused for a host without any.

    With `code`, also the keys that job-runner's code reads. The values of `typed` are secrets.
    """
    found = host.service.call(SHOW, show_request(host.spec, code=code, typed=typed))
    return checked(host, found)


def checked(host: Host, found: HostConfig) -> HostConfig:
    """The configuration in an answer; raises Refused if none of its files could be read."""
    if all(item.error for item in found.files):
        raise Refused(
            f"no configuration can be read in {host.spec.config_dir}",
            host=host.name,
            hint=f"inv -H {host.name} manage",
        )
    return found
