"""The images of a host and of its registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from opstasks.config.values import read_values
from opstasks.core.errors import Refused
from opstasks.core.fields import Count, Line, Moment
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program
from opstasks.images.names import ImageRef, valid_registry

REGISTRY_KEY = "DOCKER_REGISTRY"
# Empty if a registry has no image with a name.
Digest = Annotated[str, msgspec.Meta(pattern=r"\A([a-z0-9]+:[0-9a-f]{32,128})?\Z")]


class ImagesRequest(msgspec.Struct, frozen=True):
    """The prefixes of images to list, and the full names to look up in the registry."""

    prefixes: tuple[str, ...]
    sources: tuple[str, ...]


class HostImage(msgspec.Struct, frozen=True):
    """An image of a host; `created_at` in seconds since the epoch, `users` are containers."""

    id: Line
    tags: tuple[Line, ...]
    digests: tuple[Line, ...]
    created_at: Moment
    size_bytes: Count
    users: tuple[Line, ...]

    @property
    def digest(self) -> str | None:
        """The digest that a registry has it under; None if it never came from one."""
        return next((item.partition("@")[2] for item in self.digests if "@" in item), None)


class RegistryOffer(msgspec.Struct, frozen=True):
    """The image that a registry has under a name; `error` says why it has none."""

    digest: Digest = ""
    error: Line = ""


class ImagesAnswer(msgspec.Struct, frozen=True):
    """A host's answer: its images, free disk space, and the registry's offers by name."""

    images: tuple[HostImage, ...]
    free_bytes: Count
    offers: dict[str, RegistryOffer]


INSPECT = Program("opstasks.images.onhost.inspect", ImagesRequest, ImagesAnswer)


@dataclass(frozen=True)
class ImagesFacts:
    """The facts about a host's images.

    `registries` are those that job-runner may use in names, `source` is the registry that the
    host pulls from, `offers` are by full name.
    """

    host: str
    registries: tuple[str, ...]
    source: str
    images: tuple[HostImage, ...] = ()
    free_bytes: int = 0
    offers: dict[str, RegistryOffer] = field(default_factory=dict)

    def named(self, name: str) -> HostImage | None:
        """The image with this name."""
        return next((image for image in self.images if name in image.tags), None)

    def offer(self, name: str) -> RegistryOffer:
        """The registry's image with a full name."""
        return self.offers.get(name, RegistryOffer(error="the host did not ask the registry"))


@dataclass(frozen=True)
class ImageRow:
    """One image that job-runner may use.

    `name` is None for an image that lost its last name to a newer one; `digest` is that of its
    registry, None if it never came from one. `users` are the names of containers.
    """

    name: str | None
    id: str
    created_at: float
    size_bytes: int
    digest: str | None
    users: tuple[str, ...]

    @property
    def short_name(self) -> str:
        """The name as `images.update` takes it: ``ehrql:v1``; "" without a name."""
        return (self.name or "").rpartition("/")[2]


def inspect(host: Host, refs: Sequence[ImageRef] = ()) -> ImagesFacts:
    """The images of a host, and its registry's images with these names.

    Raises Refused when docker does not answer.
    """
    names = registries(host)
    place = source(host.spec)
    request = ImagesRequest(
        prefixes=tuple(f"{name}/" for name in (*names, place)),
        sources=tuple(ref.under(place) for ref in refs),
    )
    try:
        found = host.service.call(INSPECT, request)
    except Refused as refusal:
        hint = f"inv -H {host.name} doctor"
        raise Refused(refusal.message, host=host.name, tail=refusal.tail, hint=hint) from refusal
    return ImagesFacts(host.name, names, place, found.images, found.free_bytes, found.offers)


def registries(host: Host) -> tuple[str, ...]:
    """Every registry that job-runner may use: the inventory's and its own setting."""
    own = read_values(host, [REGISTRY_KEY]).get(REGISTRY_KEY)
    names = [host.spec.registry, valid_registry(own.value) if own and own.value else ""]
    return tuple(dict.fromkeys(name.rstrip("/") for name in names if name))


def source(spec: HostSpec) -> str:
    """The registry that the host pulls from."""
    return (spec.registry_proxy or spec.registry).rstrip("/")


def ls(host: Host) -> list[ImageRow]:
    """The images that job-runner may use, sorted by name; those without a name come last."""
    found = inspect(host)
    rows = [row for image in found.images for row in _rows(image, found.registries)]
    return sorted(rows, key=lambda row: (row.name is None, row.name or ""))


def _rows(image: HostImage, registry_names: Sequence[str]) -> list[ImageRow]:
    prefixes = tuple(f"{name}/" for name in registry_names)
    ours = [tag for tag in image.tags if tag.startswith(prefixes)]
    facts = (image.id, image.created_at, image.size_bytes, image.digest, image.users)
    names: Sequence[str | None] = ours or image.tags or [None]
    return [ImageRow(name, *facts) for name in names]
