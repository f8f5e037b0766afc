"""The host image and the template volume: caches that all instances on this machine share."""

from __future__ import annotations

from contextlib import suppress

from docker.errors import APIError
from docker.models.containers import Container
from docker.models.images import Image

from opstasks.sandbox import containers, image, recipe, template
from opstasks.sandbox.engine import Report, client, ensure_tools
from opstasks.sandbox.instance import LABEL, cache_lock, locked


def ensure(report: Report) -> None:
    """Build the image and the template if missing; one builder at a time."""
    if cached():
        return
    with locked(cache_lock()):
        ensure_tools(report)
        if not image.image_exists(recipe.host_tag()):
            image.build_host(report)
        if not template.template_exists():
            template.build_template(report)
        drop_old()


def cached() -> bool:
    """Whether both are there."""
    return image.image_exists(recipe.host_tag()) and template.template_exists()


def cached_images() -> list[Image]:
    """All our images, of this recipe and earlier ones."""
    return client().images.list(filters={"label": recipe.CACHE_LABEL})


def drop_old() -> None:
    """Remove caches of earlier recipes that no host uses."""
    for found in cached_images():
        if not {recipe.base_tag(), recipe.host_tag()} & set(found.tags):
            discard_image(found)
    for volume in cached_volumes():
        if volume != recipe.template_name():
            containers.discard_volume(volume)


def cached_volumes() -> list[str]:
    """The names of all templates."""
    return [volume.name for volume in client().volumes.list(filters={"label": recipe.CACHE_LABEL})]


def remove_caches() -> list[str]:
    """Remove images and templates; those in use by another instance stay, and are returned."""
    for container in build_leftovers():
        containers.discard_container(str(container.id))
    for volume in cached_volumes():
        containers.discard_volume(volume)
    left: list[Image] = []
    # An image cannot be removed before images made from it: repeat while that helps.
    while len(images := cached_images()) != len(left):
        left = images
        for found in images:
            discard_image(found)
    return [*((found.tags or [str(found.id)])[0] for found in left), *cached_volumes()]


def build_leftovers() -> list[Container]:
    """Containers that a build left behind; hosts also have its label, from their image."""
    return [found for found in containers.labelled(recipe.BUILD_LABEL) if LABEL not in found.labels]


def discard_image(unused: Image) -> None:
    """Remove an image that nothing uses."""
    with suppress(APIError):
        client().images.remove(str(unused.id))
