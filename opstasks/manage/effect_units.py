"""Compare units in effect with the described ones: pure.

A described file decides every setting of its unit if systemd uses this file, has read its present
content, and has no drop-in for the unit. So these three and the account are compared, not every
setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from opstasks.core.hints import one_word
from opstasks.manage.effect_facts import EffectFacts, UnitEffect
from opstasks.manage.model import Description
from opstasks.manage.onhost.effect_units import LINE_END

UNIT_DIR = "/etc/systemd/system"
SSHD = "ssh.service"
# Units of scheduled work: each schedule creates their files.
OURS = "opstasks-*"
_OUR_PLACES = (UNIT_DIR, "/run/systemd/transient")
# Units of packages: whoever changes docker's can listen where everyone may give commands.
DOCKER = ("docker.service", "docker.socket")
_PACKAGE_PLACES = ("/lib/systemd/system", "/usr/lib/systemd/system")
# LXC relaxes the isolation of every service when a container boots: isolation cannot work there.
_OF_LXC = "/run/systemd/system/service.d/zzz-lxc-service.conf"
_KEYS_OF_LXC = {
    *("ProcSubset", "ProtectProc", "ProtectControlGroups", "ProtectKernelTunables", "ProtectHome"),
    *("ProtectSystem", "ProtectKernelLogs", "ProtectKernelModules", "PrivateNetwork", "PrivateTmp"),
    *("PrivateDevices", "NoNewPrivileges", "LoadCredential", "ImportCredential", "ReadWritePaths"),
}
_KINDS = (".service", ".timer", ".socket", ".path", ".mount")


@dataclass(frozen=True)
class UnitProblem:
    """What is not as described; `holds`: the unit must not be started like this."""

    unit: str
    text: str
    wanted: str
    hint: str
    holds: bool = False
    can_reload: bool = False
    origin: str = ""


def fragments(wanted: Description) -> dict[str, str]:
    """The described unit files, by the unit's name."""
    paths = [PurePosixPath(file.path) for file in wanted.files]
    return {p.name: str(p) for p in paths if str(p.parent) == UNIT_DIR and p.suffix in _KINDS}


def drop_ins(facts: EffectFacts, wanted: Description) -> tuple[str, ...]:
    """The drop-ins that may be there: described ones, and the one of a container."""
    described = (file.path for file in wanted.files if file.path.endswith(".conf"))
    found = [unit.drop_ins.get(_OF_LXC) for unit in facts.units.values()]
    is_usual = any(found) and all(_KEYS_OF_LXC.issuperset(keys or ()) for keys in found)
    return (*described, *((_OF_LXC,) if is_usual else ()))


def asked(wanted: Description) -> tuple[str, ...]:
    """The units to ask about."""
    names = fragments(wanted)
    return (*names, SSHD, *DOCKER, OURS) if names else ()


def account(name: str, wanted: Description) -> str:
    """The account that a described unit runs as."""
    text = wanted.contents.get(fragments(wanted).get(name, ""), "")
    found = "root"
    for line in LINE_END.split(text):
        key, sign, value = line.partition("=")
        if sign and key.strip() == "User":
            found = value.strip() or "root"
    return found


def problems(facts: EffectFacts, wanted: Description, there: set[str]) -> Iterator[UnitProblem]:
    """The problems of all units; described files that are not in `there` are not judged yet."""
    described, allowed = fragments(wanted), set(drop_ins(facts, wanted))
    for name in sorted(set(described) - set(facts.units)):
        if described[name] in there:
            text = "systemd does not tell its settings"
            yield UnitProblem(name, text, described[name], f"systemctl status {name}")
    for name, unit in facts.units.items():
        foreign = {path: keys for path, keys in unit.drop_ins.items() if path not in allowed}
        if name in described:
            yield from _drop_ins(name, foreign)
            if described[name] in there:
                yield from _described(name, unit, described[name], wanted, bool(foreign))
        elif name in (SSHD, *DOCKER):
            yield from _drop_ins(name, foreign)
            yield from _packaged(name, unit)
            yield from _sshd(unit) if name == SSHD else ()
        else:
            own = {p: k for p, k in foreign.items() if not p.startswith("/run/systemd/transient/")}
            yield from _drop_ins(name, own)
            if unit.fragment and str(PurePosixPath(unit.fragment).parent) not in _OUR_PLACES:
                yield _fragment(name, unit.fragment, " or ".join(_OUR_PLACES))


def held(facts: EffectFacts, wanted: Description, there: set[str]) -> dict[str, str]:
    """Described units that must not be started, without their suffix ``.service``, and why.

    All of them, because one starts others. Other units (sshd's, scheduled work) are not started.
    """
    reasons: dict[str, str] = {}
    for found in problems(facts, wanted, there):
        if found.holds and found.unit in fragments(wanted):
            reasons.setdefault(found.unit.removesuffix(".service"), found.text)
    return reasons


def _drop_ins(name: str, foreign: Mapping[str, tuple[str, ...]]) -> Iterator[UnitProblem]:
    for path, keys in foreign.items():
        text = f"{path} sets {', '.join(keys) or 'nothing'}"
        hint = f"rm {one_word(path)}, then systemctl daemon-reload; or describe the file"
        yield UnitProblem(name, text, "no such drop-in", hint, holds=True)


def _fragment(name: str, path: str, wanted: str) -> UnitProblem:
    hint = f"rm {one_word(path)}, then systemctl daemon-reload"
    return UnitProblem(name, f"systemd uses {path}", wanted, hint, holds=True)


def _described(
    name: str, unit: UnitEffect, path: str, wanted: Description, is_changed: bool
) -> Iterator[UnitProblem]:
    user = account(name, wanted)
    if unit.state == "masked":
        yield UnitProblem(name, "masked", path, f"systemctl unmask {name}", holds=True)
        return
    if unit.fragment not in (path, ""):
        yield _fragment(name, unit.fragment, path)
        is_changed = True
    if unit.reload or not unit.fragment:
        text, hint = "systemd has not read its present files", "systemctl daemon-reload"
        yield UnitProblem(name, text, "read", hint, can_reload=not is_changed, origin=path)
    if name.endswith(".service") and unit.fragment and unit.user != user:
        hint = f"systemctl cat {name} shows the file that sets it"
        text = f"runs as {unit.user} when it starts"
        yield UnitProblem(name, text, user, hint, holds=is_changed)
    if unit.runs_as and unit.runs_as != user:
        hint = f"after the other differences are gone: systemctl restart {name}"
        yield UnitProblem(name, f"its process runs as {unit.runs_as}", user, hint)


def _packaged(name: str, unit: UnitEffect) -> Iterator[UnitProblem]:
    place = str(PurePosixPath(unit.fragment).parent)
    # Nobody reaches docker through a unit that is masked.
    is_off = name in DOCKER and unit.state == "masked"
    if unit.fragment and not is_off and place not in _PACKAGE_PLACES:
        yield _fragment(name, unit.fragment, _PACKAGE_PLACES[0])


def _sshd(unit: UnitEffect) -> Iterator[UnitProblem]:
    words = unit.command.partition("[")[0].split()
    options = [word for word in words[1:] if word not in ("/usr/sbin/sshd", "-D")]
    if words and options:
        text = f"sshd runs with {' '.join(options)}"
        yield UnitProblem(SSHD, text, "-D", "see /etc/default/ssh and systemctl cat ssh")
