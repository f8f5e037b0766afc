"""Images: their names, and the questions to the engine of a host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from opstasks.core.command import Command, cmd
from opstasks.core.errors import OpsError, Refused
from opstasks.fleet import old_program as remote

SCRIPT = "opstasks.images.onhost.images"
PULL_TIMEOUT_S = 4 * 3600
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REGISTRY = re.compile(r"[a-z0-9][a-z0-9._:/-]*")


@dataclass(frozen=True)
class Ref:
    """An image by the last part of its name, and its tag."""

    name: str
    tag: str = "latest"

    def under(self, registry: str) -> str:
        """Its full name in a registry."""
        return f"{registry.rstrip('/')}/{self}"

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"


@dataclass(frozen=True)
class Image:
    """An image of a host; `created` in seconds since the epoch, `users` are containers."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    created: float
    size: int
    users: tuple[str, ...]

    @property
    def short_id(self) -> str:
        """Its id as people write it."""
        return short(self.id)


@dataclass(frozen=True)
class Offer:
    """What a registry has under a name; `error` says why nothing."""

    digest: str = ""
    error: str = ""


@dataclass(frozen=True)
class Images:
    """What a host has, and what its registry offers, by the full name that was asked for."""

    images: tuple[Image, ...]
    free_bytes: int
    offers: dict[str, Offer]

    def named(self, name: str) -> Image | None:
        """The image that has a name."""
        return next((image for image in self.images if name in image.tags), None)


def short(digest: str) -> str:
    """The first twelve digits of an id or digest."""
    return digest.removeprefix("sha256:")[:12]


def parse_ref(text: str) -> Ref:
    """``ehrql`` or ``ehrql:v1``; raises Refused for anything else."""
    name, colon, tag = text.partition(":")
    ref = Ref(name, tag) if colon else Ref(name)
    if not _NAME.fullmatch(name) or not _TAG.fullmatch(ref.tag) or len(name) > 128:
        raise Refused(
            f"{text[:60]!r} cannot be an image",
            hint="give the last part of its name, with a tag or without: ehrql:v1",
        )
    return ref


def check_digest(text: str) -> None:
    """Raise Refused for what is given as a digest and cannot be one."""
    if text and not _DIGEST.fullmatch(text):
        raise Refused(
            f"{text[:80]!r} is no digest", hint="sha256: and 64 digits, as the registry tells it"
        )


def valid_registry(text: str) -> str:
    """A registry with a path; raises Refused for what cannot be one."""
    if not _REGISTRY.fullmatch(text):
        raise Refused(f"{text[:60]!r} cannot be a registry", hint="correct DOCKER_REGISTRY")
    return text


def look(prefixes: Iterable[str], sources: Iterable[str] = ()) -> Command:
    """Ask for the images under some registries, and what these offer; parse with `parse_look`."""
    places = [f"{prefix.rstrip('/')}/" for prefix in prefixes]
    request = {"do": "look", "prefixes": places, "sources": list(sources)}
    return remote.call(SCRIPT, request)


def parse_look(host: str, text: str) -> Images:
    """What `look` printed."""
    found = answer(host, text)
    images = tuple(
        Image(
            id=item["id"],
            tags=tuple(item["tags"]),
            digests=tuple(item["digests"]),
            created=item["created"],
            size=item["size"],
            users=tuple(item["users"]),
        )
        for item in found["images"]
    )
    offers = {name: Offer(**item) for name, item in found["offered"].items()}
    return Images(images, found["free_bytes"], offers)


def pull(repository: str, digest: str, every_s: float) -> Command:
    """Fetch content by its digest, telling of progress one JSON object a line.

    For `Shell.stream`: such a command has no standard input, so the script is an argument.
    """
    request = {"do": "pull", "repository": repository, "digest": digest, "every_s": every_s}
    program = remote.program(SCRIPT, request)
    return cmd("timeout", "-k", "5", PULL_TIMEOUT_S, "python3", "-I", "-c", program)


def switch(
    repository: str, digest: str, image_id: str, names: Sequence[str], replaced: Sequence[str]
) -> Command:
    """Give an image its names, check them, and remove images that lost their last one."""
    request = {
        "do": "switch",
        "repository": repository,
        "digest": digest,
        "id": image_id,
        "names": list(names),
        "replaced": list(replaced),
    }
    return remote.call(SCRIPT, request).changing().within(600)


def answer(host: str, text: str) -> dict[str, Any]:
    """The last line of an answer; raises Refused with the engine's reason."""
    try:
        found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise OpsError("the host's answer makes no sense", host=host) from None
    if "error" in found:
        raise Refused(f"docker: {found['error']}", host=host, hint=f"inv -H {host} doctor")
    return found
