"""Counting round trips on a busy machine."""

from collections.abc import Callable

from opstasks.sandbox.delay_proxy import DelayProxy


def least(proxy: DelayProxy, ask: Callable[[], object], times: int = 3) -> int:
    """The least round trips of several tries.

    SSH's own reactions to data, such as a larger window, count too, and depend on how busy the
    machine is. They never make a question cheaper.
    """
    counts = []
    for _ in range(times):
        proxy.reset()
        ask()
        counts.append(proxy.round_trips())
    return min(counts)
