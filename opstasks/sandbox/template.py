"""The volume with the job images for the nested Docker of every host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from docker.errors import ContainerError
from docker.models.containers import Container

from opstasks.sandbox import containers, recipe
from opstasks.sandbox.engine import Report, client
from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.execute import execute
from opstasks.sandbox.shell import last_line

# The last file of a template; without it, the template is incomplete.
COMPLETE = ".sandbox-complete"


def template_exists() -> bool:
    """Whether the volume exists; copying from it checks whether it is complete."""
    return containers.find_or_none(client().volumes.get, recipe.template_name()) is not None


def build_template(report: Report) -> None:
    """Start a host on an empty volume, make the nested images there, stop it properly."""
    report("making the images that jobs run in")
    volume = recipe.template_name()
    client().volumes.create(volume, labels={recipe.CACHE: "1"})
    try:
        with building_machine(volume) as container:
            fill_template(str(container.id))
    except BaseException:
        containers.discard_volume(volume)
        raise


@contextmanager
def building_machine(volume: str) -> Iterator[Container]:
    """A running host without a network, removed at the end."""
    container = containers.create_machine(
        recipe.host_tag(), volume, labels={recipe.BUILD: "1"}, network_mode="none"
    )
    try:
        container.start()
        yield container
    finally:
        containers.discard_container(str(container.id))


def fill_template(container: str) -> None:
    """Build the images inside, then stop the nested Docker so that its files do not change."""
    deadline = time.monotonic() + 60
    while execute(container, ["docker", "version"]).returncode != 0:
        if time.monotonic() > deadline:
            raise SandboxError("Docker does not start inside a host", "does this kernel allow it?")
        time.sleep(0.3)
    for command in (
        ["sandbox-nested-images"],
        ["systemctl", "stop", "docker.socket", "docker", "containerd"],
        ["touch", f"{containers.NESTED}/{COMPLETE}"],
    ):
        done = execute(container, command, timeout_s=600)
        if done.returncode != 0:
            raise SandboxError(f"{command[0]}: exit {done.returncode}: {last_line(done)}")


def fill_volume(volume: str) -> None:
    """Copy the template into a host's own volume."""
    script = f"[ -e /from/{COMPLETE} ] && cp -a /from/. /to/"
    try:
        client().containers.run(
            recipe.host_tag(),
            ["sh", "-c", script],
            cap_add=["ALL"],
            cap_drop=["SYS_RESOURCE"],
            labels={recipe.BUILD: "1"},
            network_mode="none",
            remove=True,
            volumes=[f"{recipe.template_name()}:/from:ro", f"{volume}:/to"],
        )
    except ContainerError as error:
        stderr = error.stderr if isinstance(error.stderr, bytes) else b""
        said = stderr.decode(errors="replace").strip()
        raise SandboxError(
            f"cannot copy the nested images: {said or 'the template is not complete'}",
            "inv sandbox.down --images; then inv sandbox.up",
        ) from error
