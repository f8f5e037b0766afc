"""`config`: job-runner's configuration (playbook: "Configuring the job-runner")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection, task

from opstasks.cli.app import Context

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opstasks.config.act import Plan
    from opstasks.core.result import FleetResult


@task(
    help={
        "key": "Only this key (may be given several times; without the flag, too).",
        "local": "Only what 04_local.env sets.",
    },
    positional=[],
    iterable=["key"],
    auto_shortflags=False,
)
def show(ctx: Context, key: list[str], local: bool = False) -> None:
    """Show each key: what the service gets at its next start, and which of the files wins.

    Of a secret only whether it is set, and a fingerprint by which two hosts can be compared.

    Example: inv -H prod config.show MAX_WORKERS
    """
    from opstasks.config import act as workflow
    from opstasks.config import keys as config

    names = [config.valid_key(name) for name in key]
    result = ctx.fleet.gather(lambda host: workflow.read(host).only(names, local=local))
    rows = [
        [
            host,
            item.name,
            item.value.describe(),
            item.source,
            ", ".join(item.over),
            item.note(),
        ]
        for host, found in result.values.items()
        for item in found.keys
    ]
    ctx.console.table(["host", "key", "value", "from", "over", "note"], rows)
    if not rows and result.values:
        ctx.console.say("no such key; `config.show` without a name shows all there are")
    ctx.finish(result)


@task(
    help={"problems": "Leave out what is only good to know."},
    auto_shortflags=False,
)
def check(ctx: Context, problems: bool = False) -> None:
    """Check the configuration: drift, unknown and missing keys, quoting, a restart that is due.

    Ends with exit code 1 when something wants doing.

    Example: inv -H all config.check
    """
    from opstasks.config import act as workflow

    result = ctx.fleet.gather(workflow.check)
    rows = [
        [host, "!" if item.is_problem else "", item.what, item.file, item.key, item.text]
        for host, found in result.values.items()
        for item in found
        if item.is_problem or not problems
    ]
    ctx.console.table(["host", "", "what", "file", "key", "finding"], rows)
    if not rows and result.values:
        ctx.console.say("nothing to say")
    result.findings = any(item.is_problem for found in result.values.values() for item in found)
    ctx.finish(result)


@task(
    name="set",
    help={
        "assignment": "KEY=VALUE (may be given several times). KEY=- asks for the value, or reads"
        " it from standard input: so for secrets.",
        "unknown": "Set it although job-runner does not read such a key.",
    },
    positional=[],
    iterable=["assignment"],
    auto_shortflags=False,
)
def set_(ctx: Context, assignment: list[str], unknown: bool = False) -> None:
    """Override keys on a host for the time being: in 04_local.env, and nowhere else.

    Written so that the service and a shell read the same; takes effect at the next restart.

    Example: inv -H tpp config.set MAX_WORKERS=8
    """
    from opstasks.config import act as workflow
    from opstasks.core.errors import Refused

    if not assignment:
        raise Refused("there is nothing to set", hint="inv -H tpp config.set KEY=VALUE")
    secrets = {key for host in ctx.fleet.hosts for key in workflow.secret_keys(host.spec)}
    wanted: dict[str, str | None] = {}
    for text in assignment:
        name, value = _assignment(ctx, text, secrets)
        if name in wanted:
            raise Refused(f"{name} is given twice")
        wanted[name] = value
    _change(ctx, wanted, unknown=unknown)


@task(
    help={"key": "The key (may be given several times; without the flag, too)."},
    positional=[],
    iterable=["key"],
    auto_shortflags=False,
)
def unset(ctx: Context, key: list[str]) -> None:
    """Take overrides of 04_local.env away again; what the other files say comes back.

    Example: inv -H tpp config.unset MAX_WORKERS
    """
    from opstasks.config import keys as config
    from opstasks.core.errors import Refused

    if not key:
        raise Refused("there is nothing to take away", hint="inv -H tpp config.unset KEY")
    _change(ctx, {config.valid_key(name): None for name in key}, unknown=True)


def _assignment(ctx: Context, text: str, secrets: Iterable[str]) -> tuple[str, str]:
    """A key and its value; a secret's is never taken from the command line, where all see it.

    `secrets` are the keys that a backend says are secret, whatever they are called.
    """
    from opstasks.config import keys as config
    from opstasks.core.errors import Refused

    name, equals, value = text.partition("=")
    if not equals:
        raise Refused(f"{text[:60]!r} has no equals sign", hint="write KEY=VALUE")
    config.valid_key(name)
    if value == "-":
        return name, config.valid_value(name, ctx.ask_secret(name))
    if value and config.is_secret(name, value, secrets):
        raise Refused(
            f"{name} is a secret: on the command line, others can read it",
            hint=f"write {name}=- and type it when asked, or edit 02_secrets.env in `shell`",
        )
    return name, config.valid_value(name, value)


def _change(ctx: Context, wanted: dict[str, str | None], *, unknown: bool) -> None:
    """Look at every host, show what would change, ask, do it one host after another."""
    from opstasks.config import act as workflow

    plans = ctx.fleet.gather(lambda host: workflow.plan(host, wanted, unknown=unknown))
    _show_plans(ctx, plans)
    todo = ctx.to_change(plans, lambda found: found.changed)
    if not todo:
        ctx.finish(plans)
        return
    ctx.confirm(f"Write 04_local.env on {', '.join(host.name for host in todo)}?")
    done = ctx.carry_out(plans, lambda host, found: workflow.apply(host, found, wanted), todo)
    restart = [name for name, outcome in done.values.items() if outcome.needs_restart]
    if restart:
        hosts = ",".join(restart)
        ctx.console.say(f"The service must be restarted: inv -H {hosts} service.restart")
    ctx.finish(plans.replaced(done))


def _show_plans(ctx: Context, plans: FleetResult[Plan]) -> None:
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
# Further words on the line are values of this flag.
show.variadic = unset.variadic = "--key"
set_.variadic = "--assignment"
