"""The plan for an update of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opstasks.core.errors import Refused
from opstasks.images.facts import HostImage, ImagesFacts
from opstasks.images.names import ImageRef, short


@dataclass(frozen=True)
class ImagesStep:
    """One image to update: its new content and names, and the images that lose the names.

    `now` are the digests of these images, or their ids where they have none; `users` the names of
    containers that use them. `free` are the names that no image has. `is_pinned`: a person
    typed the digest.
    """

    ref: ImageRef
    repository: str
    digest: str
    names: tuple[str, ...]
    replaced: tuple[str, ...]
    now: tuple[str, ...]
    users: tuple[str, ...]
    free: tuple[str, ...] = ()
    is_pinned: bool = False


@dataclass(frozen=True)
class ImagesPlan:
    """What an update changes on one host."""

    steps: tuple[ImagesStep, ...]
    free_bytes: int

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.steps)


def make_plan(found: ImagesFacts, refs: Sequence[ImageRef], digest: str = "") -> ImagesPlan:
    """The plan for an update; raises Refused when the registry does not have an image.

    With `digest`, also raises Refused when the registry has a different digest.
    """
    steps = [_step(ref, found, _offered(ref, found, digest)) for ref in refs]
    pinned = [replace(step, is_pinned=bool(digest)) for step in steps if step]
    return ImagesPlan(tuple(pinned), found.free_bytes)


def _offered(ref: ImageRef, found: ImagesFacts, digest: str) -> str:
    """The digest that the registry has under a name; raises Refused."""
    offer = found.offer(ref.under(found.source))
    if offer.error or not offer.digest:
        raise Refused(
            f"{ref.under(found.source)}: {offer.error or 'no digest'}; nothing was changed",
            host=found.host,
            hint="check the name, and that the host reaches the registry",
        )
    if digest and offer.digest != digest:
        raise Refused(
            f"{found.source} has {short(offer.digest)} as {ref},"
            f" not {short(digest)}; nothing was changed",
            host=found.host,
        )
    return offer.digest


def _step(ref: ImageRef, found: ImagesFacts, digest: str) -> ImagesStep | None:
    """The step for one image; None when every name already has the content."""
    names = [ref.under(registry) for registry in found.registries]
    if found.named(ref.under(found.source)):
        names.append(ref.under(found.source))  # left by a manual update: move it, too
    names = list(dict.fromkeys(names))
    repository = f"{found.source}/{ref.name}"
    have = [found.named(name) for name in names]
    if all(_has(image, f"{repository}@{digest}") for image in have):
        return None
    old = {image.id: image for image in have if image is not None}
    return ImagesStep(
        ref=ref,
        repository=repository,
        digest=digest,
        names=tuple(names),
        replaced=tuple(old),
        now=tuple(image.digest or image.id for image in old.values()),
        users=tuple(user for image in old.values() for user in image.users),
        free=tuple(name for name, image in zip(names, have, strict=True) if image is None),
    )


def _has(image: HostImage | None, content: str) -> bool:
    return image is not None and content in image.digests
