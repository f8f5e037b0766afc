"""Runs on the host, as the service account: images, who uses them, and what a registry offers."""

import os
from typing import Any

from opstasks.onhost.engine import Engine, EngineError
from opstasks.onhost.protocol import Answer, HostRefusal, Request

# A distant or overloaded registry may be slow.
TIMEOUT_S = 300.0


def free_bytes(engine: Engine) -> int:
    """Free disk space in the engine's image folder; raises EngineError."""
    folder = engine.get("info")["DockerRootDir"]
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise EngineError(f"cannot read the free space of {folder}: {error}") from error
    return disk.f_bavail * disk.f_frsize


def users(engine: Engine) -> dict[str, list[str]]:
    """The containers of each image, by its id."""
    found: dict[str, list[str]] = {}
    for container in engine.get("containers", "json", all="1"):
        name = (container.get("Names") or ["?"])[0].lstrip("/")
        found.setdefault(container["ImageID"], []).append(name)
    return found


def images(engine: Engine, prefixes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The images with a tag or digest under one of the prefixes."""
    used = users(engine)
    found = []
    for image in engine.get("images", "json"):
        tags = [name for name in image.get("RepoTags") or [] if name != "<none>:<none>"]
        digests = [name for name in image.get("RepoDigests") or [] if "<none>" not in name]
        if any(name.startswith(prefixes) for name in (*tags, *digests)):
            found.append(
                {
                    "id": image["Id"],
                    "tags": tags,
                    "digests": digests,
                    # Some engines report the year 1 for an image without a date.
                    "created_at": max(0, image.get("Created") or 0),
                    "size_bytes": max(0, image.get("Size") or 0),
                    "users": sorted(used.get(image["Id"], [])),
                }
            )
    return found


def offered(engine: Engine, name: str) -> dict[str, str]:
    """The registry's digest for a name, or why there is none."""
    try:
        found = engine.get("distribution", name, "json")
        return {"digest": found["Descriptor"]["digest"], "error": ""}
    except EngineError as error:
        return {"digest": "", "error": str(error)}


def main(request: Request) -> Answer:
    """Answer with images, free disk space and offers; refuses when docker does not answer."""
    engine = Engine(timeout_s=TIMEOUT_S)
    try:
        return {
            "images": images(engine, tuple(request["prefixes"])),
            "free_bytes": free_bytes(engine),
            "offers": {name: offered(engine, name) for name in request["sources"]},
        }
    except EngineError as error:
        raise HostRefusal(str(error)) from error
