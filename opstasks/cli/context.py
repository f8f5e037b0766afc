"""What a task gets: the options, the selected hosts, a console, and questions to a person.

`Context` is Invoke's own context with these added, so a task is an ordinary Invoke task.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import invoke
from invoke.exceptions import Exit

from opstasks.cli import questions
from opstasks.cli.options import RunOptions
from opstasks.cli.retyped import has_secret
from opstasks.core.errors import FAILED, OK, Refused
from opstasks.core.hints import one_word

if TYPE_CHECKING:
    from opstasks.cli.app import App
    from opstasks.cli.reading import HostReader
    from opstasks.core.clock import Clock
    from opstasks.core.result import FleetResult
    from opstasks.fleet.fleet import Fleet
    from opstasks.fleet.host import Host
    from opstasks.output.console import Console
    from opstasks.output.screens import Screen
    from opstasks.output.summary import Told

# So many hosts are named in a note.
NAMED = 10
P = TypeVar("P")
T = TypeVar("T")


class Context(invoke.Context):
    """Invoke's context, with the run's options, hosts and console."""

    def __init__(self, config: invoke.Config, app: App) -> None:
        super().__init__(config)
        self._set(app=app)

    app: App

    @property
    def options(self) -> RunOptions:
        """The core flags."""
        return self.app.options

    @property
    def fleet(self) -> Fleet:
        """The selected hosts."""
        return self.app.fleet

    @property
    def console(self) -> Console:
        """Where to print."""
        return self.app.console

    @property
    def clock(self) -> Clock:
        """The present time, in the zone in which times are shown.

        That is the zone of the hosts that were asked, if they all have the same one, or UTC.
        """
        from opstasks.core.clock import Clock

        now_at = time.time()
        zones = {str(host.zone): host.zone for host in self.fleet.hosts if host.zone is not None}
        if len(zones) != 1:
            return Clock(now_at)
        ((name, zone),) = zones.items()
        return Clock(now_at, zone, name)

    @property
    def table_clock(self) -> Clock:
        """The same time, for a table: in a pipe it has no headline that names the zone."""
        from dataclasses import replace

        return replace(self.clock, is_whole=not self.console.window)

    @property
    def hosts_text(self) -> str:
        """What follows `inv` for the selected hosts in a command to type: ``-H tpp``; or "".

        As it was typed, or their names if the same words would mean other hosts in a later command.
        """
        from opstasks.fleet.host_patterns import mean_the_same_later

        typed = self.options.hosts
        if typed and not mean_the_same_later(typed):
            typed = tuple(host.name for host in self.fleet.hosts)
        return f"-H {','.join(map(one_word, typed))}" if typed else ""

    def command_text(self, words: str) -> str:
        """A command to type for the selected hosts: ``inv -H tpp WORDS``.

        It repeats no secret that was typed in the place of a host.
        """
        if has_secret(self.options.hosts):
            return f"inv --help {self.app.run.task or 'flags'}"
        return " ".join(filter(None, ["inv", self.hosts_text, words]))

    def places_of(self, flag: str) -> list[int]:
        """Where the values of a flag are in the words of ``options.typed``."""
        return self.app.places_of(flag)

    # -- questions ---------------------------------------------------------------------------

    def confirm(self, question: str) -> None:
        """Ask before a change; raises Refused for "no", or without both a terminal and --yes."""
        if self.options.yes:
            return
        self._need_a_person(question, "add --yes to agree")
        with self.console.held():
            is_agreed = questions.agrees_to(question)
        if not is_agreed:
            raise Refused("not confirmed; nothing was changed")

    def confirm_name(self, question: str, name: str) -> None:
        """Ask for a typed name before an irreversible step; raises Refused for another name."""
        if self.options.yes:
            return
        self._need_a_person(question, "add --yes to agree")
        with self.console.held():
            answer = questions.answer_to(question)
        if answer.rstrip("\n") != name:
            raise Refused("not the same name; nothing was changed")

    def choose(self, question: str, choices: Sequence[str]) -> str:
        """Ask for one of a few words; --yes takes the first. Raises Refused without a terminal."""
        if self.options.yes:
            return choices[0]
        self._need_a_person(question, f"add --yes to {choices[0]}")
        with self.console.held():
            return questions.choice_of(question, choices)

    def pick(self, question: str, lines: Sequence[str], commands: Sequence[str] = ()) -> int:
        """Ask for a numbered line; returns its index. Raises Refused without a terminal.

        `commands` are what to type instead, one for each line. --yes agrees but does not
        choose, so it is refused here as well.
        """
        if self.options.yes or self.options.json or not questions.is_interactive():
            hint = "type one of these" if commands else "be more specific"
            raise Refused(question, tail="\n".join(commands or lines), hint=hint)
        with self.console.held():
            return questions.number_of(question, lines)

    def ask_secret(self, name: str) -> str:
        """Read a secret without showing it: typed, or the first line of standard input.

        Raises Refused for an empty one.
        """
        with self.console.held():
            return questions.secret_for(name)

    @staticmethod
    def one_line(text: str, flag: str) -> str:
        """Text that other people's tables will show; raises Refused unless it is one line."""
        if not text.isprintable():
            raise Refused(
                f"--{flag} must be one line of text", hint="remove line ends and control characters"
            )
        return text

    def _need_a_person(self, question: str, hint: str) -> None:
        if not questions.is_interactive():
            raise Refused(f"{question} This question needs a terminal", hint=hint)
        if self.console.is_quiet:
            flag = "--json" if self.options.json else "-q"
            raise Refused(f"{question} With {flag}, no question is asked", hint=hint)

    # -- hosts -------------------------------------------------------------------------------

    def seen(
        self,
        kind: str,
        found: Mapping[str, T],
        values_of: Callable[[T], Iterable[str | tuple[str, str]]],
    ) -> None:
        """Keep values of hosts for the Tab key (`opstasks.fleet.last_seen`), newest first.

        `found` is what each host answered. A value may have a note to show beside it. Never fails.
        """
        for host, answer in found.items():
            self.app.seen.add(kind, host, values_of(answer))

    def to_change(self, plans: FleetResult[P], wants: Callable[[P], bool]) -> list[Host]:
        """The hosts with something to do; none in a dry run or when a host failed.

        With --keep-going a failed host does not stop the others.
        """
        if self.options.dry:
            return []
        if plans.exit_code and not self.options.keep_going:
            self.say_stopped(plans, wants)
            return []
        found = plans.values
        return [host for host in self.fleet.hosts if host.name in found and wants(found[host.name])]

    def say_stopped(self, plans: FleetResult[P], wants: Callable[[P], bool]) -> None:
        """Show the errors, and say that nothing was changed and how to go on without these hosts.

        Otherwise the plan of the other hosts looks as if it had been carried out. `wants`: whether
        there is something to do on a host, by its plan.
        """
        from opstasks.core.formats import first_names

        if self.options.json:
            return
        self.console.problems(plans)
        names = first_names([host for host, plan in plans.values.items() if wants(plan)], NAMED)
        if plans.values:
            how = f"; --keep-going goes on with {names}" if names else ""
            self.console.note(f"nothing was changed{how}")

    def carry_out(
        self,
        plans: FleetResult[P],
        work: Callable[[Host, P], T],
        hosts: Sequence[Host] | None = None,
        told: Told[T] | None = None,
    ) -> FleetResult[T]:
        """Change hosts one after another as planned; by default, all those with a plan.

        `told` says what was done on each host, and how to undo it.
        """
        found = plans.values
        if hosts is None:
            hosts = [host for host in self.fleet.hosts if host.name in found]
        return self.roll(lambda host: work(host, found[host.name]), hosts, told)

    def roll(
        self,
        work: Callable[[Host], T],
        hosts: Sequence[Host] | None = None,
        told: Told[T] | None = None,
    ) -> FleetResult[T]:
        """Change hosts one after another, all of them by default; `told` says what was done."""
        from opstasks.fleet.fleet import Fleet
        from opstasks.output.summary import Summary

        hosts = self.fleet.hosts if hosts is None else hosts
        summary = Summary(self.console, [host.name for host in hosts], told)
        result = Fleet.of(self.fleet, hosts).roll(work, summary.show)
        summary.end(result)
        return result

    @property
    def reader(self) -> HostReader:
        """For tasks that only read: shows each host as soon as it has answered."""
        from opstasks.cli.reading import HostReader

        return HostReader(self.fleet, self.console)

    @property
    def quiet_fleet(self) -> Fleet:
        """The selected hosts; the task itself shows their errors."""
        from opstasks.fleet.fleet import Fleet

        quiet = Fleet.of(self.fleet, self.fleet.hosts)
        quiet.show = lambda batch: None
        return quiet

    def finish(self, result: FleetResult[Any], screen: Screen[Any] | None = None) -> None:
        """Show a fleet's result; ends the program unless every host succeeded.

        Without a `screen`, only errors not shown before are shown.
        """
        from opstasks.output.documents import fleet_document

        console = self.console
        if self.options.json:
            console.document(fleet_document(result, console.fields))
        elif screen is not None:
            screen.show(console, result)
        if not self.options.json:
            console.problems(result)
        self.end(result)

    def end(self, result: FleetResult[Any]) -> None:
        """End the program with a result's exit code, unless every host succeeded."""
        self.app.ends_with(result)
        if self.options.debug:
            for item in result:
                if item.error is not None:
                    self.console.trace(item.error)
        code = result.exit_code or (FAILED if self.console.is_cut_short else OK)
        if code:
            raise Exit(code=code)
