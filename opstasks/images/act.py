"""Images of a host, and new versions of them (playbook: "Update docker image")."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from opstasks.config.values import read_values
from opstasks.core.errors import CommandFailed, OpsError, Refused, VerifyFailed
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.images import registry as images
from opstasks.images.registry import Image, Images, Ref

REGISTRY_KEY = "DOCKER_REGISTRY"
STOPPED = "no name was moved; run it again: layers that arrived whole are not fetched again"
# How often a pull tells of its progress, in seconds.
EVERY_S = 5.0


@dataclass(frozen=True)
class Row:
    """One image that job-runner may use, for people; `name` is empty for one without a name."""

    name: str
    id: str
    created: float
    size: int
    digest: str
    users: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Step:
    """One image that moves: from what (empty: not there) to which content, under which names."""

    ref: Ref
    repository: str
    digest: str
    names: tuple[str, ...]
    replaced: tuple[str, ...]
    now: str
    users: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What an update does to one host."""

    steps: tuple[Step, ...]
    free_bytes: int

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.steps)


@dataclass(frozen=True)
class Outcome:
    """What was done: images moved, old ones removed, old ones kept since a container has them."""

    changed: bool
    updated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def registries(host: Host) -> list[str]:
    """Every registry that job-runner may name images by: the inventory's and its own setting."""
    own = read_values(host, [REGISTRY_KEY]).get(REGISTRY_KEY)
    names = [host.spec.registry, images.valid_registry(own.value) if own and own.value else ""]
    return list(dict.fromkeys(name.rstrip("/") for name in names if name))


def source(spec: HostSpec) -> str:
    """Where the host pulls from."""
    return (spec.registry_proxy or spec.registry).rstrip("/")


def ls(host: Host) -> list[Row]:
    """The images that job-runner may use, by name; those without a name come last."""
    names = registries(host)
    found = _look(host, [*names, source(host.spec)], ())
    rows = [row for image in found.images for row in _rows(image, names)]
    return sorted(rows, key=lambda row: (not row.name, row.name))


def _rows(image: Image, names: Sequence[str]) -> list[Row]:
    digest = next((item.partition("@")[2] for item in image.digests), "")
    ours = [tag for tag in image.tags if tag.startswith(tuple(f"{name}/" for name in names))]
    facts = (image.short_id, image.created, image.size, images.short(digest), image.users)
    if ours or image.tags:
        return [Row(tag, *facts) for tag in ours or image.tags]
    note = "replaced, still in use" if image.users else "replaced"
    return [Row("", *facts, note=note)]


def _look(host: Host, prefixes: Sequence[str], sources: Sequence[str]) -> Images:
    command = images.look(prefixes, sources)
    return images.parse_look(host.name, host.service.output(command))


# -- updating ----------------------------------------------------------------------------------


def plan(host: Host, refs: Sequence[Ref], digest: str = "") -> Plan:
    """What an update would do; raises Refused when the registry has no such image.

    With `digest`, also when the registry has another one than that.
    """
    names = registries(host)
    place = source(host.spec)
    found = _look(host, [*names, place], [ref.under(place) for ref in refs])
    steps = []
    for ref in refs:
        offer = found.offers[ref.under(place)]
        if offer.error:
            raise Refused(
                f"{ref.under(place)}: {offer.error}; nothing was changed",
                host=host.name,
                hint="is the name right, and does the host reach the registry?",
            )
        if digest and offer.digest != digest:
            raise Refused(
                f"{place} has {images.short(offer.digest)} as {ref},"
                f" not {images.short(digest)}; nothing was changed",
                host=host.name,
            )
        step = _step(ref, found, names, place, offer.digest)
        steps += [step] if step else []
    return Plan(tuple(steps), found.free_bytes)


def _step(
    ref: Ref, found: Images, registry_names: Sequence[str], place: str, digest: str
) -> Step | None:
    """What happens to one image; None when every name has that content already."""
    names = [ref.under(registry) for registry in registry_names]
    if found.named(ref.under(place)):
        names.append(ref.under(place))  # an update by hand left it: it moves along
    repository = f"{place}/{ref.name}"
    have = [found.named(name) for name in dict.fromkeys(names)]
    wanted = f"{repository}@{digest}"
    if all(image is not None and wanted in image.digests for image in have):
        return None
    old = {image.id: image for image in have if image is not None}
    return Step(
        ref=ref,
        repository=repository,
        digest=digest,
        names=tuple(dict.fromkeys(names)),
        replaced=tuple(old),
        now=", ".join(image.short_id for image in old.values()),
        users=tuple(user for image in old.values() for user in image.users),
    )


def apply(host: Host, shown: Plan) -> Outcome:
    """Carry out the plan that was shown: all content first, then the names."""
    if not shown.changed:
        return Outcome(False)
    removed: list[str] = []
    args = {str(step.ref): step.digest for step in shown.steps}
    with change(host.service, "images.update", args):
        pulled = [_pull(host, step) for step in shown.steps]
        for step, image_id in zip(shown.steps, pulled, strict=True):
            host.step(f"{step.ref}: name it {', '.join(step.names)}")
            command = images.switch(
                step.repository, step.digest, image_id, step.names, step.replaced
            )
            try:
                removed += images.answer(host.name, host.service.output(command))["removed"]
            except Refused as error:
                raise VerifyFailed(error.message, host=host.name, hint="run it again") from error
    old = [item for step in shown.steps for item in step.replaced if item not in pulled]
    return Outcome(
        changed=True,
        updated=tuple(map(str, (step.ref for step in shown.steps))),
        removed=tuple(images.short(item) for item in old if item in removed),
        kept=tuple(images.short(item) for item in old if item not in removed),
    )


def _pull(host: Host, step: Step) -> str:
    """Fetch one image, telling how far it is; its id. Raises CommandFailed with docker's words."""
    progress = _Progress(host, step.ref)
    host.step(f"{step.ref}: pull {step.repository}@{images.short(step.digest)}")
    command = images.pull(step.repository, step.digest, EVERY_S)
    result = host.service.stream(command, progress.take)
    host.checkpoint(STOPPED)
    if progress.error or not progress.image_id:
        reason = progress.error or result.tail() or f"exit code {result.code}"
        raise CommandFailed(
            f"cannot pull {step.ref}: no name was moved",
            returned=result.code or 1,
            host=host.name,
            tail=reason,
            hint="run it again: layers that are there already are not fetched again",
        )
    return progress.image_id


class _Progress:
    """Reads what a pull tells, and hands it on as steps."""

    def __init__(self, host: Host, ref: Ref) -> None:
        self.host, self.ref = host, ref
        self.error = self.image_id = ""
        self._rest = b""
        self._told = ""

    def take(self, data: bytes) -> None:
        """Some of the output: whole lines and perhaps the beginning of one.

        Raises Interrupted after Ctrl-C: a pull may take hours, and what arrived stays.
        """
        self.host.checkpoint(STOPPED)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                found = json.loads(line)
            except ValueError:
                raise OpsError(
                    "the host's answer makes no sense",
                    host=self.host.name,
                    tail=line[:200].decode("utf-8", "replace"),
                ) from None
            self.error = found.get("error", self.error)
            self.image_id = found.get("id", self.image_id)
            if "layers" in found:
                self._tell(found)

    def _tell(self, found: dict[str, int]) -> None:
        text = f"{self.ref}: {found['done']} of {found['layers']} layers"
        if found["total"]:
            text += f", {megabytes(found['current'])} of {megabytes(found['total'])}"
        if text != self._told:
            self._told = text
            self.host.step(text)


def megabytes(count: int) -> str:
    """A size for people, as docker counts it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
