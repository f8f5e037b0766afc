"""Runs on the host: systemd's units, asked and told."""

from opstasks.onhost.commands import StepError, must

SYSTEMCTL = "/usr/bin/systemctl"


def unit_state(unit: str) -> dict[str, str]:
    """A unit as systemd has it."""
    names = "LoadState,ActiveState,SubState,UnitFileState"
    text = must("cannot read the unit", "systemctl", "show", unit, f"--property={names}")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def is_down(unit: str) -> bool:
    """Whether a unit is not up, nor about to be."""
    return unit_state(unit).get("ActiveState") in ("inactive", "failed")


def is_up(unit: str) -> bool:
    """Whether a unit is up, and not merely to be tried again."""
    return unit_state(unit).get("ActiveState") == "active"


def systemctl(verb: str, unit: str, timeout_s: int = 200) -> None:
    """Start or stop a unit."""
    must(f"cannot {verb} {unit}", SYSTEMCTL, verb, unit, timeout=timeout_s)


def stop_unit(unit: str) -> None:
    """Stop a unit, unless it is down already, and see that it is down."""
    if not is_down(unit):
        systemctl("stop", unit)
    if not is_down(unit):
        raise StepError(f"{unit} does not stop")
