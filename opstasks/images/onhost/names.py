"""Runs on the host: whether names of images are still as they were when the plan was made."""

from typing import Any

from opstasks.onhost.engine import Engine, EngineError
from opstasks.onhost.protocol import HostRefusal, Request

NOT_FOUND = 404


def check_names(engine: Engine, request: Request) -> None:
    """Raise HostRefusal when somebody moved a name to an image that the plan does not know.

    A name may have a `replaced` image, the wanted content already, or none if it is `free`.
    Raises EngineError.
    """
    wanted = f"{request['repository']}@{request['digest']}"
    for name in request["names"]:
        image = named(engine, name)
        if image is None:
            is_as_shown = name in request["free"]
        else:
            is_wanted = wanted in (image.get("RepoDigests") or [])
            is_as_shown = is_wanted or image["Id"] in request["replaced"]
        if not is_as_shown:
            raise HostRefusal(f"{name} was moved since the plan was shown")


def named(engine: Engine, name: str) -> "dict[str, Any] | None":
    """The image with a name or id; None if there is none. Raises EngineError."""
    try:
        found: dict[str, Any] = engine.get("images", name, "json")
    except EngineError as error:
        if error.status == NOT_FOUND:
            return None
        raise
    return found
