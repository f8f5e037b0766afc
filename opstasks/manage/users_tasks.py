"""`users`: people's accounts on hosts; backends/ describes who has one, see `manage`."""

from __future__ import annotations

from invoke import Collection

from opstasks.cli.app import Context
from opstasks.cli.task import task


@task(changes=True, help={"name": "The person's account."})
def disable(ctx: Context, name: str) -> None:
    """Disable the account of a person who left: keys, groups, password, shell.

    Running processes continue. Refused while backends/ lists the person: `manage` enables them.

    Example: inv -H all users.disable rosa
    """
    from opstasks.core.errors import Refused
    from opstasks.manage import disable as disabling

    for host in ctx.fleet.hosts:
        disabling.check_name(host, name)
    found = ctx.fleet.gather(lambda host: disabling.inspect_account(host, name))
    ctx.console.table(
        ["host", "account", "has"],
        [[host, name, account.describe()] for host, account in found.values.items()],
    )
    if found.values and not any(account.exists for account in found.values.values()):
        # Accounts are disabled, never deleted: an unknown account is a typing mistake.
        raise Refused(
            f"no account {name!r} on {', '.join(found.values)}",
            hint="check the spelling: `getent passwd` on the host lists them",
        )
    todo = [host for host, account in found.values.items() if account.open]
    if not todo or ctx.options.dry or (found.exit_code and not ctx.options.keep_going):
        ctx.finish(found)
        return
    ctx.confirm(f"Disable the account {name} on {', '.join(todo)}?")
    ctx.finish(
        ctx.fleet.roll(lambda host: disabling.disable(host, name)),
        lambda out: {"before": out.before.describe(), "after": out.after.describe()},
    )


namespace = Collection("users", disable)
