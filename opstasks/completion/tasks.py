"""`completion`: the script that makes a shell complete `inv` and `opstasks`."""

from __future__ import annotations

import sys

from opstasks.cli.context import Context
from opstasks.cli.task import ABOUT_HOSTS, Flag, task


@task(
    changes=False,
    help={"shell": Flag("The shell.", value="bash|zsh|fish", required=True)},
    ignores=ABOUT_HOSTS,
    anywhere=True,
)
def completion(ctx: Context, shell: str) -> None:
    """Print the script with which a shell completes the words of inv, invoke and opstasks.

    The shell runs it when it starts. The Tab key offers what was last seen here; it asks no host.

    Example: inv completion fish > ~/.config/fish/conf.d/opstasks.fish
    """
    from opstasks.completion import scripts
    from opstasks.output.documents import VERSION

    text = scripts.script(shell)
    if ctx.options.json:
        about = {"version": VERSION, "exit_code": 0}
        ctx.console.document({**about, "shell": shell, "script": text})
        return
    for line in text.rstrip("\n").split("\n"):
        ctx.console.say(line)
    if sys.stdout.isatty():
        ctx.console.note(f"to use it: {scripts.USE[shell]}")
