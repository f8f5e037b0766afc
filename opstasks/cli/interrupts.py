"""Ctrl-C before the tasks start and after they have ended: one line and 130, or nothing.

While tasks run, Python's own KeyboardInterrupt stops them. Before that nothing has been done, and
after that nothing is left to stop, but Python would print a traceback of the imports or of its end.
Python itself, and the stock `inv` before it loads tasks.py, are not ours: there it still does.
"""

import os
import signal
from types import FrameType

TEXT = b"\nerror  interrupted; nothing was changed\n"


def end_quietly() -> None:
    """From now on, Ctrl-C ends the program; a Ctrl-C that the parent ignores stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def stop_tasks() -> None:
    """From now on, Ctrl-C raises KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, _stop)


def ignore() -> None:
    """From now on, Ctrl-C does nothing: the program is about to end."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, TEXT)
    os._exit(130)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
