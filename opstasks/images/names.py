"""Valid names of images, registries and digests."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opstasks.core.errors import Refused
from opstasks.core.hints import quoted

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REGISTRY = re.compile(r"[a-z0-9][a-z0-9._:/-]*")


@dataclass(frozen=True)
class ImageRef:
    """An image by the last part of its name, and its tag."""

    name: str
    tag: str = "latest"

    def under(self, registry: str) -> str:
        """Its full name in a registry."""
        return f"{registry.rstrip('/')}/{self}"

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"


def short(digest: str) -> str:
    """The first twelve digits of an id or digest."""
    return digest.removeprefix("sha256:")[:12]


def parse_ref(text: str) -> ImageRef:
    """``ehrql`` or ``ehrql:v1``; raises Refused for anything else."""
    name, colon, tag = text.partition(":")
    ref = ImageRef(name, tag) if colon else ImageRef(name)
    if len(name) > 128 or not _NAME.fullmatch(name) or not _TAG.fullmatch(ref.tag):
        raise Refused(
            f"--image: {quoted(text, 60)} cannot be the name of an image",
            hint="give the last part of its name, with or without a tag: ehrql:v1",
        )
    return ref


def check_digest(text: str) -> None:
    """Raise Refused for an invalid digest; an empty text is accepted."""
    if text and not _DIGEST.fullmatch(text):
        raise Refused(
            f"--digest: {quoted(text, 80)} is not a digest",
            hint="give sha256: and 64 digits, as the registry shows it",
        )


def valid_registry(text: str) -> str:
    """A registry with a path; raises Refused for anything else."""
    if not _REGISTRY.fullmatch(text):
        raise Refused(f"{quoted(text, 60)} cannot be a registry", hint="correct DOCKER_REGISTRY")
    return text
