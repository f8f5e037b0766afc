"""Importing and reading a release's code: real git repositories, a small job-runner."""

import os

import pytest

from opstasks.deploy.onhost import code, code_import, confined, inspect
from opstasks.deploy.onhost.checkout_facts import checkout_facts
from tests.deploy.checkout_help import LOG, import_count, small_backend, write_package
from tests.deploy.deploy_help import git

NEW = {
    "import_error": "",
    "migrations": {1: "CREATE TABLE job", 2: "ALTER TABLE job", 3: "DROP TABLE job"},
    "missing_keys": ["NEW"],
    "is_confined": True,
    "not_inspected": "",
}


@pytest.fixture
def backend(tmp_path, monkeypatch):
    folder, run = small_backend(tmp_path / "backend"), confined.run

    def counted(*args, **options):
        (folder / "config" / LOG).open("a").write("x")
        return run(*args, **options)

    monkeypatch.setattr(confined, "run", counted)
    return folder


def checkouts(backend, code_ref="v1", lib_ref="v1"):
    refs = (("code", code_ref), ("lib", lib_ref))
    return [checkout_facts(str(backend / name), ref, fetches=False) for name, ref in refs]


def found(backend, *refs, preview=False, fetches=True):
    request = {
        "fetches": fetches,
        "config_dir": str(backend / "config"),
        "state_dir": str(backend / "state"),
        "preview": preview,
    }
    return code.code_facts(request, *checkouts(backend, *refs))


# -- the import ------------------------------------------------------------------------------


def test_an_import_reports_the_migrations(tmp_path):
    write_package(tmp_path)
    facts = code_import.try_import(str(tmp_path), str(tmp_path), {})
    assert facts["import_error"] == ""
    assert facts["migrations"] == {1: "CREATE TABLE job", 2: "ALTER TABLE job"}
    assert inspect.pending(facts["migrations"], 1) == [{"version": 2, "sql": "ALTER TABLE job"}]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("import no_such_thing", "no_such_thing"),
        ("raise SystemExit(0)", "did not report its migrations"),
        ("print('{}'); raise SystemExit(0)", "did not report its migrations"),
        ("print('[1, 2]'); raise SystemExit(0)", "did not report its migrations"),
    ],
)
def test_code_that_cannot_be_imported_says_why(tmp_path, text, word):
    write_package(tmp_path)
    (tmp_path / "jobrunner" / "service.py").write_text(text)
    facts = code_import.try_import(str(tmp_path), str(tmp_path), {})
    assert word in facts["import_error"]
    assert facts["migrations"] == {}


def test_a_rollback_is_not_stopped_by_what_only_a_confined_import_lacks(backend):
    (backend / "token").write_text("opensesame")
    env = f"JOB_SERVER_TOKEN=opensesame\nTOKEN_FILES={backend}\n"
    (backend / "config" / "load-env").open("a").write(env)
    text = "import os, pathlib\nfolder = pathlib.Path(os.environ['TOKEN_FILES'])\n"
    text += "assert (folder / 'token').read_text() == os.environ['JOB_SERVER_TOKEN']\n"
    (backend / "code/jobrunner/service.py").write_text(text)
    git("commit", "--quiet", "--all", "--message=reads a file", cwd=backend / "code")
    git("update-ref", "refs/opstasks/tags/v9", "HEAD", cwd=backend / "code")
    git("checkout", "--quiet", "v1", cwd=backend / "code")
    assert found(backend, "v9")["import_error"]
    assert found(backend, "v9", fetches=False)["import_error"] == ""


def test_a_checkout_without_the_package_cannot_be_imported(tmp_path):
    facts = code.imported(str(tmp_path), str(tmp_path), {}, with_keys=True)
    assert facts["import_error"] == "there is no jobrunner package"


def test_the_import_does_not_see_what_differs_between_connections(tmp_path):
    write_package(tmp_path)
    (tmp_path / "jobrunner" / "service.py").write_text("import os; os.environ['SUDO_COMMAND']")
    env = code_import.harmless({"SUDO_COMMAND": "bash", "PATH": os.environ["PATH"]}, "/none")
    facts = code_import.try_import(str(tmp_path), str(tmp_path), env)
    assert "SUDO_COMMAND" in facts["import_error"]


# -- configuration keys ----------------------------------------------------------------------


def test_unset_keys_that_only_the_new_code_reads_are_missing(backend):
    assert found(backend, "v2") == NEW
    (backend / "config" / "load-env").open("a").write("NEW=1\n")
    assert found(backend, "v2")["missing_keys"] == []


def test_a_file_that_is_not_python_has_no_keys(tmp_path):
    write_package(tmp_path, "import os\nos.environ['A']\nos.getenv('B')\n")
    (tmp_path / "jobrunner" / "broken.py").write_text("def")
    assert code.keys_of(str(tmp_path)) == {"A", "B"}


def test_hostile_files_have_no_keys(tmp_path):
    write_package(tmp_path, "import os\nos.environ['A']\n")
    folder = tmp_path / "jobrunner"
    (tmp_path / "secret").write_text("import os\nos.environ['B']\n")
    (folder / "link.py").symlink_to(tmp_path / "secret")
    (folder / "endless.py").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.py")
    (folder / "deep.py").write_text("x = " + "-" * 50_000 + "1")
    (folder / "calls.py").write_text("f" + "()" * 5000)
    assert code.keys_of(str(tmp_path)) == {"A"}


# -- folders ---------------------------------------------------------------------------------


def test_targets_are_unpacked_and_removed_again(backend, tmp_path):
    moving = checkouts(backend, "v2", "v2")
    with code.unpacked(str(tmp_path / "state"), moving) as folders:
        names = [sorted(os.listdir(folder)) for folder in folders]
        assert names == [[".gitignore", "jobrunner"]] * 2
    assert list((tmp_path / "state").iterdir()) == []


def test_only_a_checkout_that_moves_is_unpacked(backend, tmp_path):
    with code.unpacked(str(tmp_path / "state"), checkouts(backend, "v2")) as (new, lib):
        assert lib == str(backend / "lib")
        assert new.startswith(str(tmp_path / "state"))
    with code.unpacked(str(tmp_path / "none"), checkouts(backend)) as folders:
        assert folders == [str(backend / "code"), str(backend / "lib")]
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["jobrunner/service.py", "jobrunner/new.py"])
def test_a_checkout_changed_by_hand_is_judged_by_its_commit(backend, name):
    (backend / "code" / name).write_text("raise RuntimeError")
    (backend / "code" / "jobrunner/models.py").write_text("raise RuntimeError")
    assert found(backend)["import_error"] == ""


def test_without_a_target_nothing_is_imported_and_the_migrations_are_not_known(backend):
    facts = found(backend, "v2", "v9")
    assert (facts["migrations"], facts["not_inspected"]) == ({}, "no commit was found")
    assert import_count(backend) == 0


def test_a_release_is_not_blamed_for_a_configuration_of_root(backend, monkeypatch):
    closed = str(backend / "config" / "load-env")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != closed)
    facts = found(backend, "v2")
    assert (facts["not_inspected"], facts["import_error"]) == (f"{closed} cannot be read", "")
    assert import_count(backend) == 0


def full(_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("fault", ["full", "not writable", "full while it is unpacked"])
def test_a_release_that_cannot_be_unpacked_is_not_judged_by_another(backend, monkeypatch, fault):
    with monkeypatch.context() as patched:
        if fault == "full":
            patched.setattr(code, "staging", full)
        elif fault == "not writable":
            (backend / "state").write_text("a file in place of the folder")
        else:
            text = "head -c 9 >/dev/null; echo 'tar: a: No space left on device' >&2; exit 2"
            (backend / "tar").write_text(f"#!/bin/sh\n{text}\n")
            (backend / "tar").chmod(0o755)
            patched.setenv("PATH", str(backend), prepend=":")
        facts = found(backend, "v2", preview=True)
    assert (facts["migrations"], facts["import_error"]) == ({}, "")
    why = "File exists" if fault == "not writable" else "No space left on device"
    assert facts["not_inspected"].startswith(f"cannot unpack it in {backend}/state: ")
    assert facts["not_inspected"].endswith(why)
    if fault != "not writable":
        assert found(backend, "v2", preview=True) == NEW


# -- what is imported again ------------------------------------------------------------------


def test_a_host_with_nothing_to_do_imports_its_code_once(backend):
    first = found(backend)
    assert first["migrations"] == {1: "CREATE TABLE job", 2: "ALTER TABLE job"}
    assert [found(backend), found(backend)] == [first, first]
    assert import_count(backend) == 1


def test_a_deploy_imports_what_it_brings_each_time_and_a_preview_once(backend):
    facts = [found(backend, "v2", preview=True) for _ in range(3)]
    assert import_count(backend) == 1
    facts += [found(backend, "v2"), found(backend, "v2")]
    assert import_count(backend) == 3
    assert facts == [NEW] * 5


def test_after_a_deploy_its_code_is_known(backend):
    found(backend, "v2", "v2")
    for name in ("code", "lib"):
        git("checkout", "-q", "v2", cwd=backend / name)
    assert found(backend, "v2", "v2") == {**NEW, "missing_keys": []}
    assert import_count(backend) == 1


def test_keys_that_an_import_did_not_need_are_read_when_they_are_needed(backend):
    git("checkout", "-q", "v2", cwd=backend / "code")
    found(backend, "v2")
    git("checkout", "-q", "v1", cwd=backend / "code")
    assert found(backend, "v2", preview=True) == NEW
    assert import_count(backend) == 2


@pytest.mark.parametrize("what", ["environment", "commit", "edit", "target"])
def test_code_is_imported_again_when_its_inputs_changed(backend, what):
    found(backend)
    if what == "environment":
        (backend / "config" / "load-env").open("a").write("OTHER=1\n")
    elif what == "commit":
        git("commit", "-q", "--allow-empty", "-m", "ours", cwd=backend / "lib")
        git("update-ref", "refs/opstasks/tags/v1", "HEAD", cwd=backend / "lib")
    elif what == "edit":
        (backend / "code" / "new.py").write_text("")
    else:
        git("update-ref", "refs/opstasks/tags/v1", "v2", cwd=backend / "lib")
    found(backend)
    assert import_count(backend) == 2


def test_the_variables_of_another_connection_change_nothing(backend, monkeypatch):
    for number in "12":
        for name in ("SUDO_COMMAND", "SSH_CONNECTION", "XDG_SESSION_ID", "SHLVL"):
            monkeypatch.setenv(name, number)
        found(backend)
    assert import_count(backend) == 1


def test_a_failed_import_is_tried_again(backend):
    env = backend / "config" / "load-env"
    good = env.read_text()
    env.write_text("")
    assert "KeyError: 'CONFIG'" in found(backend)["import_error"]
    env.write_text(good)
    assert found(backend)["import_error"] == ""
