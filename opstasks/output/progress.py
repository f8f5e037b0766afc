"""What is going on now, as lines for the bottom of a terminal, and each step that is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from opstasks.core import events
from opstasks.core.formats import first_names, span_text
from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, dim

# A wait that is shorter is not shown: the screen would flicker.
PATIENCE_S = 0.3
# So many hosts are named.
NAMED = 3


@dataclass
class _Step:
    """The step that a host is in."""

    event: events.StepReached
    since_s: float


@dataclass
class _HostChange:
    """One host that is being changed; `done` are the brief steps so far, for one paragraph."""

    title: str
    begun_s: float
    done: list[str] = field(default_factory=list)
    step: _Step | None = None


class Progress:
    """The waits and steps of a run; times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._awaited: events.HostsAwaited | None = None
        self._awaited_since_s = 0.0
        self._changes: dict[str, _HostChange] = {}
        self._loose: dict[str, _HostChange] = {}
        # Since when a host runs commands, unless they show their output themselves.
        self._busy: dict[str, float] = {}
        # Makes the rows of the hosts that have answered, for a number of lines.
        self.preview: Callable[[int], list[Line]] = _nothing

    @property
    def is_idle(self) -> bool:
        """Whether nothing is going on."""
        return not (self._awaited or self._changes or self._loose or self._busy)

    # -- what happens ------------------------------------------------------------------------

    @property
    def is_between_hosts(self) -> bool:
        """Whether no host is being read or changed."""
        return not (self._awaited or self._changes)

    def command(self, event: events.CommandStarted | events.CommandsEnded, now_s: float) -> None:
        """A host runs a command, or has ended those that it ran."""
        if isinstance(event, events.CommandsEnded):
            self._busy.pop(event.host, None)
        elif event.command.on_out is None:
            self._busy.setdefault(event.host, now_s)

    def awaiting(self, event: events.HostsAwaited, now_s: float, width: int) -> list[Line]:
        """Hosts are being read, or one of them has answered; returns the lines of what is over."""
        if self._awaited is None:
            self._awaited_since_s = now_s
        self._awaited = event if event.awaited else None
        if self._awaited is None:
            self.preview = _nothing
        done = [host for host in event.hosts if host in self._loose and host not in event.awaited]
        return [line for host in done for line in self.end(host, now_s, width)]

    def end_all(self, now_s: float, width: int) -> list[Line]:
        """Nothing goes on any more; returns the lines of what is over."""
        hosts = [*self._changes, *self._loose]
        return [line for host in hosts for line in self.end(host, now_s, width)]

    def begin(self, event: events.HostBegun, now_s: float) -> None:
        """The change of a host begins."""
        title = f"[{event.number}/{event.count}] {event.host}"
        self._changes[event.host] = _HostChange(title, now_s)

    def step(self, event: events.StepReached, now_s: float, width: int) -> list[Line]:
        """A host reached a step; returns the lines of what is over."""
        change = self._changes.get(event.host)
        if change is None:
            change = self._loose.setdefault(event.host, _HostChange(event.host, now_s))
        begun_s = now_s - event.ago_s
        lines = _over(change, begun_s, width)
        change.step = _Step(event, begun_s)
        return lines

    def update(self, event: events.StepUpdated) -> None:
        """The step that a host is in has a new text."""
        change = self._changes.get(event.host) or self._loose.get(event.host)
        if change is not None and change.step is not None:
            old = change.step.event
            change.step.event = replace(old, text=event.text, brief=event.brief or old.brief)

    def end(self, host: str, now_s: float, width: int) -> list[Line]:
        """The change of a host has ended; returns the lines of what is over."""
        change = self._changes.pop(host, None) or self._loose.pop(host, None)
        if change is None:
            return []
        return [*_over(change, now_s, width), *_paragraph(change, width)]

    # -- how it looks ------------------------------------------------------------------------

    def lines(self, now_s: float, width: int, rows: int) -> list[Line]:
        """At most so many lines for the bottom of the terminal; the last one is the progress."""
        found: list[Line] = []
        for change in (*self._changes.values(), *self._loose.values()):
            found += [*_paragraph(change, width), *_now(change, now_s)]
        if self._awaited and now_s - self._awaited_since_s >= PATIENCE_S:
            found += self.preview(rows)
            found.append([dim(_awaited_text(self._awaited, now_s - self._awaited_since_s))])
        if not (found or self._awaited):
            found = _busy_lines(self._busy, now_s)
        if len(found) <= rows:
            return found
        left = len(found) - rows + 1
        return [*found[: max(0, rows - 2)], [dim(f"… {left} more lines")], *found[-1:]][-rows:]


def _nothing(rows: int) -> list[Line]:
    return []


def _busy_lines(busy: Mapping[str, float], now_s: float) -> list[Line]:
    """The hosts that a task asks one by one, after it has read or changed all of them."""
    elapsed_s = now_s - min(busy.values(), default=now_s)
    if not busy or elapsed_s < PATIENCE_S:
        return []
    return [[dim(f"waiting for {first_names(list(busy), NAMED)} ({elapsed_s:.0f} s)")]]


def _awaited_text(event: events.HostsAwaited, elapsed_s: float) -> str:
    """``2 of 3 hosts answered, waiting for tpp (4 s)``."""
    waiting = f"waiting for {first_names(event.awaited, NAMED)} ({elapsed_s:.0f} s)"
    if len(event.hosts) == 1:
        return waiting
    answered = len(event.hosts) - len(event.awaited)
    return f"{answered} of {len(event.hosts)} hosts answered, {waiting}"


def _now(change: _HostChange, now_s: float) -> list[Line]:
    """The line of the present step; a step of known length counts its seconds."""
    if change.step is None:
        return [[dim(f"{change.title}  …")]]
    event, spent_s = change.step.event, now_s - change.step.since_s
    if event.lasts_s:
        took = _of_text(min(spent_s, event.lasts_s), event.lasts_s)
    else:
        took = took_text(spent_s) if spent_s >= 1 else ""
    start = " " * len(change.title) if change.done else change.title
    return [[start, f"  {printable(event.text)}  ", dim(took)]]


def _over(change: _HostChange, now_s: float, width: int) -> list[Line]:
    """End a host's present step; returns lines unless it joins the paragraph."""
    step, change.step = change.step, None
    if step is None:
        return []
    took = took_text(now_s - step.since_s)
    if step.event.brief:
        change.done.append(f"{step.event.brief} {took}")
        return []
    before = _paragraph(change, width)
    change.done = []
    return [*before, [change.title, f"  {printable(step.event.text)}  ", dim(took)]]


def _paragraph(change: _HostChange, width: int) -> list[Line]:
    """The brief steps of a host so far, in lines that fit."""
    if not change.done:
        return []
    start = f"{change.title}  "
    room = max(2, width - len(start)) if width else 0
    lines, current = [], ""
    for item in change.done:
        joined = f"{current}  {item}" if current else item
        if room and current and len(joined) > room:
            lines.append(current)
            joined = item
        current = joined
    return [
        [start if number == 0 else " " * len(start), fit.shortened(text, room) if room else text]
        for number, text in enumerate([*lines, current])
    ]


def _of_text(spent_s: float, lasts_s: float) -> str:
    """``8 of 15 s``, ``12m of 1h``."""
    if lasts_s < 120:
        return f"{spent_s:.0f} of {lasts_s:.0f} s"
    return f"{span_text(spent_s)} of {span_text(lasts_s)}"


def took_text(seconds: float) -> str:
    """How long something took: ``0.3s``, ``19.4s``, ``1m30s``."""
    return f"{max(0.0, seconds):.1f}s" if seconds < 60 else span_text(seconds)


def step_line(event: events.StepReached, since_s: float | None) -> Line:
    """A step where lines cannot be replaced: when it begins, with the time since the first one."""
    after = f"  (after {took_text(since_s)})" if since_s is not None and since_s >= 1 else ""
    return [dim(event.host), f"  {event.text}{after}"]
