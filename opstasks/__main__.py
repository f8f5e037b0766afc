"""The console script ``opstasks``: the program with its tasks bundled, for use from any folder."""

from opstasks.cli import interrupts


def main() -> None:
    """Run the program; it ends the process with the exit code of docs/exit-codes.md."""
    interrupts.end_quietly()
    # These imports take most of the time until the tasks start.
    from opstasks.cli.program import CommandLine, Executor
    from opstasks.cli.streams import hide_password, open_streams
    from opstasks.core.version import VERSION
    from opstasks.namespace import namespace

    open_streams()
    hide_password()
    CommandLine(
        name="opstasks",
        binary="opstasks",
        version=VERSION,
        namespace=namespace,
        executor_class=Executor,
    ).run()


if __name__ == "__main__":
    main()
