"""The parts of the sandbox that need no host: names, files, edits of job-runner's source."""

import pytest
import yaml

from opstasks.sandbox import instance, inventory, machines, recipe, releases, shell
from opstasks.sandbox.errors import SandboxError
from opstasks.sandbox.machines import SandboxHost

KEY = "ssh-ed25519 AAAA"


@pytest.mark.parametrize(
    ("vendored", "plain"),
    [
        ("from opensafely._vendor import requests\n", "import requests\n"),
        ("from opensafely._vendor import ruyaml as yaml\n", "import ruyaml as yaml\n"),
        ("from opensafely._vendor.jobrunner import config\n", "from jobrunner import config\n"),
        ("import opensafely._vendor.jobrunner.models\n", "import jobrunner.models\n"),
        ('"opensafely._vendor.jobrunner.x:Y"', '"jobrunner.x:Y"'),
        ("from pathlib import Path\n", "from pathlib import Path\n"),
    ],
)
def test_imports_of_vendored_packages_become_plain(vendored, plain):
    assert releases.unprefixed(vendored) == plain


def test_pins_come_from_what_a_release_vendors(tmp_path):
    names = ("requests-2.25.0", "opensafely_jobrunner-2.71.0", "opensafely_pipeline-2023.11.6")
    for name in names:
        (tmp_path / f"{name}.dist-info").mkdir()
    assert releases.pins(tmp_path) == ["requests==2.25.0"]


def test_an_edit_without_its_place_in_the_source_is_an_error(tmp_path):
    (tmp_path / "run.py").write_text("nothing of the kind\n")
    with pytest.raises(SandboxError, match=r"run\.py is unexpected"):
        releases.break_running(tmp_path)


@pytest.mark.parametrize(
    ("release", "lib"),
    [("v2.71.0", "v2.71.0"), ("broken-crash", "v2.73.0"), ("diverged", "v2.71.0")],
)
def test_each_release_has_its_dependencies(release, lib):
    assert releases.lib_for(release) == lib


def test_each_state_directory_is_an_instance(tmp_path, monkeypatch):
    monkeypatch.setenv("OPSTASKS_SANDBOX_DIR", str(tmp_path / "a"))
    first = instance.current()
    monkeypatch.setenv("OPSTASKS_SANDBOX_DIR", str(tmp_path / "b" / ".." / "a"))
    assert instance.current().id == first.id
    monkeypatch.setenv("OPSTASKS_SANDBOX_DIR", str(tmp_path / "b"))
    assert instance.current().id != first.id


def test_the_state_directory_is_in_the_project_by_default(monkeypatch):
    monkeypatch.delenv("OPSTASKS_SANDBOX_DIR", raising=False)
    assert instance.current().directory == instance.project_root() / ".sandbox"


def test_clear_leaves_what_is_not_ours(tmp_path):
    mine = instance.SandboxInstance(tmp_path / "state")
    instance.prepare(mine)
    (mine.directory / "notes").write_text("keep")
    instance.clear(mine)
    assert [path.name for path in mine.directory.iterdir()] == ["notes"]


def test_secrets_are_readable_by_the_owner_only(tmp_path):
    mine = instance.SandboxInstance(tmp_path / "state")
    instance.prepare(mine)
    for path in (mine.identity, mine.directory / "sudo-password"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert mine.directory.stat().st_mode & 0o777 == 0o700


def test_prepare_keeps_keys_that_exist(tmp_path):
    mine = instance.SandboxInstance(tmp_path / "state")
    instance.prepare(mine)
    before = mine.identity.read_text()
    instance.prepare(mine)
    assert mine.identity.read_text() == before


def test_a_fragment_is_a_group_with_its_hosts(tmp_path):
    host = SandboxHost("sandbox-1", "c", "172.18.0.11", host_key=KEY)
    text = inventory.fragment("sandbox", [host], tmp_path / "id", backend="sandbox")
    assert yaml.safe_load(text) == {
        "groups": {"sandbox": {"hosts": ["sandbox-1"]}},
        "hosts": {
            "sandbox-1": {
                "address": "172.18.0.11",
                "port": 22,
                "user": "ops",
                "backend": "sandbox",
                "backends": str(inventory.BACKENDS),
                "identity_file": str(tmp_path / "id"),
                "host_keys": [KEY],
                "sudo": "nopasswd",
                "tools_run_args": yaml.safe_load(inventory.TOOLS),
            }
        },
    }


def test_known_hosts_leave_the_standard_port_out():
    usual = SandboxHost("a", "c", "172.18.0.11", host_key=KEY)
    other = SandboxHost("b", "c", "127.0.2.1", port=4000, host_key=KEY)
    text = inventory.known_hosts([usual, other])
    assert text == f"172.18.0.11 {KEY}\n[127.0.2.1]:4000 {KEY}\n"


@pytest.mark.parametrize("count", [0, -1, 201])
def test_a_count_out_of_range_is_refused(count):
    with pytest.raises(SandboxError, match="not between 1 and 200"):
        machines.names(count)


def test_a_changed_recipe_has_another_name():
    assert recipe.digest("ab", "c") != recipe.digest("a", "bc")
    assert recipe.host_tag() == recipe.host_tag()


def test_a_failure_shows_the_programs_last_line():
    with pytest.raises(SandboxError, match=r"sh -c .*: exit 3: the reason"):
        shell.run(["sh", "-c", "echo first >&2; echo the reason >&2; exit 3"])


def test_a_missing_program_is_named_with_its_hint():
    with pytest.raises(SandboxError, match=r"no-such-program is not installed \(apt-get"):
        shell.run(["no-such-program"])


def test_a_program_without_input_gets_none():
    assert shell.run(["cat"]) == ""
