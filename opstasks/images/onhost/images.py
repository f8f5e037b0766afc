"""Runs on the host, as the service account: images, through the Docker engine's own socket.

`main` gets a JSON request and prints JSON, one object a line; the last one is the answer. A pull
names the content by its digest, so the engine itself proves that it got what was asked for; names
move to it only afterwards.
"""

import contextlib
import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

SOCKET = "/var/run/docker.sock"
API = "/v1.40"
# What must stay free on the disk, and how much larger than on the wire a layer may become.
RESERVE = 1 << 30
UNPACKED = 3
Facts = dict[str, Any]


class EngineError(Exception):
    """The engine said no; its own words."""


class Engine(http.client.HTTPConnection):
    """The engine behind its socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=300)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def call(asked: Facts, method: str, path: str, **query: str) -> http.client.HTTPResponse:
    """One request; raises EngineError for an answer that is an error."""
    engine = Engine(asked.get("socket", SOCKET))
    words = f"?{urlencode(query)}" if query else ""
    engine.request(method, f"{API}{path}{words}")
    response = engine.getresponse()
    if response.status >= 400:
        text = response.read().decode("utf-8", "replace")
        with contextlib.suppress(ValueError, LookupError, TypeError):
            text = json.loads(text)["message"]
        raise EngineError(text.strip() or f"error {response.status}")
    return response


def ask(asked: Facts, path: str, **query: str) -> Any:
    """What the engine knows."""
    return json.loads(call(asked, "GET", path, **query).read())


def free_bytes(asked: Facts) -> int:
    """What is free where the engine keeps its images."""
    disk = os.statvfs(ask(asked, "/info")["DockerRootDir"])
    return disk.f_bavail * disk.f_frsize


def repository(name: str) -> str:
    """A name without its tag or digest: a port's colon comes before the last slash."""
    name = name.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def look(asked: Facts) -> Facts:
    """The images under the wanted prefixes, who uses them, the disk, and the wanted digests."""
    users: dict[str, list[str]] = {}
    for container in ask(asked, "/containers/json", all="1"):
        name = (container.get("Names") or ["?"])[0].lstrip("/")
        users.setdefault(container["ImageID"], []).append(name)
    images = []
    for image in ask(asked, "/images/json"):
        tags = [name for name in image.get("RepoTags") or [] if name != "<none>:<none>"]
        digests = [name for name in image.get("RepoDigests") or [] if "<none>" not in name]
        if any(name.startswith(tuple(asked["prefixes"])) for name in (*tags, *digests)):
            images.append(
                {
                    "id": image["Id"],
                    "tags": tags,
                    "digests": digests,
                    "created": image["Created"],
                    "size": image["Size"],
                    "users": sorted(users.get(image["Id"], [])),
                }
            )
    wanted = {name: offered(asked, name) for name in asked["sources"]}
    return {"images": images, "free_bytes": free_bytes(asked), "offered": wanted}


def offered(asked: Facts, name: str) -> Facts:
    """What the registry has under a name: its digest, or why not."""
    try:
        found = ask(asked, f"/distribution/{quote(name, safe='/:')}/json")
        return {"digest": found["Descriptor"]["digest"], "error": ""}
    except EngineError as error:
        return {"digest": "", "error": str(error)}


def pull(asked: Facts) -> Iterator[Facts]:
    """Fetch content by its digest; progress as it comes, an EngineError when it breaks."""
    room(asked, 0)
    response = call(
        asked, "POST", "/images/create", fromImage=asked["repository"], tag=asked["digest"]
    )
    layers: dict[str, Facts] = {}
    told = 0.0
    while line := response.readline():
        found = json.loads(line) if line.strip() else {}
        if "error" in found:
            raise EngineError(found["error"])
        done = track(layers, found)
        if done or time.monotonic() - told > asked["every_s"]:
            told = time.monotonic()
            shown = progress(layers)
            room(asked, shown["total"] - shown["current"])
            yield shown
    image = ask(asked, f"/images/{asked['repository']}@{asked['digest']}/json")
    yield {"id": image["Id"]}


def track(layers: dict[str, Facts], found: Facts) -> bool:
    """Note what a line says of a layer; whether the layer is complete with it."""
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


def progress(layers: dict[str, Facts]) -> Facts:
    """How far all layers are together."""
    return {
        "layers": len(layers),
        "done": sum(layer["done"] for layer in layers.values()),
        "current": sum(layer["current"] for layer in layers.values()),
        "total": sum(layer["total"] for layer in layers.values()),
    }


def room(asked: Facts, missing: int) -> None:
    """Raise EngineError when what is still to come would fill the disk."""
    free = free_bytes(asked)
    if free < RESERVE + UNPACKED * missing:
        need = (RESERVE + UNPACKED * missing) >> 20
        raise EngineError(f"the disk would fill: {free >> 20} MiB free, {need} MiB needed")


def switch(asked: Facts) -> Facts:
    """Move the names to the new image, see that they are there, remove what they left."""
    for name in asked["names"]:
        head, _, tag = name.rpartition(":")
        call(asked, "POST", f"/images/{asked['id']}/tag", repo=head, tag=tag).read()
    for name in asked["names"]:
        found = ask(asked, f"/images/{name}/json")
        wanted = f"{asked['repository']}@{asked['digest']}"
        if found["Id"] != asked["id"] or wanted not in (found.get("RepoDigests") or []):
            raise EngineError(f"{name} is not what was pulled")
    return {"removed": [old for old in asked["replaced"] if remove(asked, old)]}


def remove(asked: Facts, old: str) -> bool:
    """Remove an image that lost its last name, unless a container has it; whether it is gone."""
    if old == asked["id"]:
        return False
    try:
        found = ask(asked, f"/images/{old}/json")
    except EngineError:
        return False
    users = ask(asked, "/containers/json", all="1")
    tags = [name for name in found.get("RepoTags") or [] if "<none>" not in name]
    if tags or any(container["ImageID"] == old for container in users):
        return False
    try:
        # With digests of several repositories, the id alone is refused as ambiguous.
        for digest in (found.get("RepoDigests") or [])[1:]:
            call(asked, "DELETE", f"/images/{digest}").read()
        call(asked, "DELETE", f"/images/{old}").read()
    except EngineError:
        return False  # a container came meanwhile: it stays
    return True


def main(request: str) -> None:
    """Answer a request: ``look``, ``pull`` or ``switch``."""
    asked = json.loads(request)
    try:
        if asked["do"] == "pull":
            for fact in pull(asked):
                print(json.dumps(fact), flush=True)
            return
        print(json.dumps({"look": look, "switch": switch}[asked["do"]](asked)))
    except (EngineError, OSError, http.client.HTTPException, ValueError) as error:
        print(json.dumps({"error": str(error) or type(error).__name__}), flush=True)
        sys.exit(0)
