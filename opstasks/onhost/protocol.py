"""How a program on a host is asked, and how it answers.

The request is one JSON object. The answer is lines of JSON on standard output: any number of
``{"part": ...}`` while the program works, then one of

- ``{"ok": {...}}``        what was asked for
- ``{"refused": {...}}``   it cannot be done, and nothing was touched: reason, detail
- ``{"failed": {...}}``    it went wrong: reason, detail, traceback

`opstasks.fleet.program` sends programs and decodes their answers.
"""

import contextlib
import json
import traceback
from collections.abc import Callable
from typing import Any

Request = dict[str, Any]
Answer = dict[str, Any]


class HostRefusal(Exception):
    """Nothing was touched, and `reason` says why not; `detail` holds lines that explain it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class HostFailure(Exception):
    """It went wrong, and something may have been changed; `detail` holds lines that explain it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def send_part(value: Any) -> None:
    """Send a part of the answer now, for a client that shows it while the program works."""
    _print({"part": value})


def answer_to(main: Callable[[Request], Answer], request: Request) -> dict[str, Any]:
    """What a program answers, whatever becomes of it."""
    try:
        return {"ok": main(request)}
    except HostRefusal as error:
        return {"refused": {"reason": error.reason, "detail": error.detail}}
    except HostFailure as error:
        return _failed(error.reason, error.detail)
    except Exception as error:  # a defect of ours, or of the host: the client has to hear of it
        return _failed(f"{type(error).__name__}: {error}", "")


def run(main: Callable[[Request], Answer], request_text: str) -> None:
    """Run a program and print its answer; a client that is gone changes nothing about it."""
    answer = answer_to(main, json.loads(request_text))
    with contextlib.suppress(BrokenPipeError):
        _print(answer)


def _failed(reason: str, detail: str) -> dict[str, Any]:
    text = traceback.format_exc()
    return {"failed": {"reason": reason, "detail": detail, "traceback": text}}


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)
