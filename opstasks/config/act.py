"""Change a host's local file (playbook: "Configuring the job-runner"): plan, then apply."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from opstasks.config.inspect import inspect, paths
from opstasks.config.keys import LOCAL_FILE, ConfigValue, HostConfig, secret_keys
from opstasks.config.plan import (
    ConfigPlan,
    ConfigStep,
    Wanted,
    make_plan,
    steps,
    typed_secrets,
)
from opstasks.config.templates import templates
from opstasks.core.command import Secret
from opstasks.core.errors import Refused, VerifyFailed
from opstasks.core.hints import one_word
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program

# The time for loading job-runner's configuration with the new values, then with the old ones.
TIMEOUT_S = 150.0


class PreviewRequest(msgspec.Struct, frozen=True):
    """The keys to set (None: to remove) in the last of the files.

    Each value may be a secret: it travels on standard input and is never printed. `secret_keys`
    were typed as secrets: the host remembers it.
    """

    files: tuple[str, ...]
    wanted: dict[str, Secret | None]
    secret_keys: tuple[str, ...]
    code_dir: str
    lib_dir: str


class ChangeRequest(PreviewRequest, frozen=True):
    """A `ChangeRequest` to apply; `stamp` is that of the file that the plan was made from."""

    stamp: str


class ChangeAnswer(msgspec.Struct, frozen=True):
    """Whether the file changes."""

    changed: bool


PREVIEW = Program(
    "opstasks.config.onhost.preview", PreviewRequest, ChangeAnswer, timeout_s=TIMEOUT_S
)
CHANGE = Program(
    "opstasks.config.onhost.change",
    ChangeRequest,
    ChangeAnswer,
    timeout_s=TIMEOUT_S,
    changes=True,
)


@dataclass(frozen=True)
class ConfigResult:
    """The result of a change: what it does to each key.

    `needs_restart`: the running service has other values; None if nothing was changed.
    """

    changed: bool
    steps: tuple[ConfigStep, ...] = ()
    needs_restart: bool | None = None
    notes: tuple[str, ...] = ()


def only_planned(plan: ConfigPlan) -> ConfigResult:
    """The result for a host on which nothing was done."""
    return ConfigResult(False, plan.steps, None, plan.notes)


def preview(host: Host, wanted: Wanted, *, unknown: bool) -> ConfigPlan:
    """Inspect a host, plan the change, and let the host try it.

    Raises Refused for a key that nothing reads (unless `unknown`), and for a value with which
    job-runner would not start.
    """
    found = inspect(host, code=True, typed=typed_secrets(wanted))
    try:
        planned = make_plan(found, wanted, templates(host.spec), unknown=unknown)
    except Refused as error:
        error.host = host.name
        error.hint = error.hint or f"inv -H {host.name} manage"
        raise
    if planned.changed:
        try:
            host.service.call(PREVIEW, preview_request(host.spec, wanted))
        except Refused as error:
            first = next(iter(wanted))
            error.hint = error.hint or f"inv -H {host.name} config.show {one_word(first)}"
            raise
    return planned


def preview_request(spec: HostSpec, wanted: Wanted) -> PreviewRequest:
    """The request of `PREVIEW` for a host."""
    keys = typed_secrets(wanted)
    return PreviewRequest(paths(spec), _secret(wanted), keys, spec.code_dir, spec.lib_dir)


def change_request(spec: HostSpec, wanted: Wanted, stamp: str) -> ChangeRequest:
    """The request of `CHANGE` for a host."""
    keys = typed_secrets(wanted)
    return ChangeRequest(paths(spec), _secret(wanted), keys, spec.code_dir, spec.lib_dir, stamp)


def _secret(wanted: Wanted) -> dict[str, Secret | None]:
    return {
        key: Secret(value) if isinstance(value, str) else value for key, value in wanted.items()
    }


def apply(host: Host, plan: ConfigPlan, wanted: Wanted) -> ConfigResult:
    """Carry out the plan that was shown; raises Refused when the file has changed since."""
    if not plan.changed:
        return only_planned(plan)
    masked = {step.key: step.wanted_text() for step in plan.steps}
    task = "config.unset" if all(value is None for value in wanted.values()) else "config.set"
    with change(host.service, task, masked):
        host.step(f"write {LOCAL_FILE}: {', '.join(masked)}", brief="written")
        host.service.call(CHANGE, change_request(host.spec, wanted, plan.stamp))
        found = inspect(host, typed=typed_secrets(wanted))
        left = [step.key for step in steps(found, wanted, secret_keys(templates(host.spec)))]
        if left:
            raise VerifyFailed(
                f"written, but {', '.join(left)} does not have the wanted value",
                host=host.name,
                hint=f"inv -H {host.name} config.show",
            )
    stale = any((key := found.get(name)) and key.running is not None for name in masked)
    steps_done = tuple(replace(step, after=_value(found, step.key)) for step in plan.steps)
    return ConfigResult(True, steps_done, stale or not found.seen_running, plan.notes)


def _value(found: HostConfig, name: str) -> ConfigValue:
    """The value of a key; not set if no file sets it."""
    key = found.get(name)
    return key.value if key else ConfigValue()
