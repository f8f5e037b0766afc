"""The traceback of an error, for --debug."""

from __future__ import annotations

from opstasks.core.lines import lines_of


def traceback_lines(error: BaseException) -> list[str]:
    """The traceback of an error here and, for one of our programs, on the host."""
    import traceback

    lines: list[str] = []
    for link in _chain(error):
        lines += ["Traceback (most recent call last):"]
        for frame in traceback.format_tb(link.__traceback__):
            lines += lines_of(frame)
        # The text of an error may come from a host: it stays one line.
        lines.append(f"{type(link).__name__}: {link}")
        if there := getattr(link, "traceback", ""):
            lines.append(f"On {getattr(link, 'host', '')}:")
            lines += [f"  | {line}" for line in lines_of(there)]
    return lines


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those that led to it, the first cause first."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.insert(0, link)
        # As in Python, `from None` leaves out an error, because it may repeat a value.
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return found
