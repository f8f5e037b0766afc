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
    from opstasks.core.hints import one_word
    from opstasks.manage import disable as disabling
    from opstasks.manage import users_screen as screen

    for host in ctx.fleet.hosts:
        disabling.check_name(host, name)
    found = ctx.fleet.gather(lambda host: disabling.inspect_account(host, name))
    accounts = found.values
    if accounts and not any(account.exists for account in accounts.values()):
        # Accounts are disabled, never deleted: an unknown account is a typing mistake.
        hint = ctx.command_text("run -- getent passwd")
        raise Refused(f"no account {one_word(name)} on {', '.join(accounts)}", hint=hint)
    if line := screen.headline(name, accounts):
        ctx.console.say(*line)
    ctx.console.table(screen.ACCOUNTS, screen.rows(accounts))
    ctx.console.say_lines(screen.plan_notes(accounts))
    todo = ctx.to_change(found, lambda account: bool(account.open))
    documents = found.mapped(disabling.only_planned)
    if not todo:
        ctx.finish(documents)
        return
    ctx.confirm(f"Disable the account {name} on {', '.join(host.name for host in todo)}?")
    told = screen.told(name)
    done = ctx.roll(lambda host: disabling.disable(host, name), todo, told)
    for host_name, result in done.values.items():
        ctx.console.say_lines(screen.after_lines(host_name, name, result))
    ctx.finish(documents.replaced(done))


namespace = Collection("users", disable)
