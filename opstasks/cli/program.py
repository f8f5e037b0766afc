"""The program: Invoke's, with our core flags, hosts and exit codes.

The stock ``inv`` loads ``tasks.py`` before it parses the words after its own flags: when
``tasks.py`` runs, ``-H tpp deploy`` is not parsed yet. `install` turns the
running program into a `CommandLine` at that moment; ``opstasks`` (the console script) is the same
program with the tasks bundled.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import invoke
from invoke import Argument, ParseError, Parser, ParserContext, ParseResult
from invoke.exceptions import Exit, UnknownFileType

from opstasks.cli import interrupts
from opstasks.cli.argv import MissingValueError, TaskShape, arrange, help_topic
from opstasks.cli.old_names import OLD_NAMES
from opstasks.cli.options import CORE_FLAGS, options_from
from opstasks.core import errors
from opstasks.core.errors import Interrupted, OpsError, Refused


class Executor(invoke.Executor):
    """Runs tasks one after another with our context; the first that fails ends the run."""

    def execute(self, *tasks: Any) -> dict[Any, Any]:
        """Run the tasks; raises OpsError or Exit."""
        from opstasks.cli.app import App, Context

        assert self.core
        if len(tasks) > 1 and self.core[0].args.json.value:
            raise Refused(f"--json prints one document, and {len(tasks)} tasks would print more")
        app = App(options_from(self.core[0].args, self.config, sys.argv))
        results = {}
        try:
            for call in self.normalize(tasks):
                self.config.load_collection(self.collection.configuration(call.called_as))
                with app.running(self._name_of(call)):
                    results[call.task] = call.task(Context(self.config, app), **call.kwargs)
        finally:
            app.close()
        return results

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
        """Invoke's core flags and ours."""
        return [*super().core_args(), *(Argument(**flag) for flag in CORE_FLAGS)]

    def parse_core_args(self) -> None:
        """Parse the core flags; wrong usage ends with exit code 2."""
        with self._usage_explained():
            super().parse_core_args()

    def parse_tasks(self) -> None:
        """Parse the words that Invoke left unparsed; wrong usage ends with exit code 2."""
        if not (self.core.unparsed or self.args.help.value):
            # `--list` has nothing to parse: making a parser takes a tenth of its time.
            self.tasks = ParseResult()
            return
        for arg in self.initial_context.args.values():
            if arg.name not in self.core[0].args:
                self.core[0].add_arg(arg)
        self._help_if_asked()
        try:
            self.core.unparsed[:] = arrange(self.core.unparsed, self._core(), self.shapes())
        except MissingValueError as flag:
            raise Exit(f"error: {flag} needs a value", code=errors.REFUSED) from None
        with self._usage_explained():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Answer help, lists and completion; otherwise continue with the tasks."""
        if self.args.complete.value:
            self._complete()
        with self._usage_explained(), until_pipe_closes():
            super().parse_cleanup()

    def update_config(self, merge: bool = True) -> None:
        """Read Invoke's settings, perhaps ask for the sudo password; a failure is one message."""
        interrupts.stop_tasks()
        try:
            super().update_config(merge)
        except EOFError:
            self._fail(Refused("no sudo password was given; nothing was changed"))
        except KeyboardInterrupt:
            self._fail(Interrupted("interrupted; nothing was changed"))
        except (UnknownFileType, OSError) as error:
            self._fail(Refused(f"cannot read the settings: {error}", hint="check --config (-f)"))

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

    def _help_if_asked(self) -> None:
        """Show help for ``--help`` anywhere; Invoke calls ``deploy -H tpp --help`` ambiguous."""
        asked = self.args.help.value
        early = ["--help", asked] if isinstance(asked, str) and asked else []
        topic = help_topic([*self.core.unparsed, *early], self.shapes())
        if topic is None:
            return
        if early and not topic:
            raise Exit(self._unknown(str(asked)), code=errors.REFUSED)
        self.parser = self.make_parser()
        with until_pipe_closes():
            self.print_task_help(topic) if topic else self.print_help()
        raise Exit

    def _make_parser(self) -> Parser:
        """Called by Invoke."""
        return self.make_parser()

    def make_parser(self) -> Parser:
        """A parser of the whole line, with our tasks."""
        return Parser(initial=self.initial_context, contexts=self.contexts)

    @functools.cached_property
    def contexts(self) -> list[ParserContext]:
        """Every task as the parser sees it; cached: Invoke returns the help texts only once."""
        contexts: list[ParserContext] = self.collection.to_contexts()
        return contexts

    # -- helpers -----------------------------------------------------------------------------

    def _core(self) -> dict[str, bool]:
        """Each core flag, and whether it takes a value; only our own short ones.

        Invoke's -f and -c would take the word after them from a task: ``jobs.logs -f abc``.
        """
        flags = self.initial_context.flags
        names = [*flags, *(f"-{name}" for flag in CORE_FLAGS for name in flag["names"][1:])]
        return {name: flags[name].takes_value and not flags[name].optional for name in names}

    def shapes(self) -> dict[str, TaskShape]:
        """Every task name, alias and old name, with its shape."""
        shapes: dict[str, TaskShape] = {}
        for context in self.contexts:
            shape = TaskShape(
                flags={f: a.takes_value and not a.optional for f, a in context.flags.items()},
                positionals=len(context.positional_args),
                variadic=getattr(self.collection[context.name], "variadic", ""),
            )
            for name in (context.name, *context.aliases):
                shapes[str(name)] = shape
        old = {was: now for was, now in OLD_NAMES.items() if now in shapes}
        return shapes | {was: replace(shapes[now], renamed=now) for was, now in old.items()}

    @contextlib.contextmanager
    def _usage_explained(self) -> Iterator[None]:
        """Explain wrong usage in one line."""
        try:
            yield
        except ParseError as error:
            raise Exit(self._explain(error), code=errors.REFUSED) from None
        except ValueError as error:
            # Invoke passes on what int() raises.
            value = str(error).rpartition(": ")[2]
            raise Exit(f"error: {value} is not a whole number", code=errors.REFUSED) from None

    def _explain(self, error: ParseError) -> str:
        """Invoke's message; for an unknown word, with the nearest task name."""
        text = str(error)
        words = text.split("'")
        if text.startswith("No idea what") and len(words) > 1:
            return self._unknown(words[1])
        flag = re.match(r"Flag <Argument: ([\w-]+)(?: \((\w)\))?.*> needed value", text)
        if flag:
            return f"error: --{flag[1]}{f' (-{flag[2]})' if flag[2] else ''} needs a value"
        return f"error: {text}"

    def _unknown(self, word: str) -> str:
        # `just` had folders: jobrunner/jobs-ls
        near = difflib.get_close_matches(word.rpartition("/")[2], list(self.shapes()), 1)
        hint = f"did you mean {near[0]!r}?" if near else "see `inv --list`"
        return f"error: no task or flag is called {word!r}; {hint}"

    def _complete(self) -> None:
        from opstasks.cli.completion_shells import answer
        from opstasks.cli.completion_words import program_words

        words = program_words(self.initial_context, self.contexts, self.collection)
        with until_pipe_closes():
            for line in answer(self.core.remainder, os.environ, words):
                print(line)
        raise Exit

    def _fail(self, error: OpsError) -> None:
        from opstasks.output.console import Console
        from opstasks.output.documents import failure

        console = Console(as_json=self.args.json.value)
        if self.args.json.value:
            console.document(failure(error))
        if isinstance(error, Interrupted) and sys.stderr.isatty():
            console.note()  # the terminal shows ^C where the cursor is
        console.error(error)
        if self.args.debug.value:
            console.trace(error)
        raise Exit(code=error.exit_code)


@contextlib.contextmanager
def until_pipe_closes() -> Iterator[None]:
    """Exit with 0 when the reader of our output closes the pipe, as `| head` does."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=errors.OK) from None


class _NoPassword(logging.Filter):
    """Removes the sudo password from the configuration that Invoke prints with --debug."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        record.msg, record.args = _PASSWORD.sub(r"\1'***'", text), ()
        return True


_PASSWORD = re.compile(r"""('password': )(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")


def open_streams() -> None:
    """Open streams that were closed at the start (`2>&-`): Python has None for them.

    Without this, text for standard error could end up in the middle of the result.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 (open to the end)


def hide_password() -> None:
    """Keep the sudo password out of what Invoke logs with --debug."""
    logging.getLogger("invoke").addFilter(_NoPassword())


def install() -> None:
    """Turn the running ``inv`` into this program; called by tasks.py while `inv` loads it."""
    from invoke.main import program

    open_streams()
    hide_password()
    program.__class__ = CommandLine
    program.executor_class = Executor
