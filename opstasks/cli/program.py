"""The program: Invoke's, with our core flags, hosts and exit codes.

The stock ``inv`` loads ``tasks.py`` before it parses the words after its own flags: when
``tasks.py`` runs, ``-H tpp deploy`` is not parsed yet. `install` turns the
running program into a `CommandLine` at that moment; ``opstasks`` (the console script) is the same
program with the tasks bundled.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import invoke
from invoke import Argument, ParseError, Parser, ParserContext, ParseResult
from invoke.completion.complete import print_completion_script
from invoke.exceptions import Exit, UnknownFileType
from invoke.util import yaml

from opstasks.cli import ignored, interrupts, lists
from opstasks.cli.argv import (
    MisfitWord,
    TaskShape,
    UnknownTask,
    arrange,
    help_topic,
    places_of,
)
from opstasks.cli.catalogue import Catalogue, core_shape
from opstasks.cli.options import CORE_FLAGS, CORE_HELP, options_from
from opstasks.cli.retyped import retyped
from opstasks.cli.streams import hide_password, open_streams, until_pipe_closes
from opstasks.cli.task_errors import flags_named
from opstasks.cli.values import Choice
from opstasks.core import errors
from opstasks.core.errors import Interrupted, OpsError, Refused
from opstasks.core.hints import program, quoted

if TYPE_CHECKING:
    from opstasks.cli.help_screens import HelpScreens
    from opstasks.cli.usage import KnownWords


SHELLS = ("bash", "zsh", "fish")


class Executor(invoke.Executor):
    """Runs tasks one after another with our context; the first that fails ends the run."""

    def execute(self, *tasks: Any) -> dict[Any, Any]:
        """Run the tasks; raises OpsError or Exit."""
        from opstasks.cli.app import App
        from opstasks.cli.context import Context

        assert self.core
        if len(tasks) > 1 and self.core[0].args.json.value:
            raise Refused(
                f"--json prints one document, and {len(tasks)} tasks would print more",
                hint="run one task at a time",
            )
        app = App(options_from(self.core[0].args, self.config, sys.argv), self._places_of)
        results = {}
        try:
            for call in self.normalize(tasks):
                self.config.load_collection(self.collection.configuration(call.called_as))
                task: Any = call.task
                name = self._name_of(call)
                with app.running(name, anywhere=task.anywhere), flags_named(name, task):
                    results[call.task] = call.task(Context(self.config, app), **call.kwargs)
            if app.console.is_cut_short:
                raise Exit(code=errors.FAILED)
        finally:
            app.close()
        return results

    def _places_of(self, flag: str) -> list[int]:
        """Where the values of a flag, or of the argument with its name, are in the line."""
        assert self.core
        core, shapes = self.core[0].args.values(), Catalogue(self.collection).shapes
        return places_of(flag, sys.argv[1:], core_shape(list(core)), shapes)

    def _name_of(self, call: Any) -> str:
        """The task's name as people type it, also when it was called by an alias."""
        for name, aliases in self.collection.task_names.items():
            if call.called_as in (name, *aliases):
                collection = name.rpartition(".")[0]
                return str(collection if collection in aliases else name)
        return str(call.called_as or call.task.name)


class CommandLine(invoke.Program):
    """Invoke's program with our core flags, completion, messages and exit codes."""

    def core_args(self) -> list[Argument]:
        """Invoke's core flags and ours, with our help."""
        found = [*super().core_args(), *(Argument(**flag) for flag in CORE_FLAGS)]
        for arg in found:
            arg.help = CORE_HELP.get(arg.names[0], ("", arg.help))[1]
        return found

    def parse_core_args(self) -> None:
        """Parse the core flags before the first task, as Invoke does."""
        try:
            super().parse_core_args()
        except (ParseError, ValueError):
            # Invoke does not know spans (`--connect-timeout 20s`), and names no flag.
            assert self.namespace is not None, "the stock inv parses them before it is ours"
            self.collection = self.namespace
            with self._usage_explained():
                self.argv = [self.argv[0], *self._arranged(), *self._after()]
                super().parse_core_args()
        self._print_at_once()

    def parse_tasks(self) -> None:
        """Parse the words that Invoke left unparsed; wrong usage ends with exit code 2."""
        with self._usage_explained():
            self._give_back_flags()
        is_list = self.args.list.value and not isinstance(self.args.help.value, str)
        if is_list or self.args.complete.value or not self._typed():
            # `--list` has nothing to parse: making a parser takes a tenth of its time.
            self.tasks = ParseResult()
            return
        for arg in self.initial_context.args.values():
            if arg.name not in self.core[0].args:
                self.core[0].add_arg(arg)
        with self._usage_explained():
            self._help_if_asked()
            self.core.unparsed[:] = self._arranged()
            early = set(ignored.given_of(self.core[0].args.values()))
            super().parse_tasks()
            self._print_at_once()
            given = self.core[0].args.values()
            ignored.refuse_late(given, early)
            ignored.refuse(given, self.tasks, self.core.remainder, self.catalogue)

    def parse_cleanup(self) -> None:
        """Answer help, lists and completion; otherwise continue with the tasks."""
        with self._usage_explained(), until_pipe_closes():
            if self.args.complete.value:
                self._complete()
            group = self.args.list.value
            if isinstance(group, str) and group not in self.catalogue.groups:
                raise self._known().unknown_group(group)
            lists.FORMATS.parsed("--list-format", self.args["list-format"].value)
            super().parse_cleanup()

    def update_config(self, merge: bool = True) -> None:
        """Read Invoke's settings, perhaps ask for the sudo password; a failure is one message."""
        interrupts.stop_tasks()
        named = self.args.config.value
        if named and not Path(named).expanduser().is_file():
            self._fail(Refused(f"--config: {quoted(named)} is not a file", hint="inv --help flags"))
        try:
            super().update_config(merge)
        except EOFError:
            self._fail(Refused("no sudo password was given; nothing was changed"))
        except KeyboardInterrupt:
            self._fail(Interrupted("interrupted; nothing was changed"))
        except (UnknownFileType, OSError) as error:
            self._fail(Refused(f"cannot read the settings: {error}", hint="check --config (-f)"))
        except (ValueError, yaml.YAMLError):  # their texts may show a part of the password
            what = "the settings, or the sudo password that was typed, are not valid text"
            self._fail(Refused(what, hint="check --config (-f)"))

    def execute(self) -> None:
        """Run the tasks; every error becomes one message and the right exit code."""
        try:
            super().execute()
        except OpsError as error:
            self._fail(error)
        except KeyboardInterrupt:
            self._fail(Interrupted("interrupted; run the task again to see what is left"))
        except Exit:
            raise
        except Exception as error:
            self._fail(errors.unforeseen(error, ""))
        finally:
            interrupts.ignore()

    # -- help --------------------------------------------------------------------------------

    def _print_at_once(self) -> None:
        """Print the version or Invoke's completion script, if asked to, and end: no task runs."""
        shell = self.args["print-completion-script"].value
        if not shell and not self.args.version.value:
            return
        with self._usage_explained(), until_pipe_closes():
            if self.args.version.value:
                self._refuse_json("--version")
                self.print_version()
            else:
                Choice(SHELLS).parsed("--print-completion-script", shell)
                self._refuse_json("--print-completion-script", shell)
                print_completion_script(shell=shell, names=self.binary_names)
        raise Exit

    def print_help(self) -> None:
        """The overview; called by Invoke for a line without a task."""
        is_asked = bool(self.args.help.value)
        if "hosts" in self.args and self.args.hosts.value and not is_asked:
            chosen = ",".join(self.args.hosts.value)
            raise Refused("no task is given", hint=retyped(["-H", chosen, "status"]))
        if "--json" in self._typed() and not is_asked:
            raise Refused("no task is given", hint="inv -H all --json status")
        inventory = self.args.inventory.value if "inventory" in self.args else None
        return self._screens().overview(inventory or "")

    def list_flat(self) -> None:
        """The tasks with what they do; called by Invoke for --list."""
        self._refuse_json("--list", f"{self.list_root or ''} --list-format json".strip())
        if self.list_depth:
            super().list_flat()
        else:
            self._screens().list(self.list_root or "")

    def _help_if_asked(self) -> None:
        """Show help for ``--help`` anywhere; Invoke calls ``deploy -H tpp --help`` ambiguous."""
        asked = self.args.help.value
        word = asked if isinstance(asked, str) else ""
        early = [*(["--help"] if asked else []), *([word] if word else [])]
        topic = help_topic([*self.core.unparsed, *early], self.catalogue.topics())
        if topic is None:
            return
        if word and not topic:
            raise self._known().unknown_task(word)
        if not topic:
            self._refuse_unknown_task()
        self._refuse_json("--help", topic)
        with until_pipe_closes():
            if topic:
                self._screens().topic(topic, list(self.initial_context.args.values()))
            else:
                self.print_help()
        raise Exit

    def _refuse_json(self, flag: str, more: str = "") -> None:
        """Raise Refused for --json beside a flag that prints a text; `more` follows it in the hint.

        A script that asks for a document must not read something else.
        """
        if "--json" in self._typed():
            hint = f"inv {flag} {more}".rstrip()
            raise Refused(f"--json has no meaning with {flag}", hint=hint)

    def _give_back_flags(self) -> None:
        """Give back what Invoke took for the value of --list or --help: a flag that is ours.

        The stock ``inv`` parses them before it knows our flags. After one of ours, it leaves them,
        and the flags for a list.
        """
        for arg in (self.args.list, self.args.help):
            if str(arg.value).startswith("-") and arg.value in self._core().flags:
                arg.set_value(True, cast=False)
        lists.take_flags(self.args, self._typed(), self.shapes)

    def _refuse_unknown_task(self) -> None:
        """Raise Refused for ``statsu --help``; a line without a task shows the overview."""
        words = [word for word in self._typed() if word not in ("--help", "-h")]
        try:
            arrange(words, self._core(), self.shapes())
        except UnknownTask as misfit:
            raise self._known().explained(misfit, words) from None
        except (MisfitWord, Refused):
            return

    def _screens(self) -> HelpScreens:
        from opstasks.cli.help_screens import HelpScreens

        return HelpScreens(self.catalogue, program())

    # -- words -------------------------------------------------------------------------------

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        """Every task, by the names that people type."""
        return Catalogue(self.collection)

    def make_parser(self, words: Sequence[str]) -> Parser:
        """A parser of a line, with the tasks that are in it: it copies all that it gets."""
        named = {self.catalogue.typed(word) for word in words if word in self.shapes()}
        contexts = [self.catalogue.context(name) for name in sorted(named)]
        return Parser(initial=self.initial_context, contexts=contexts)

    def _make_parser(self) -> Parser:
        """Called by Invoke."""
        return self.make_parser(self.core.unparsed)

    @property
    def contexts(self) -> list[ParserContext]:
        """Every task as the parser sees it."""
        return self.catalogue.contexts

    def shapes(self) -> dict[str, TaskShape]:
        """Every task name, alias and old name, with its shape."""
        return self.catalogue.shapes

    def _core(self) -> TaskShape:
        return core_shape(list(self.initial_context.args.values()))

    def _typed(self) -> list[str]:
        """The words of the line up to ``--``."""
        words = self.argv[1:]
        return words[: words.index("--")] if "--" in words else words

    def _after(self) -> list[str]:
        """The words from ``--`` on."""
        return self.argv[1 + len(self._typed()) :]

    def _arranged(self) -> list[str]:
        """The words in Invoke's order; raises Refused for one that does not fit."""
        try:
            return arrange(self._typed(), self._core(), self.shapes())
        except MisfitWord as misfit:
            raise self._known().explained(misfit, self._typed()) from None

    def _known(self) -> KnownWords:
        from opstasks.cli.usage import KnownWords, inventory_if_valid

        return KnownWords(
            tasks=self.catalogue.changes,
            groups=self.catalogue.groups,
            shapes=self.shapes(),
            core=self._core(),
            inventory=inventory_if_valid,
            after=self._after(),
        )

    @contextlib.contextmanager
    def _usage_explained(self) -> Iterator[None]:
        """Wrong usage is one message and exit code 2."""
        try:
            yield
        except Refused as error:
            error.hint = error.hint or "inv --help flags"
            self._fail(error)
        except OpsError as error:
            self._fail(error)
        except Exit as end:
            if end.message:
                self._fail(Refused(end.message, hint="inv --help flags"))
            raise
        except (ParseError, ValueError) as error:  # what `arrange` did not find
            from opstasks.onhost.masking import masked

            self._fail(Refused(masked(str(error)), hint="inv --list"))

    # -- helpers -----------------------------------------------------------------------------

    def _complete(self) -> None:
        from opstasks.cli.completion_shells import answer
        from opstasks.cli.completion_words import program_words

        words = program_words(self.initial_context, self.contexts, self.collection)
        for line in answer(self.core.remainder, os.environ, words):
            print(line)
        sys.stdout.flush()
        raise Exit

    def _fail(self, error: OpsError) -> NoReturn:
        from opstasks.output.console import Console
        from opstasks.output.documents import failure

        # Wrong usage may be found before the flags are parsed.
        typed = self._typed()
        console = Console(as_json="--json" in typed, no_color="--no-color" in typed)
        if console.as_json:
            console.document(failure(error))
        if isinstance(error, Interrupted) and sys.stderr.isatty():
            console.note()  # the terminal shows ^C where the cursor is
        console.error(error)
        if {"--debug", "-d"} & set(typed):
            console.trace(error)
        raise Exit(code=error.exit_code)


def install() -> None:
    """Turn the running ``inv`` into this program; called by tasks.py while `inv` loads it."""
    from invoke import main

    open_streams()
    hide_password()
    main.program.__class__ = CommandLine
    main.program.executor_class = Executor
