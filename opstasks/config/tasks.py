"""`config`: job-runner's configuration (playbook: "Configuring the job-runner")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import Flag, task

if TYPE_CHECKING:
    from opstasks.config.plan import ConfigPlan
    from opstasks.core.result import FleetResult


@task(
    changes=False,
    help={
        "key": "Only these keys.",
        "local": "Only what 04_local.env sets.",
    },
    variadic="key",
    iterable=["key"],
)
def show(ctx: Context, key: list[str], local: bool = False) -> None:
    """Show each key: the service's value at its next start, and the file it comes from.

    For a secret it shows only whether it is set, and a fingerprint to compare between hosts.

    Example: inv -H prod config.show MAX_WORKERS
    """
    from opstasks.config import typed
    from opstasks.config.inspect import inspect

    names = [typed.valid_key(name) for name in key]
    result = ctx.reader.table(
        lambda host: inspect(host).only(names, local=local),
        ["key", "value", "from", "over", "note"],
        lambda found: [
            [item.name, item.value.describe(), item.source, ", ".join(item.over), item.note()]
            for item in found.keys
        ],
        nothing="not found; `config.show` without a name shows all keys",
    )
    ctx.seen("keys", result.values, lambda found: [(item.name, item.source) for item in found.keys])
    ctx.finish(result)


@task(
    changes=False,
    help={"problems": "Show only the problems."},
)
def check(ctx: Context, problems: bool = False) -> None:
    """Check the configuration: drift, unknown and missing keys, quoting, whether to restart.

    Ends with exit code 1 when it finds a problem.

    Example: inv -H all config.check
    """
    from opstasks.config.check import find_problems

    result = ctx.reader.table(
        find_problems,
        ["", "what", "file", "key", "finding"],
        lambda found: [
            ["!" if item.is_problem else "", item.what, item.file, item.key, item.text]
            for item in found
            if item.is_problem or not problems
        ],
        nothing="no problems found",
    )
    ctx.seen("keys", result.values, lambda found: [item.key for item in found])
    result.findings = any(item.is_problem for found in result.values.values() for item in found)
    ctx.finish(result)


@task(
    changes=True,
    name="set",
    help={
        "assignment": Flag(
            "The new values. KEY=- asks for the value, or reads it from standard input: use this"
            " for secrets.",
            value="KEY=VALUE",
            required=True,
        ),
        "unknown": "Set a key even when job-runner does not read it.",
    },
    variadic="assignment",
    iterable=["assignment"],
)
def set_(ctx: Context, assignment: list[str], unknown: bool = False) -> None:
    """Override keys on a host temporarily, in 04_local.env only.

    The service and a shell read the same value. It takes effect at the next restart.

    Example: inv -H tpp config.set MAX_WORKERS=8
    """
    from opstasks.config import typed
    from opstasks.config.keys import secret_keys
    from opstasks.config.templates import templates
    from opstasks.core.errors import Refused

    if not assignment:
        raise Refused("no key given", hint="inv -H tpp config.set KEY=VALUE")
    secrets = {key for host in ctx.fleet.hosts for key in secret_keys(templates(host.spec))}
    wanted: dict[str, str | None] = {}
    for text in assignment:
        name, value = typed.assignment(text, secrets)
        if name in wanted:
            raise Refused(f"{name} is given twice")
        asked = value == typed.ASK
        wanted[name] = typed.valid_value(name, ctx.ask_secret(name)) if asked else value
    _change(ctx, wanted, unknown=unknown)


@task(
    changes=True,
    help={"key": Flag("The keys.", required=True)},
    variadic="key",
    iterable=["key"],
)
def unset(ctx: Context, key: list[str]) -> None:
    """Remove overrides from 04_local.env; the values of the other files apply again.

    Example: inv -H tpp config.unset MAX_WORKERS
    """
    from opstasks.config import typed
    from opstasks.core.errors import Refused

    if not key:
        raise Refused("no key given", hint="inv -H tpp config.unset KEY")
    _change(ctx, {typed.valid_key(name): None for name in key}, unknown=True)


def _change(ctx: Context, wanted: dict[str, str | None], *, unknown: bool) -> None:
    """Inspect every host, show the plans, ask, then change one host after another."""
    from opstasks.config import act

    plans = ctx.fleet.gather(lambda host: act.preview(host, wanted, unknown=unknown))
    _show_plans(ctx, plans)
    todo = ctx.to_change(plans, lambda found: found.changed)
    if not todo:
        ctx.finish(plans)
        return
    ctx.confirm(f"Write 04_local.env on {', '.join(host.name for host in todo)}?")
    done = ctx.carry_out(plans, lambda host, found: act.apply(host, found, wanted), todo)
    restart = [name for name, result in done.values.items() if result.needs_restart]
    if restart:
        hosts = ",".join(restart)
        ctx.console.say(f"The service must be restarted: inv -H {hosts} service.restart")
    ctx.finish(plans.replaced(done))


def _show_plans(ctx: Context, plans: FleetResult[ConfigPlan]) -> None:
    rows = [
        [host, step.key, step.now, step.source, step.wanted]
        for host, found in plans.values.items()
        for step in found.steps
    ]
    ctx.console.table(["host", "key", "now", "from", "wanted"], rows)
    for host, found in plans.values.items():
        for note in found.notes:
            ctx.console.say(f"{host}: {note}")
        if not found.changed:
            ctx.console.say(f"{host}: nothing to do")


namespace = Collection("config", show, check, set_, unset)
