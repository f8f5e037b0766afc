"""Runs on the host, as the service account: pull content by its digest, with progress as parts.

The digest identifies the content, so the engine itself verifies what it pulled. No name of an
image changes here.
"""

import time
from collections.abc import Iterator
from typing import Any

from opstasks.images.onhost.inspect import free_bytes
from opstasks.images.onhost.names import check_names
from opstasks.onhost.engine import Engine, EngineError
from opstasks.onhost.formats import size_text
from opstasks.onhost.protocol import Answer, HostFailure, Request, send_part

# Seconds that docker may be silent during a pull.
SILENCE_S = 300.0
# Space that must stay free on the disk, and how much larger an unpacked layer may be.
RESERVE_BYTES = 1 << 30
UNPACKED = 3
Layers = dict[str, dict[str, Any]]


def pull(engine: Engine, request: Request) -> str:
    """Pull and send progress; returns the image's id. Raises EngineError when it fails."""
    asking = Engine(timeout_s=SILENCE_S)  # the other connection is busy with the pull
    check_room(asking, 0)
    words = {"fromImage": request["repository"], "tag": request["digest"]}
    for part in progress_of(engine.stream("POST", "images", "create", **words), request):
        check_room(asking, part["total_bytes"] - part["current_bytes"])
        send_part(part)
    image = engine.get("images", f"{request['repository']}@{request['digest']}", "json")
    return str(image["Id"])


def progress_of(documents: Iterator[Any], request: Request) -> Iterator[dict[str, int]]:
    """The progress to send: after each complete layer, and at the requested interval."""
    layers: Layers = {}
    started = time.monotonic()
    sent = started - request["every_s"]
    for found in documents:
        error = error_of(found)
        if error:
            raise EngineError(error)
        now = time.monotonic()
        if now - started > request["limit_s"]:
            raise EngineError(f"not complete after {request['limit_s'] / 3600:g} hours")
        if track(layers, found) or now - sent >= request["every_s"]:
            sent = now
            yield progress(layers)


def error_of(found: dict[str, Any]) -> str:
    """Why a pull failed; newer engines omit the plain text."""
    detail = found.get("errorDetail") or {}
    return str(detail.get("message") or found.get("error") or "")


def track(layers: Layers, found: dict[str, Any]) -> bool:
    """Record a document's data about a layer; returns whether it completes the layer."""
    name, status = found.get("id", ""), found.get("status", "")
    if not name or status.startswith(("Pulling from", "Digest", "Status")):
        return False
    layer = layers.setdefault(name, {"current": 0, "total": 0, "done": False})
    detail = found.get("progressDetail") or {}
    if status == "Downloading":
        layer["current"] = detail.get("current", 0)
        layer["total"] = max(layer["total"], detail.get("total", 0))
    elif status in ("Download complete", "Verifying Checksum", "Extracting"):
        layer["current"] = layer["total"] = max(layer["total"], detail.get("total", 0))
    elif status in ("Pull complete", "Already exists") and not layer["done"]:
        layer["done"] = True
        layer["current"] = layer["total"]
        return True
    return False


def progress(layers: Layers) -> dict[str, int]:
    """The total progress of all layers."""
    return {
        "layers": len(layers),
        "done": sum(layer["done"] for layer in layers.values()),
        "current_bytes": sum(layer["current"] for layer in layers.values()),
        "total_bytes": sum(layer["total"] for layer in layers.values()),
    }


def check_room(engine: Engine, missing_bytes: int) -> None:
    """Raise EngineError when the missing bytes would fill the disk."""
    free = free_bytes(engine)
    need = RESERVE_BYTES + UNPACKED * missing_bytes
    if free < need:
        raise EngineError(f"the disk would fill: {size_text(free)} free, {size_text(need)} needed")


def main(request: Request) -> Answer:
    """Pull and answer with the image's id; refuses if a name was moved since the plan was made."""
    engine = Engine(timeout_s=SILENCE_S)
    try:
        check_names(engine, request)
        return {"id": pull(engine, request)}
    except EngineError as error:
        raise HostFailure(str(error)) from error
