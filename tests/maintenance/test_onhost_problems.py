"""Problems that prevent a preparation."""

import os
from pathlib import Path

import pytest

from opstasks.maintenance.onhost import problems
from opstasks.onhost import unit_control
from opstasks.onhost.json_files import write_json
from opstasks.onhost.protocol import HostFailure, HostRefusal
from opstasks.onhost.release_records import COMMITS
from tests.maintenance.onhost_help import OLD


def release(site, name, **words):
    folder = Path(site.state_dir, "releases")
    folder.mkdir(exist_ok=True)
    commits = dict.fromkeys(COMMITS, "1" * 40)
    write_json(folder / f"{name}.json", {"id": name, **commits, **words}, 0o640)


@pytest.mark.parametrize(("detail", "more"), [("", ""), ("a\nb\u2028c\n", ": b\u2028c")])
def test_a_check_that_fails_says_its_last_line(site, monkeypatch, detail, more):
    def fail(site):
        raise HostFailure("it fails", detail)

    names = ("unit", "docker", "database", "room", "command", "release")
    for name in names:
        monkeypatch.setattr(problems, f"{name}_problem", fail)
    assert problems.problems(site) == [f"it fails{more}"]


def test_an_unfinished_release_counts_however_old_its_id_is(site):
    release(site, OLD, outcome="done")
    release(site, "20260109T000000-cccccc", outcome="done")
    assert problems.release_problem(site) == ""
    release(site, "copy", id=OLD)
    assert problems.release_problem(site) == "", "a person's copy"
    release(site, "20260105T000000-bbbbbb")
    with pytest.raises(HostRefusal, match="20260105T000000-bbbbbb is unfinished"):
        problems.release_problem(site)


@pytest.mark.parametrize("text", ["", '{"id": "2026', "[]", '{"id": "x", "outcome": ""}'])
def test_a_record_that_cannot_be_used_may_be_of_an_unfinished_release(site, text):
    release(site, OLD, outcome="done")
    Path(site.state_dir, "releases", f"{OLD}.json").write_text(text)
    with pytest.raises(HostRefusal, match=f"the record of release {OLD} cannot be read"):
        problems.release_problem(site)


@pytest.mark.parametrize(
    ("why", "advice"),
    [
        ("it is not a folder", "move it away (mv) first"),
        ("its file system is read-only", "see dmesg first"),
        ("it belongs to root", "give it to USER (chown -R) first"),
        ("its mode is 0500", "give it to USER (chown -R) first"),
    ],
)
def test_only_a_folder_of_another_account_is_given_to_the_service(site, monkeypatch, why, advice):
    monkeypatch.setattr(problems, "closed_folders", lambda site: [("/x", why)])
    advice = advice.replace("USER", site.service_user)
    assert problems.folder_problem(site) == f"cannot write to /x: {why}: {advice}"


def test_folders_that_can_be_written_or_made_are_no_problem(site):
    assert problems.folder_problem(site) == ""


def test_a_folder_that_cannot_be_written_is_found_before_anything_is_touched(site, monkeypatch):
    reboots = Path(site.state_dir, "reboots")
    reboots.mkdir(mode=0o555)
    names = {str(reboots)}
    monkeypatch.setattr(os, "access", lambda place, mode: str(place) not in names)
    found = problems.folder_problem(site)
    assert found.startswith(f"cannot write to {reboots}: its mode is 0555: give it to ")
    names.add(site.state_dir)
    assert f"; cannot write to {reboots}: " in problems.folder_problem(site)


@pytest.mark.parametrize("name", ["opstasks/reboots", "scheduled", "scripts"])
def test_something_else_in_place_of_a_folder_is_found(site, name):
    if os.geteuid() != 0 and not name.startswith("opstasks"):
        pytest.skip("only root makes scheduled work")
    path = Path(site.home, name)
    if path.exists():
        path.rmdir()
    path.write_text("by hand")
    assert problems.folder_problem(site).startswith(f"cannot write to {path}: it is not a folder")


def test_nothing_is_scheduled_on_a_full_disk(site, database, monkeypatch):
    usage = problems.shutil.disk_usage("/")
    monkeypatch.setattr(problems.shutil, "disk_usage", lambda _: usage._replace(free=4096))
    assert "no room under" in problems.room_problem(site)
    assert "no room for a snapshot" in problems.database_problem(site)


def test_a_job_runner_without_its_command_is_a_problem(site):
    assert "has no command prepare_for_reboot" in problems.command_problem(site)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (HostFailure("docker does not answer", "a\nb\n"), "docker does not answer: b"),
        (HostRefusal("no"), "no"),
        (OSError(28, "No space left"), "no space left"),
    ],
)
def test_a_check_that_fails_is_reported_once(site, monkeypatch, error, text):
    def fail(site):
        raise error

    names = ("unit", "folder", "docker", "database", "room", "command", "release")
    for name in names:
        monkeypatch.setattr(problems, f"{name}_problem", fail)
    assert problems.problems(site) == [text]


SHOWN = {"LoadState": "loaded", "User": "", "Requires": "jobrunner-network.service"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"LoadState": "masked"}, "jobrunner is masked: systemd would not start it again"),
        ({"LoadState": "not-found"}, "the host has no unit jobrunner"),
        ({"LoadState": "bad-setting"}, "systemd cannot read the file of jobrunner (bad-setting)"),
        ({"LoadState": "error"}, "systemd cannot read the file of jobrunner (error)"),
        ({"network": "masked"}, "jobrunner-network.service is masked: systemd would not start it"),
        ({"User": "x"}, "jobrunner would run as x, not as"),
    ],
)
def test_a_service_that_could_not_be_started_again_is_not_stopped(site, monkeypatch, changes, text):
    """By the same rule as for `service.restart` and `deploy`."""
    shown = {**SHOWN, "User": site.service_user, **changes}
    network = {"LoadState": changes.get("network", "loaded")}

    def read(unit, properties):
        return shown if unit == "jobrunner" else network

    monkeypatch.setattr(unit_control, "read", read)
    for check in ("folder", "docker", "database", "room", "command", "release"):
        monkeypatch.setattr(problems, f"{check}_problem", lambda site: "")
    found = problems.problems(site)
    assert len(found) == bool(text)
    assert text in "".join(found)
