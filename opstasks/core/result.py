"""Results: of one command, of one host, of a fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from opstasks.core import errors

T = TypeVar("T")
U = TypeVar("U")

# How much of a command's output an error message repeats.
TAIL_LINES = 8
# coreutils timeout: 124 when the limit passed, 137 when the process had to be killed.
TIMEOUT_CODES = (124, 137)


@dataclass(frozen=True)
class Result:
    """The outcome of one command: `code` is its exit code, `out` and `err` what it printed."""

    command: str
    code: int
    out: str
    err: str
    elapsed_s: float = 0.0

    @property
    def text(self) -> str:
        """Standard output without the line end."""
        return self.out.rstrip("\n")

    @property
    def lines(self) -> list[str]:
        """Standard output by line, empty lines left out."""
        return [line for line in self.out.split("\n") if line]

    def tail(self) -> str:
        """The last lines that explain a failure: standard error, or else standard output.

        How it ended, if it printed nothing. Without secrets, which some programs print.
        """
        # Only after a failure.
        from opstasks.onhost.formats import ended_text
        from opstasks.onhost.masking import masked

        text = self.err.strip() or self.out.strip() or (ended_text(self.code) if self.code else "")
        # First masked, then cut: the first lines say that a secret begins.
        return "\n".join(masked(text).split("\n")[-TAIL_LINES:])


# How a run can end on one host.
OUTCOMES = (
    "ok",
    "changed",
    "failed",
    "refused",
    "unreachable",
    "unknown",
    "interrupted",
    "not started",
)


@dataclass(frozen=True)
class HostResult(Generic[T]):
    """How a run ended on one host: an outcome, and a value or the error."""

    host: str
    outcome: str
    value: T | None = None
    error: errors.OpsError | None = None
    elapsed_s: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the host did what was asked."""
        return self.outcome in ("ok", "changed")


@dataclass
class FleetResult(Generic[T]):
    """One `HostResult` per host, in inventory order.

    `findings`: a check found something, so the exit code is 1 although every host answered.
    `error` is what went wrong here, besides the hosts: the exit code is then 1 as well.
    """

    results: list[HostResult[T]] = field(default_factory=list)
    findings: bool = False
    error: errors.OpsError | None = None

    def __iter__(self) -> Iterator[HostResult[T]]:
        return iter(self.results)

    @property
    def values(self) -> dict[str, T]:
        """The values of the hosts that answered."""
        return {r.host: r.value for r in self.results if r.good and r.value is not None}

    def mapped(self, make: Callable[[T], U]) -> FleetResult[U]:
        """The same results with other values, made from these."""
        return FleetResult(
            [
                HostResult(
                    item.host,
                    item.outcome,
                    None if item.value is None else make(item.value),
                    item.error,
                    item.elapsed_s,
                )
                for item in self
            ],
            self.findings,
            self.error,
        )

    def replaced(self, later: FleetResult[Any]) -> FleetResult[Any]:
        """The same results, replaced by those of a later pass where there are any."""
        done = {item.host: item for item in later}
        return FleetResult([done.get(item.host, item) for item in self.results])

    @property
    def exit_code(self) -> int:
        """The exit code for the whole run (see `opstasks.core.errors`)."""
        seen = {r.outcome for r in self.results}
        if "refused" in seen and "changed" in seen:
            seen.add("failed")  # exit code 2 would mean that nothing was touched
        if self.findings or self.error:
            seen.add("failed")
        order = [
            ("interrupted", errors.INTERRUPTED),
            ("unknown", errors.UNKNOWN),
            ("failed", errors.FAILED),
            ("unreachable", errors.UNREACHABLE),
            ("refused", errors.REFUSED),
            ("not started", errors.FAILED),
        ]
        return next((code for outcome, code in order if outcome in seen), errors.OK)
