"""Build the host image: Debian with systemd, sshd and Docker, and job-runner's repositories."""

from __future__ import annotations

import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from opstasks.sandbox import containers, recipe, releases
from opstasks.sandbox.engine import Report, client
from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.shell import as_root, run


def image_exists(tag: str) -> bool:
    """Whether the engine has an image under this tag."""
    return containers.find_or_none(client().images.get, tag) is not None


def build_host(report: Report) -> None:
    """Build Debian and, at the same time, the repositories; then combine them."""
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor() as pool:
        repositories = pool.submit(releases.build, Path(work))
        if not image_exists(recipe.base_tag()):
            build_base(report)
        repositories.result()
        report("building the host image")
        finish(Path(work))


def build_base(report: Report) -> None:
    """Unpack Debian into a directory and import it as an image of one layer."""
    report(f"unpacking Debian {recipe.SUITE} from {recipe.mirror()}: about a minute, once")
    # /tmp may forbid device files, which Debian has.
    root = Path(tempfile.mkdtemp(prefix="opstasks-sandbox-", dir="/var/tmp"))
    include = f"--include={','.join(recipe.PACKAGES)}"
    try:
        options = ["--variant=minbase", "--merged-usr", include]
        run(as_root(["debootstrap", *options, recipe.SUITE, str(root), recipe.mirror()]))
        script = (recipe.FILES / "package-archive.sh").read_bytes()
        run(as_root(["chroot", str(root), "sh", "-s", *recipe.ARCHIVE]), stdin=script)
        import_tree(root, recipe.base_tag())
    finally:
        run(as_root(["rm", "-rf", "--one-file-system", str(root)]))


def import_tree(root: Path, tag: str) -> None:
    """Make an image of a directory, which perhaps only root can read.

    The image gets its tag when it is complete.
    """
    command = as_root(["tar", "--numeric-owner", "--xattrs", "-C", str(root), "-c", "."])
    with subprocess.Popen(command, stdout=subprocess.PIPE) as packing:
        answer = client().api.import_image_from_stream(
            packing.stdout, changes=[f"LABEL {recipe.CACHE_LABEL}"]
        )
    image = client().images.get(imported_id(answer))
    if packing.returncode != 0:
        client().images.remove(str(image.id))
        raise SandboxError(f"tar: exit {packing.returncode}: {root} was not packed completely")
    image.tag(tag)


def imported_id(answer: str) -> str:
    """The id of an imported image, from the engine's answer (one JSON document per line)."""
    lines = [json.loads(line) for line in answer.splitlines() if line.strip()]
    last = lines[-1] if lines else {}
    if "error" in last or not last.get("status"):
        raise SandboxError(f"Docker: cannot import an image: {last.get('error', 'no answer')}")
    return str(last["status"])


def finish(repositories: Path) -> None:
    """Run the finishing script in a container of the plain image and keep the result."""
    container = client().containers.create(
        recipe.base_tag(),
        ["sh", "/sandbox/finish-image.sh"],
        labels={recipe.BUILD: "1"},
        network_mode="none",
    )
    try:
        image_files(repositories).unpack_in(container)
        container.start()
        code = container.wait()["StatusCode"]
        if code != 0:
            said = container.logs().decode(errors="replace").strip().splitlines()
            raise SandboxError(f"finish-image.sh: exit {code}: {(said or ['no message'])[-1]}")
        name, _, version = recipe.host_tag().partition(":")
        container.commit(name, version, changes='CMD ["/usr/local/sbin/sandbox-init"]')
    finally:
        containers.discard_container(str(container.id))


def image_files(repositories: Path) -> containers.ContainerFiles:
    """The files that the finishing script needs, all under /sandbox."""
    files = containers.ContainerFiles()
    for name in ("init", "finish-image.sh", "gitconfig", "nested-images.sh"):
        files.tar.add(recipe.FILES / name, f"sandbox/{name}")
    for repository in repositories.glob("*.git"):
        files.tar.add(repository, f"sandbox/git/{repository.name}")
    return files
