"""`users`: people's accounts on hosts; who has one is described in backends/, see `manage`."""

from __future__ import annotations

from invoke import Collection, task

from opstasks.cli.app import Context


@task(help={"name": "The person's account."}, auto_shortflags=False)
def disable(ctx: Context, name: str) -> None:
    """Shut the account of a person who left: keys, groups, password, shell; kills nothing.

    Refuses while the person is still listed in backends/: `manage` would open it again.

    Example: inv -H all users.disable rosa
    """
    from opstasks.core.errors import Refused
    from opstasks.manage import disable as work

    for host in ctx.fleet.hosts:
        work.check_name(host, name)
    found = ctx.fleet.gather(lambda host: work.look(host, name))
    ctx.console.table(
        ["host", "account", "has"],
        [[host, name, account.describe()] for host, account in found.values.items()],
    )
    if found.values and not any(account.exists for account in found.values.values()):
        # Accounts are shut, never deleted: a name that nobody ever had is a slip of the pen.
        raise Refused(
            f"there is no account {name!r} on {', '.join(found.values)}",
            hint="check the spelling: `getent passwd` on the host lists them",
        )
    todo = [host for host, account in found.values.items() if account.open]
    if not todo or ctx.options.dry or (found.exit_code and not ctx.options.keep_going):
        ctx.finish(found)
        return
    ctx.confirm(f"Shut the account {name} on {', '.join(todo)}?")
    ctx.finish(
        ctx.fleet.roll(lambda host: work.disable(host, name)),
        lambda out: {"before": out.before.describe(), "after": out.after.describe()},
    )


namespace = Collection("users", disable)
