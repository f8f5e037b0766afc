"""`@task`: Invoke's, with what help, checks and suggestions need to know about a task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import invoke

# The core flags, without dashes, that choose hosts or say how to reach them: they have no meaning
# for a task that contacts none.
ABOUT_HOSTS = (
    "hosts",
    "inventory",
    "parallel",
    "keep-going",
    "identity",
    "ssh-config",
    "connect-timeout",
    "prompt-for-sudo-password",
    "echo",
)


# The core flags with which the result is for a program: a flag that only changes a screen has no
# meaning beside them.
NOT_FOR_SCREENS = ("json", "quiet")


@dataclass(frozen=True)
class Flag:
    """A flag of a task, where its help text alone is not enough.

    `value` names its value in help: N, REF. A flag with DURATION accepts a span of time, TIME a
    moment in the past, and `one|other` only these words. `short` is its one-letter form. `default`
    says what holds without the flag, if the function's default does not. `least` is the smallest
    number that it takes. `required`: the task refuses to run without it. `needs` is a flag without
    which it has no meaning; `excludes` are flags that have no meaning beside it;
    if one is a core flag, this flag has no meaning beside that.
    """

    text: str
    value: str = ""
    short: str = ""
    default: str = ""
    least: float = 0
    required: bool = False
    needs: str = ""
    excludes: tuple[str, ...] = ()


# Flags that several tasks have: the same name means the same everywhere.
LINES = Flag("The last so many lines; 0: all.", value="N", short="n")
FOLLOW = Flag("Keep showing new lines until Ctrl-C.", short="f")
SPAN, MOMENT = "DURATION", "TIME"
EVERY = Flag("With --watch: the time between two refreshes.", value=SPAN, needs="watch")


def since(what: str) -> Flag:
    """The flag --since of a task; `what` says what it shows."""
    return Flag(f"{what}: 90s, 1h30m, 7d, yesterday or '2026-11-24 10:00' (UTC).", value=MOMENT)


class OpsTask(invoke.Task[Any]):
    """A task with what `task` was told about it."""

    def __init__(
        self, body: Callable[..., None], about: Mapping[str, str | Flag], **more: Any
    ) -> None:
        self.about = {
            _dashed(name): Flag(flag) if isinstance(flag, str) else flag
            for name, flag in about.items()
        }
        self.changes: bool = more.pop("changes")
        self.variadic: str = more.pop("variadic")
        self.after_dashes: str = more.pop("after_dashes")
        self.ignores: frozenset[str] = frozenset(more.pop("ignores"))
        self.anywhere: bool = more.pop("anywhere")
        self.ids: bool = more.pop("ids")
        super().__init__(body, auto_shortflags=False, **more)

    @property
    def flag_names(self) -> set[str]:
        """The names of its flags, without dashes."""
        _, *parameters = inspect.signature(self.body).parameters
        return {_dashed(name) for name in parameters}

    def flag(self, name: str) -> Flag:
        """What the task says about one of its flags, by its name without dashes."""
        return self.about.get(name, Flag(""))

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
        """What Invoke's parser gets; it knows no help text that is not a plain string."""
        opts: dict[str, Any] = super().arg_opts(name, default, taken_names)
        flag = self.about.get(_dashed(name))
        if flag is not None:
            opts["names"] = [*opts["names"], *flag.short]
            opts["help"] = flag.text
        return opts


def task(
    *,
    changes: bool,
    help: Mapping[str, str | Flag] | None = None,
    variadic: str = "",
    iterable: Sequence[str] = (),
    after_dashes: str = "",
    ignores: Collection[str] = (),
    anywhere: bool = False,
    ids: bool = False,
    name: str | None = None,
) -> Callable[[Callable[..., None]], Any]:
    """Make a task of a function.

    `changes`: it changes hosts, or may (`run`). `variadic` is the parameter that gets the further
    words of the line. `after_dashes` names the words after ``--``, in brackets if they may be left
    out; without it, they are refused. `ignores` are core flags that the task refuses.
    `anywhere`: without -H it makes sense on a machine that is no backend host. `ids`: it has ids
    for -q, which other tasks refuse.
    """

    def make(body: Callable[..., None]) -> OpsTask:
        needed = _needed(body)
        return OpsTask(
            body,
            help or {},
            changes=changes,
            variadic=f"--{_dashed(variadic)}" if variadic else "",
            after_dashes=after_dashes,
            ignores=ignores,
            anywhere=anywhere,
            ids=ids,
            name=name,
            iterable=list(iterable),
            positional=[each for each in needed if each not in iterable],
        )

    return make


def _needed(body: Callable[..., None]) -> list[str]:
    """The parameters without a default, after the context."""
    _, *parameters = inspect.signature(body).parameters.values()
    return [each.name for each in parameters if each.default is each.empty]


def _dashed(name: str) -> str:
    return name.strip("_").replace("_", "-")
