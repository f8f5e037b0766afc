"""`doctor`: what is wrong, and how to fix it."""

from __future__ import annotations

from invoke import task

from opstasks.cli.app import Context


@task(help={"all": "Also show checks that passed."}, auto_shortflags=False)
def doctor(ctx: Context, all: bool = False) -> None:
    """Check everything that the tasks rely on and print hints; exit 1 if anything is wrong.

    Changes nothing. It checks programs, rights, paths, secrets' modes, database, disks, clock,
    docker, service, lock, journal and Level 3 sync.

    Example: inv -H all doctor
    """
    from opstasks.doctor import checks

    result = checks.conclude(ctx.fleet.gather(checks.inspect))
    rows = [
        [
            item.host,
            "ok" if check.good else "BAD",
            check.name,
            check.text,
            "" if check.good else check.hint,
        ]
        for item in result
        if item.value
        for check in item.value.checks
        if all or not check.good
    ]
    ctx.console.table(["host", "", "check", "found", "hint"], rows)
    if not ctx.options.json:
        for item in result:
            if item.value and not item.value.bad:
                ctx.console.say(f"{item.host}: {len(item.value.checks)} checks, all passed")
    ctx.finish(result)
