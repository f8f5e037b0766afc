"""What values from a host may be: a value outside these is an invalid response.

Everything a host says is decoded into a struct whose fields have these types
(`opstasks.fleet.program`).
"""

import threading
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from opstasks.onhost.limits import LATEST_AT, MAX_COUNT, MAX_LINE

T = TypeVar("T")
_building = threading.Lock()
_ready: set[object] = set()


def ready(kind: type[T]) -> type[T]:
    """The same type, examined by msgspec in one thread only: two at once can crash Python.

    msgspec stores its result on each class, where other threads see it before it is complete.
    """
    if kind not in _ready:
        with _building:
            msgspec.json.Decoder(kind)
            _ready.add(kind)
    return kind


# Seconds since the epoch; 0 for "not yet". A time after the year 3000 is nonsense.
Moment = Annotated[float, Meta(ge=0, le=LATEST_AT)]
# A span in seconds, up to a thousand years.
Seconds = Annotated[float, Meta(ge=0, le=LATEST_AT)]
# A number of things or bytes; more than an exabyte is nonsense.
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
# A rate, a number of processors, a percentage.
Amount = Annotated[float, Meta(ge=0, le=1e18)]
# A process, a port, an exit code or another small number; negative for a signal.
Small = Annotated[int, Meta(ge=-(1 << 31), le=1 << 32)]
# One word or line, and a text of many lines.
Line = Annotated[str, Meta(max_length=MAX_LINE)]
Text = Annotated[str, Meta(max_length=4 << 20)]
