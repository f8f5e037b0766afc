"""`config`: job-runner's configuration (playbook: "Configuring the job-runner")."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from invoke import Collection

from opstasks.cli.context import Context
from opstasks.cli.task import Flag, task

if TYPE_CHECKING:
    from opstasks.config.plan import ConfigPlan
    from opstasks.core.command import Secret
    from opstasks.core.result import FleetResult


@task(
    changes=False,
    ids=True,
    help={
        "key": Flag("Only these keys.", default="all"),
        "local": "Only what 04_local.env sets.",
    },
    variadic="key",
    iterable=["key"],
)
def show(ctx: Context, key: list[str], local: bool = False) -> None:
    """Show each key: its value at the service's next start, and its file.

    A secret is shown as a fingerprint, to compare between hosts. The first line says which keys
    differ between hosts. -q prints the names of the keys.

    Example: inv -H prod config.show MAX_WORKERS
    """
    from opstasks.config import reports, typed
    from opstasks.config.inspect import inspect
    from opstasks.config.screen import keys_screen

    names = [typed.plain_key(name) for name in key]
    result = ctx.reader.screen(
        lambda host: inspect(host).only(names, local=local),
        keys_screen(len(ctx.fleet.hosts), names, local=local),
    )
    ctx.seen("keys", result.values, lambda found: [(item.name, item.source) for item in found.keys])
    ctx.finish(result.mapped(reports.configuration))


@task(
    changes=False,
    help={"problems": "Show only the problems."},
)
def check(ctx: Context, problems: bool = False) -> None:
    """Check the configuration: drift, unknown or missing keys, quoting.

    It also says whether the service must be restarted. Exit code 1 if there is a problem.

    Example: inv -H all config.check
    """
    from opstasks.config import reports
    from opstasks.config.check import find_problems
    from opstasks.config.screen import findings_screen

    result = ctx.reader.screen(
        find_problems, findings_screen(len(ctx.fleet.hosts), problems=problems)
    )
    ctx.seen("keys", result.values, lambda found: [item.key for item in found])
    result.findings = any(item.is_problem for found in result.values.values() for item in found)
    ctx.finish(
        result.mapped(
            lambda found: reports.findings(f for f in found if f.is_problem or not problems)
        )
    )


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

    The service and a shell read the same value. It takes effect at the next restart. It asks only
    before it ends an override that is there: a new one is undone with config.unset.

    Example: inv -H tpp config.set MAX_WORKERS=8
    """
    from opstasks.config import typed
    from opstasks.config.keys import secret_keys
    from opstasks.config.templates import templates
    from opstasks.core.command import Secret
    from opstasks.core.errors import Refused

    if not assignment:
        hint = ctx.command_text("config.set KEY=VALUE")
        raise Refused("config.set: KEY=VALUE is missing", hint=hint)
    secrets = {key for host in ctx.fleet.hosts for key in secret_keys(templates(host.spec))}
    wanted: dict[str, str | Secret | None] = {}
    with _named("config.set"):
        for before, text in zip(["", *assignment], assignment, strict=False):
            name, value = typed.assignment(text, secrets, before)
            if name in wanted:
                raise Refused(f"{name} is given twice")
            if value == typed.ASK:
                wanted[name] = Secret(typed.valid_value(name, ctx.ask_secret(name)))
            else:
                wanted[name] = value
    _change(ctx, wanted, unknown=unknown)


@task(
    changes=True,
    help={"key": Flag("The keys.", required=True)},
    variadic="key",
    iterable=["key"],
)
def unset(ctx: Context, key: list[str]) -> None:
    """Remove overrides from 04_local.env; the other files apply again.

    Example: inv -H tpp config.unset MAX_WORKERS
    """
    from opstasks.config import typed
    from opstasks.core.errors import Refused

    if not key:
        hint = ctx.command_text("config.show --local")
        raise Refused("config.unset: KEY is missing", hint=hint)
    with _named("config.unset"):
        wanted: dict[str, str | Secret | None] = {typed.plain_key(name): None for name in key}
    _change(ctx, wanted, unknown=True)


@contextlib.contextmanager
def _named(task: str) -> Iterator[None]:
    """An error about a word of the line begins with the task."""
    from opstasks.core.errors import Refused

    try:
        yield
    except Refused as error:
        error.message = f"{task}: {error.message}"
        raise


def _change(ctx: Context, wanted: dict[str, str | Secret | None], *, unknown: bool) -> None:
    """Inspect every host, show the plans, ask if necessary, change one host after another."""
    from opstasks.config import act, change_screen, reports
    from opstasks.config.keys import LOCAL_FILE
    from opstasks.core.formats import plural
    from opstasks.output.parts import to_type
    from opstasks.output.summary import Told

    plans = ctx.fleet.gather(lambda host: act.preview(host, wanted, unknown=unknown))
    _show_plans(ctx, plans)
    todo = ctx.to_change(plans, lambda found: found.changed)
    unchanged = plans.mapped(act.only_planned)
    if not todo:
        ctx.finish(unchanged.mapped(reports.change))
        return
    found = {host.name: plans.values[host.name] for host in todo}
    if change_screen.needs_question(found):
        ctx.confirm(f"Write {LOCAL_FILE} on {', '.join(found)}?")

    def undo(hosts: str) -> str:
        return "; ".join(change_screen.undo({name: found[name] for name in hosts.split(",")}))

    told: Told[act.ConfigResult] = Told(
        host=lambda done: change_screen.done_text(done.steps),
        whole=lambda count: f"{LOCAL_FILE} written on {plural(count, 'host')}",
        undo=undo,
    )
    done = ctx.carry_out(plans, lambda host, plan: act.apply(host, plan, wanted), todo, told)
    restart = [name for name, result in done.values.items() if result.needs_restart]
    if restart:
        hosts = ",".join(restart)
        command = to_type(f"inv -H {hosts} service.restart")
        ctx.console.say("The running service still has the old values. Next: ", command)
    ctx.finish(unchanged.replaced(done).mapped(reports.change))


def _show_plans(ctx: Context, plans: FleetResult[ConfigPlan]) -> None:
    from opstasks.config import change_screen

    found = plans.values
    if line := change_screen.headline(found):
        ctx.console.say(*line)
    ctx.console.table(change_screen.STEPS, change_screen.plan_rows(found))
    ctx.console.say_lines(change_screen.plan_notes(found, ctx.clock))


namespace = Collection("config", show, check, set_, unset)
