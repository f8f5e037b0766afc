"""Runs on the host, as the service account: move names to a pulled image.

It verifies the names, and removes images that lost their last name.
"""

from opstasks.images.onhost.names import check_names, named
from opstasks.onhost.engine import Engine, EngineError
from opstasks.onhost.protocol import Answer, HostFailure, Request

# Removing a large image may be slow.
TIMEOUT_S = 300.0


def switch(engine: Engine, request: Request) -> list[str]:
    """Move the names and check them; returns the removed images.

    Raises EngineError, and HostRefusal when a name was moved since the plan was made.
    """
    check_names(engine, request)
    for name in request["names"]:
        head, _, tag = name.rpartition(":")
        engine.post("images", request["id"], "tag", repo=head, tag=tag)
    for name in request["names"]:
        found = engine.get("images", name, "json")
        wanted = f"{request['repository']}@{request['digest']}"
        if found["Id"] != request["id"] or wanted not in (found.get("RepoDigests") or []):
            raise EngineError(f"{name} is not the image that was pulled")
    replaced = [old for old in request["replaced"] if old != request["id"]]
    return [old for old in replaced if remove(engine, old)]


def remove(engine: Engine, old: str) -> bool:
    """Remove an image without names, unless a container uses it; returns whether it is gone."""
    try:
        found = named(engine, old)
    except EngineError:
        return False
    if found is None:
        return True
    tags = [name for name in found.get("RepoTags") or [] if "<none>" not in name]
    containers = engine.get("containers", "json", all="1")
    if tags or any(container["ImageID"] == old for container in containers):
        return False
    try:
        # With digests of several repositories, the id alone is refused as ambiguous.
        for digest in (found.get("RepoDigests") or [])[1:]:
            engine.delete("images", digest)
        engine.delete("images", old)
    except EngineError:
        return False  # a container was started meanwhile: keep the image
    return True


def main(request: Request) -> Answer:
    """Answer with the images that were removed."""
    try:
        return {"removed": switch(Engine(timeout_s=TIMEOUT_S), request)}
    except EngineError as error:
        raise HostFailure(str(error)) from error
