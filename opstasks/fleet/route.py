"""The way to a host: the logins on it, from the first gateway to the host itself."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.ssh_config import Destination, settings_for
from opstasks.fleet.ssh_settings import SSHSettings, expand_home

# More gateways than this are a loop.
MAX_HOPS = 8
# Not supported; if we ignored them, we would reach the host in another way than ssh.
_UNSUPPORTED = {"bindinterface": "BindInterface", "proxyusefdpass": "ProxyUseFdpass"}


@dataclass(frozen=True)
class Hop:
    """One login: `pins` and `checking` as in hosts.yaml, `command` a ProxyCommand or "".

    `identity` is the file of -i or hosts.yaml: like ssh, `ssh -G` leaves it out if it is missing.
    """

    name: str
    settings: SSHSettings
    timeout_s: float
    pins: tuple[str, ...] = ()
    checking: str = ""
    command: str = ""
    identity: str = ""


def route(spec: HostSpec, gateway: HostSpec | None) -> list[Hop]:
    """The logins to make, the first one first. A gateway of hosts.yaml replaces ssh_config's.

    Raises Refused for settings that are wrong or not supported.
    """
    wanted = Destination(
        name=spec.address,
        user=spec.user,
        port=spec.port,
        identity=expand_home(spec.identity_file),
        config=expand_home(spec.ssh_config),
    )
    if gateway is None:
        return _hops(wanted, spec, depth=0)
    # One gateway only. (A gateway in `defaults` is also set for the gateway itself.)
    if gateway.gateway not in ("", spec.gateway):
        raise Refused(
            f"its gateway {gateway.name} has a gateway of its own: {gateway.gateway}",
            hint=f"use ProxyJump of ssh_config, or write `gateway: ''` for {gateway.name}",
        )
    return [*route(gateway, None), _hop(spec.name, settings_for(wanted), spec)]


def _hops(wanted: Destination, spec: HostSpec, depth: int) -> list[Hop]:
    """The logins to a destination; those to its jump hosts come first."""
    settings = settings_for(wanted)
    name = spec.name if not depth else wanted.name
    if depth:  # hosts.yaml does not describe a jump host's keys, whatever its name is
        spec = msgspec.structs.replace(spec, host_keys=(), host_key_checking="", identity_file="")
    jumps = settings.jumps()
    if depth + len(jumps) > MAX_HOPS:
        text = f"{settings.line_of('proxyjump')}: ProxyJump goes in a circle"
        raise Refused(text, hint="correct that line")
    if not jumps:
        command = settings.one("proxycommand")
        return [_hop(name, settings, spec, settings.expand(command))]
    *before, jump = jumps
    # As ssh does: ssh -J BEFORE -l USER -p PORT -F CONFIG JUMP
    through = Destination(
        name=jump.host,
        user=jump.user,
        port=jump.port,
        config=wanted.config,
        jump=",".join(settings.one("proxyjump").split(",")[: len(before)]),
    )
    return [*_hops(through, spec, depth + 1), _hop(name, settings, spec)]


def _hop(name: str, settings: SSHSettings, spec: HostSpec, command: str = "") -> Hop:
    for keyword, written in _UNSUPPORTED.items():
        if settings.one(keyword) not in ("", "no", "false"):
            line = settings.line_of(keyword)
            raise Refused(f"{line}: {written} is not supported", hint=f"remove {written} there")
    own_s = settings.one("connecttimeout")
    # ConnectTimeout 0 means no limit.
    timeout_s = min(spec.connect_timeout_s, float(own_s or 0) or spec.connect_timeout_s)
    return Hop(
        name,
        settings,
        timeout_s,
        pins=spec.host_keys,
        checking=spec.host_key_checking,
        command=command,
        identity=expand_home(spec.identity_file),
    )
