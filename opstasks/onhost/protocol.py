"""How a program on a host is asked, and how it answers.

The request is one JSON object. The answer is lines of JSON on standard output: any number of
``{"part": ...}`` while the program works, then one of

- ``{"ok": {...}}``        the answer
- ``{"refused": {...}}``   not possible, and nothing was touched: reason, detail, cause
- ``{"failed": {...}}``    an error happened: reason, detail, traceback, and a word for its cause

`opstasks.fleet.program` sends programs and decodes their answers.
"""

import contextlib
import json
from collections.abc import Callable
from typing import Any

Request = dict[str, Any]
Answer = dict[str, Any]


class HostRefusal(Exception):
    """Nothing was touched; `reason` says why, `detail` has lines that explain it.

    `cause` is a word for the client, which chooses the hint: "closed" when a person must change the
    rights of a folder.
    """

    def __init__(self, reason: str, detail: str = "", cause: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.cause = cause


class HostFailure(Exception):
    """An error happened, perhaps after a change; `detail` has lines that explain it.

    `cause` is a word for the client: "killed" when a command ended by a signal.
    """

    def __init__(self, reason: str, detail: str = "", cause: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.cause = cause


def send_part(value: Any) -> None:
    """Send a part of the answer now, for a client that shows it while the program works."""
    send_answer({"part": value})


def send_answer(value: Answer) -> None:
    """Send one line of an answer now."""
    print(json.dumps(value), flush=True)


def answer_to(main: Callable[[Request], Answer], request: Request) -> dict[str, Any]:
    """The answer of a program, also when it fails."""
    try:
        return {"ok": main(request)}
    except HostRefusal as error:
        cause = error.cause or _cause(error.__cause__)
        return {"refused": {"reason": error.reason, "detail": error.detail, "cause": cause}}
    except HostFailure as error:
        return _failed(error.reason, error.detail, error.cause or _cause(error.__cause__))
    except Exception as error:  # a defect of ours or of the host: report it to the client
        return _failed(error_text(error), "", _cause(error))


def run(main: Callable[[Request], Answer], request_text: str) -> None:
    """Run a program and print its answer; a lost client does not stop the program."""
    answer = answer_to(main, json.loads(request_text))
    with contextlib.suppress(BrokenPipeError):
        send_answer(answer)


def error_text(error: BaseException) -> str:
    """Any error in words: one of ours, one of the operating system explained, others by kind."""
    from opstasks.onhost import disk_errors

    if isinstance(error, HostFailure | HostRefusal):
        return error.reason
    if isinstance(error, OSError):
        return disk_errors.explained(error)
    return f"{type(error).__name__}: {error}"


def _cause(error: BaseException | None) -> str:
    """The word for an error of the operating system; "" for another one."""
    from opstasks.onhost import disk_errors

    return disk_errors.cause_of(error)


def _failed(reason: str, detail: str, cause: str = "") -> dict[str, Any]:
    # A good answer does not need these.
    import traceback

    from opstasks.onhost.power import with_shutdown

    text = traceback.format_exc()
    reason = with_shutdown(reason)
    return {"failed": {"reason": reason, "detail": detail, "traceback": text, "cause": cause}}
