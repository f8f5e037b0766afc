"""The real job-runner, its dependencies and a study, as git repositories.

PyPI's `opensafely` package contains all of job-runner. Unpacked, and without the prefix of its
vendored imports, it is a working checkout. So a deploy in the sandbox is a real fetch, checkout and
migration. Three releases are broken on purpose, each in a different way.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.shell import attempt, last_line, run

FILES = Path(__file__).resolve().parent / "files"
PREFIX = "opensafely._vendor"
IGNORED = "__pycache__/\n*.pyc\n"
OLD, NEW = "v2.71.0", "v2.73.0"
WHEELS = {OLD: "1.40.1", NEW: "1.44.1"}
CODE, LIB, STUDY = "job-runner", "job-runner-dependencies", "sandbox-study"
# These two are vendored but cannot be installed as dependencies: job-runner itself, and `pipeline`,
# which is not on PyPI.
NOT_ON_PYPI = ("opensafely_jobrunner", "opensafely_pipeline")

# The commits from the old release to the new one: the message, and the files that change.
STEPS = (
    ("Record level 4 exclusions and database needs", ("models.py", "lib/database.py")),
    ("Log job status with its request", ("lib/log_utils.py", "tracing.py")),
    ("Sample container memory with less noise", ("lib/docker_stats.py", "record_stats.py")),
    ("Leave large and unexpected files out of level 4", ("executors", "job_executor.py")),
    ("Refuse database jobs with stale codelists", ("",)),
)


@dataclass(frozen=True)
class BrokenRelease:
    """A release made from another by one edit."""

    tag: str
    parent: str
    message: str
    edit: Callable[[Path], None]


def build(target: Path) -> None:
    """Make the three bare repositories in a directory."""
    work = target / "work"
    trees = {tag: unpack(version, work / tag) for tag, version in WHEELS.items()}
    build_code(target, {tag: tree / "jobrunner" for tag, tree in trees.items()})
    build_lib(target, trees)
    build_study(target)
    shutil.rmtree(work)


def unpack(version: str, where: Path) -> Path:
    """Fetch one `opensafely` wheel and return its vendored packages, prefix removed."""
    where.mkdir(parents=True)
    wanted = f"opensafely=={version}"
    pip("download", "--no-deps", "--only-binary=:all:", "--dest", str(where), wanted)
    with zipfile.ZipFile(next(where.glob("*.whl"))) as wheel:
        wheel.extractall(where)
    vendored = where / "opensafely" / "_vendor"
    for package in ("jobrunner", "pipeline"):
        for source in (vendored / package).rglob("*.py"):
            source.write_text(unprefixed(source.read_text()))
    return vendored


def unprefixed(source: str) -> str:
    """Python source, with plain imports instead of imports of vendored packages."""
    plain = re.sub(rf"\bfrom {re.escape(PREFIX)} import ", "import ", source)
    return plain.replace(f"{PREFIX}.", "")


def pip(*argv: str) -> None:
    """Run pip: this interpreter's own, else the first that answers."""
    for command in ([sys.executable, "-m", "pip"], ["python3", "-m", "pip"], ["pip3"]):
        if attempt([*command, "--version"]).returncode == 0:
            break
    else:
        raise SandboxError("pip is not installed", "apt-get install python3-pip")
    done = attempt([*command, *argv])
    if done.returncode != 0:
        raise SandboxError(f"pip {argv[0]} failed: {last_line(done)}", "PyPI must be reachable")


class GitRepository:
    """A work tree; its commits have fixed authors and dates, so that their ids never change."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.commits = 0
        tree.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *argv: str) -> str:
        """Run git here, without the configuration of the machine or the user."""
        # Each commit is one minute later; the first is in January 2024, like the playbook.
        when = f"{1704880800 + 60 * self.commits} +0000"
        env = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{who}_NAME": "Sandbox", f"GIT_{who}_EMAIL": "sandbox@example.org"}
            env[f"GIT_{who}_DATE"] = when
        return run(["git", "-C", str(self.tree), *argv], env=env)

    def commit(self, message: str, tag: str = "") -> None:
        """Commit the present tree, unless nothing changed."""
        self.git("add", "--all")
        if not self.git("status", "--porcelain"):
            return
        self.commits += 1
        self.git("commit", "--quiet", "--message", message)
        if tag:
            self.git("tag", tag)

    def publish(self, bare: Path, main: str = "main") -> None:
        """A bare copy for hosts to fetch from, `main` at the given tag."""
        self.git("checkout", "--quiet", "--detach")
        self.git("branch", "--force", "main", main)
        run(["git", "clone", "--quiet", "--bare", str(self.tree), str(bare)])
        run(["git", "-C", str(bare), "symbolic-ref", "HEAD", "refs/heads/main"])
        run(["git", "-C", str(bare), "remote", "remove", "origin"])


def build_code(target: Path, trees: dict[str, Path]) -> None:
    """job-runner: the old release, the steps to the new one, and the other branches."""
    repository = GitRepository(target / "work" / CODE)
    package = repository.tree / "jobrunner"
    (repository.tree / ".gitignore").write_text(IGNORED)
    (repository.tree / "README.md").write_text("# job-runner\n")
    shutil.copytree(trees[OLD], package)
    repository.commit("Run jobs on backends", OLD)
    for message, prefixes in STEPS:
        for prefix in prefixes:
            bring(trees[NEW] / prefix, package / prefix)
        repository.commit(message)
    repository.git("tag", NEW)
    for broken in BROKEN:
        repository.git("checkout", "--quiet", "--detach", broken.parent)
        broken.edit(package)
        repository.commit(broken.message, broken.tag)
    repository.publish(target / f"{CODE}.git", OLD)


def bring(source: Path, target: Path) -> None:
    """Make a file or directory identical to another; this includes removals."""
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy(source, target)


def build_lib(target: Path, trees: dict[str, Path]) -> None:
    """job-runner-dependencies: installed packages at the top, one commit per release."""
    repository = GitRepository(target / "work" / LIB)
    (repository.tree / ".gitignore").write_text(IGNORED)
    wheels = target / "work" / "lib"
    pinned: list[str] = []
    for tag, tree in trees.items():
        if pins(tree) != pinned:
            pinned = pins(tree)
            install(pinned, wheels)
        replace_contents(repository.tree, [wheels])
        bring(tree / "pipeline", repository.tree / "pipeline")
        info = next(tree.glob("opensafely_pipeline-*.dist-info"))
        bring(info, repository.tree / info.name)
        repository.commit(f"Dependencies of {tag}", tag)
    repository.publish(target / f"{LIB}.git", OLD)


def pins(tree: Path) -> list[str]:
    """The dependencies that a release vendors, as requirements."""
    found = (info.name.removesuffix(".dist-info") for info in tree.glob("*.dist-info"))
    names = (name.rsplit("-", 1) for name in found)
    return sorted(f"{name}=={version}" for name, version in names if name not in NOT_ON_PYPI)


def install(requirements: Iterable[str], target: Path) -> None:
    """Unpack wheels for the hosts' Python (3.11), whichever Python runs here."""
    if target.exists():
        shutil.rmtree(target)
    pip(
        *("install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"),
        *("--python-version", "3.11", "--implementation", "cp"),
        *("--platform", f"manylinux2014_{platform.machine()}", "--target", str(target)),
        *requirements,
    )
    shutil.rmtree(target / "bin", ignore_errors=True)


def replace_contents(tree: Path, sources: Iterable[Path]) -> None:
    """Empty a work tree, except git's own files, and fill it again."""
    for entry in tree.iterdir():
        if entry.name not in (".git", ".gitignore"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for source in sources:
        shutil.copytree(source, tree, dirs_exist_ok=True)


def build_study(target: Path) -> None:
    """The study with the actions that `sandbox.submit` runs."""
    repository = GitRepository(target / "work" / STUDY)
    shutil.copytree(FILES / "study", repository.tree, dirs_exist_ok=True)
    repository.commit("Actions for the sandbox")
    repository.publish(target / f"{STUDY}.git")


def edit(path: Path, anchor: str, text: str) -> None:
    """Replace an anchor, which must occur exactly once, with text."""
    source = path.read_text()
    if source.count(anchor) != 1:
        raise SandboxError(f"{path.name} is unexpected: {anchor!r} is not in it once")
    path.write_text(source.replace(anchor, text))


def break_import(package: Path) -> None:
    """The service fails at its start; migrations, which import less, still succeed."""
    anchor = "log = logging.getLogger(__name__)\ntracer"
    edit(package / "run.py", anchor, f"from jobrunner.lib import backpressure\n\n\n{anchor}")


def break_migration(package: Path) -> None:
    """Migration 4 succeeds and stays; 5 fails at its second statement and is rolled back alone.

    job-runner applies each migration in its own transaction, so this leaves the database at version
    4: too new for the old release, too old for this one.
    """
    first = 'migration(\n        4,\n        "ALTER TABLE job ADD COLUMN priority INT",\n    )'
    second = (
        'migration(\n        5,\n        """\n'
        "        ALTER TABLE job ADD COLUMN queue TEXT;\n"
        "        UPDATE job SET queue = backlog.name;\n"
        '        """,\n    )'
    )
    anchor = "    id: str = None  # noqa: A003\n    job_request_id: str = None\n    state: "
    edit(package / "models.py", anchor, f"    {first}\n\n    {second}\n\n{anchor}")


def break_running(package: Path) -> None:
    """The service starts, logs that, and ends five seconds later with a traceback."""
    edit(
        package / "run.py",
        "    api = get_executor_api()\n\n    while True:\n",
        "    api = get_executor_api()\n    started = time.monotonic()\n\n    while True:\n"
        "        if time.monotonic() - started > 5:\n"
        '            raise RuntimeError("the job queue is in an impossible state")\n\n',
    )


def diverge(package: Path) -> None:
    """A fix on the old release that is not in the new one."""
    edit(
        package / "run.py",
        'log.info("jobrunner.run loop started")',
        'log.info("jobrunner.run loop started (hotfix)")',
    )


BROKEN = (
    BrokenRelease("broken-import", NEW, "Apply back pressure", break_import),
    BrokenRelease("broken-migration", NEW, "Add job queues", break_migration),
    BrokenRelease("broken-crash", NEW, "Check the queue's state", break_running),
    BrokenRelease("diverged", OLD, "Mark the hotfix in the log", diverge),
)
RELEASES = (OLD, NEW, *(broken.tag for broken in BROKEN))


def lib_for(release: str) -> str:
    """The tag of the dependencies that a release of the code needs."""
    parents = {broken.tag: broken.parent for broken in BROKEN}
    return parents.get(release, release)
