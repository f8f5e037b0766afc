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
            env=without_our_path(**{"OPSTASKS_HOSTS": str(inventory), **env}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_wheel_has_all_files_of_the_package_but_no_backend_of_ours(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"opstasks"}
    files = (path for path in (ROOT / "opstasks").rglob("*") if path.is_file())
    known = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    ours = {f"opstasks/backends/{name}/" for name in ("tpp", "emis", "test", "keys")}
    assert names == {name for name in known if not name.startswith(tuple(ours))}


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


def test_the_installed_program_applies_only_descriptions_that_are_named(opstasks, tmp_path):
    refused = opstasks("-H", "tpp", "manage", "--plan", "--allow-lockout")
    assert refused.returncode == 2
    assert "no description for backend 'tpp' in" in refused.stderr
    assert "set `backends` in hosts.yaml to your folder" in refused.stderr

    shutil.copytree(ROOT / "opstasks/backends/tpp", tmp_path / "tpp")
    named = {"OPSTASKS_HOSTS": str(tmp_path / "hosts.yaml")}
    text = f"hosts:\n  tpp: {{address: 127.0.0.1, port: 1, backend: tpp, backends: {tmp_path}}}\n"
    (tmp_path / "hosts.yaml").write_text(text)
    refused = opstasks("-H", "tpp", "manage", "--plan", **named)
    assert refused.returncode == 2
    assert f"{tmp_path}/tpp/host.yaml" in refused.stderr
    # They are read without mistakes, so a connection is tried.
    done = opstasks("-H", "tpp", "manage", "--plan", "--allow-lockout", **named)
    assert done.returncode == 3, done.stderr
    (origin,) = [line for line in done.stderr.splitlines() if line.startswith("descriptions: ")]
    assert origin.startswith(f"descriptions: {tmp_path} (tpp), base: ")
    assert origin.endswith("site-packages/opstasks/backends/base")


def test_the_installed_program_shows_the_configuration_without_a_description(opstasks):
    done = opstasks("-H", "tpp", "config.show")
    assert done.returncode == 3, "a connection is tried"
