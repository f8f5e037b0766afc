"""The result of `pip install opstasks`: the wheel in an environment without extras."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: building leaves files beside its sources."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "opstasks", source / "opstasks", ignore=ignored)
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    pip("wheel", *options, "--wheel-dir", str(target), str(source))
    (path,) = target.glob("*.whl")
    return path


def pip(*argv):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *argv]
    subprocess.run(command, check=True, env=without_our_path())


def without_our_path(**more):
    """The environment without this checkout in the module path."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | more


def needed(name):
    """The installed distributions that one depends on, extras left out."""
    found, todo = {}, [name]
    while todo:
        for text in importlib.metadata.requires(todo.pop()) or ():
            wanted = Requirement(text)
            key = canonicalize_name(wanted.name)
            if key not in found and (not wanted.marker or wanted.marker.evaluate({"extra": ""})):
                found[key] = importlib.metadata.distribution(wanted.name)
                todo.append(wanted.name)
    return found


@pytest.fixture(scope="module")
def opstasks(wheel, tmp_path_factory):
    """The installed program; its dependencies are links to those of this environment."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/*/site-packages")
    pip("--python", str(folder / "bin/python"), "install", "-q", "--no-deps", "--no-index", wheel)
    for found in needed("opstasks").values():
        for top in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            (site / top).symlink_to(found.locate_file(top))
    inventory = folder / "hosts.yaml"
    inventory.write_text("hosts:\n  tpp: {address: 127.0.0.1, port: 1, backend: tpp}\n")

    def run(*argv, **env):
        return subprocess.run(
            [folder / "bin/opstasks", *argv],
            cwd=folder,
            env=without_our_path(OPSTASKS_HOSTS=str(inventory), **env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_wheel_is_one_package_with_all_files_of_the_repository(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"opstasks"}
    folder = ROOT / "opstasks"
    files = (path for path in folder.rglob("*") if path.is_file())
    assert names == {
        path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts
    }


def test_an_operators_list_of_tasks_has_no_sandbox(opstasks, tmp_path):
    done = opstasks("--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "deploy.pending" in done.stdout
    assert "sandbox" not in done.stdout
    # A folder of this name is not the Docker SDK.
    (tmp_path / "docker").mkdir()
    assert opstasks("--list", PYTHONPATH=str(tmp_path)).stdout == done.stdout


def test_a_developers_list_of_tasks_has_the_sandbox():
    from opstasks.namespace import namespace

    assert "sandbox.up" in namespace.task_names


def test_the_installed_program_reports_its_version(opstasks, wheel):
    assert opstasks("--version").stdout.split()[-1] == wheel.name.split("-")[1]


def test_the_installed_program_has_its_descriptions(opstasks):
    refused = opstasks("-H", "tpp", "manage", "--plan")
    assert refused.returncode == 2
    assert "site-packages/opstasks/backends/tpp/host.yaml" in refused.stderr
    # They are read without mistakes, so a connection is tried.
    done = opstasks("-H", "tpp", "manage", "--plan", "--allow-lockout")
    assert done.returncode == 3, done.stderr
