"""`completion`: the script that makes a shell complete `inv` and `opstasks`."""

from __future__ import annotations

import sys

from invoke import task

from opstasks.cli.app import Context


@task(
    positional=["shell"],
    help={"shell": "bash, zsh or fish."},
    auto_shortflags=False,
)
def completion(ctx: Context, shell: str) -> None:
    """Print the script with which a shell completes the words of inv, invoke and opstasks.

    The shell runs it when it starts. The Tab key offers what was last seen here; it asks no host.

    Example: inv completion fish > ~/.config/fish/conf.d/opstasks.fish
    """
    from opstasks.completion import scripts
    from opstasks.core.errors import Refused

    if ctx.options.hosts:
        raise Refused("completion is for this machine", hint="omit -H")
    text = scripts.script(shell)
    if ctx.options.json:
        ctx.console.document({"shell": shell, "script": text})
        return
    for line in text.rstrip("\n").split("\n"):
        ctx.console.say(line)
    if sys.stdout.isatty():
        ctx.console.note(f"to use it: {scripts.USE[shell]}")
