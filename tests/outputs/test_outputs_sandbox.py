"""Removing Level 4 files on a real host with a real drive, observed from outside."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.maintenance.maintenance_help import small_disk
from tests.sync.level3 import HOME, LEVEL4, SOURCE, TARGET, drive, inventory_with_source

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
HIGH = "/srv/high_privacy/workspaces/l3-out"
ODD = 'it\'s "odd"\n[x]*.csv'
NAMES = ("out/table.csv", f"out/{ODD}", "out/kept.csv")


@pytest.fixture(scope="module")
def here(managed):
    from tests.look import Look

    return Look(managed, "sandbox-1")


@pytest.fixture
def level4(here):
    """A workspace with three files in high and medium privacy, one of them on the drive, too."""
    with drive(here):
        script = (
            "set -e; umask 027; for top in /srv/high_privacy /srv/medium_privacy; do"
            ' mkdir -p $top/workspaces/l3-out/out; for n in "$@"; do'
            ' echo "$n $top" >"$top/workspaces/l3-out/$n"; done; done'
        )
        user = ["runuser", "-u", "opensafely", "--", "bash", "-c", script, "bash", *NAMES]
        here.sandbox.must("sandbox-1", user)
        here.sh(f"mkdir -p {SOURCE}/l3-out/out; echo win >{SOURCE}/l3-out/out/table.csv")
        here.sh(f"chown -R opensafely {SOURCE}")
        try:
            yield here
        finally:
            here.sh(f"rm -rf {HIGH}")


@pytest.fixture
def ask(inv, sandbox_dir, tmp_path):
    inventory = inventory_with_source(sandbox_dir, tmp_path / "hosts.yaml")

    def run(*words, code=0, json_=True):
        flags = ["--json"] if json_ else []
        done = inv("-H", "sandbox-1", *flags, *words, inventory=inventory)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout.splitlines()[-1])["hosts"]["sandbox-1"] if json_ else done

    return run


def high(here):
    return here.sh(f"cd {HIGH} && find . -printf '%p %m %s\\n' | sort && tar c . | sha256sum")


def test_a_file_is_removed_for_good_and_the_steps_stay_open_until_attested(level4, ask):
    (found,) = ask("outputs.ls", "l3-out")["value"]
    assert [entry["path"] for entry in found["entries"]] == sorted(NAMES)
    assert (found["files"], found["entries"][0]["owner"]) == (3, "opensafely")
    assert found["entries"][0]["modified_at"].endswith("+00:00")
    before = high(level4)
    hash_ = level4.sh(f"sha256sum <{TARGET}/l3-out/out/table.csv").split()[0]

    # Not without a person, and not without a decision about the drive's copy.
    refused = ask("outputs.rm", "l3-out", NAMES[0], "--yes", code=2, json_=False)
    assert "--source" in refused.stderr
    assert level4.sh(f"ls {TARGET}/l3-out/out/table.csv {SOURCE}/l3-out/out/table.csv")

    words = ["outputs.rm", "l3-out", NAMES[0], NAMES[1], "--source", "remove", "--yes"]
    done = ask(*words, "--reason", "high privacy after all", json_=False)
    assert f"{LEVEL4}\\l3-out\\out\\table.csv" in done.stdout
    assert level4.sh(f"ls -A {TARGET}/l3-out/out") == "kept.csv"
    assert level4.sh(f"ls -A {SOURCE}/l3-out/out; ls -A {SOURCE} /srv/medium_privacy") == (
        f"{SOURCE}:\nl3-out\n\n/srv/medium_privacy:\nworkspaces"
    )
    assert high(level4) == before
    lines = level4.sh("journalctl -t opstasks -o cat -n 20").splitlines()
    *_, entry = [
        entry
        for entry in map(json.loads, lines)
        if entry["task"] == "outputs.rm"
        and entry["phase"] == "end"
        and NAMES[0] in entry["args"]["files"]
    ]
    assert entry["outcome"] == "changed"
    assert hash_ in entry["args"]["sha256"].split()
    assert entry["args"]["reason"] == "high privacy after all"

    # Again: there is nothing to do, and it says who did it.
    again = ask(*words)
    assert again["outcome"] == "ok"
    assert level4.lock_is_free

    pending = ask("outputs.pending")["value"]
    assert {record["file"] for record in pending} == {NAMES[0], NAMES[1]}
    batch = pending[0]["id"].split("-")[0]
    assert ask("outputs.attest", batch, "--by", "Alex Jones", "--yes")["outcome"] == "changed"
    assert ask("outputs.attest", batch, "--by", "Eve", "--yes")["outcome"] == "ok"
    assert ask("outputs.pending")["value"] == []
    every = ask("outputs.pending", "--all")["value"]
    assert {record["attested"]["by"] for record in every} == {"Alex Jones"}


def test_an_odd_name_is_listed_on_one_line_and_can_be_typed_again(level4, ask):
    listed = ask("outputs.ls", "l3-out", json_=False).stdout.splitlines()
    (line,) = (line for line in listed if "odd" in line)
    typed = re.search(r"\$'.*\.csv'", line)[0]
    assert level4.sh(f"printf %s {typed}") == f"out/{ODD}"


def test_a_folder_that_cannot_be_read_is_named_and_the_rest_is_listed(level4, ask):
    level4.sh(f"install -d -m 700 {TARGET}/l3-out/shut; install -d -m 744 {TARGET}/l3-out/blind")
    level4.sh(f"touch {TARGET}/l3-out/blind/a {TARGET}/l3-out/blind/b")
    (found,) = ask("outputs.ls", "l3-out", code=1)["value"]
    assert [entry["path"] for entry in found["entries"]] == sorted(NAMES)
    denied = [(bad["path"], bad["error"]) for bad in found["unreadable"]]
    assert denied == [(name, "permission denied") for name in ("blind/a", "blind/b", "shut")]
    (found,) = ask("outputs.ls", code=1)["value"]
    assert (found["files"], len(found["unreadable"])) == (3, 3)
    level4.sh(f"chmod 700 {TARGET}/l3-out; chown root {TARGET}/l3-out")
    done = ask("outputs.ls", "l3-out", code=1, json_=False)
    assert "l3-out cannot be read: permission denied" in done.stderr


def test_an_unknown_workspace_is_wrong_usage_and_says_which_exist(level4, ask):
    done = ask("outputs.ls", "l3-uot", code=2, json_=False)
    assert "no workspace l3-uot: there are l3-out" in done.stderr
    assert "inv -H sandbox-1 outputs.ls" in done.stderr


def test_an_error_after_the_first_file_gives_the_partners_steps_for_it(level4, ask):
    level4.sh(f"mkdir {TARGET}/l3-out/locked; echo x >{TARGET}/l3-out/locked/x.csv")
    words = ["outputs.rm", "l3-out", NAMES[0], "locked/x.csv", NAMES[2], "--source", "remove"]
    done = ask(*words, "--yes", code=1)
    assert done["outcome"] == "failed"
    assert done["error"]["now"]["removed"] == [f"{TARGET}/l3-out/{NAMES[0]}"]
    assert "1 of 3 removed" in done["error"]["message"]
    assert f"{LEVEL4}\\l3-out\\out\\table.csv" in done["error"]["tail"]
    left = "test -e out/table.csv || ls locked/x.csv out/kept.csv"
    assert level4.sh(f"cd {TARGET}/l3-out; {left}").split() == ["locked/x.csv", "out/kept.csv"]
    assert level4.lock_is_free
    level4.sh(f"chown -R opensafely {TARGET}/l3-out/locked")
    assert ask(*words, "--yes")["outcome"] == "changed"
    assert len(ask("outputs.pending")["value"]) == 3


def test_several_operators_at_once_record_each_removal_once(
    level4, ask, inv, sandbox_dir, tmp_path
):
    inventory = inventory_with_source(sandbox_dir, tmp_path / "hosts.yaml")
    words = ["outputs.rm", "l3-out", NAMES[0], NAMES[2], "--source", "remove", "--yes"]

    def remove(number):
        state = {"XDG_STATE_HOME": str(tmp_path / f"operator{number}")}
        return inv("-H", "sandbox-1", *words, inventory=inventory, env=state)

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(remove, range(3)))
    assert {run.returncode for run in done} <= {0, 2}, [run.stderr for run in done]
    assert any("outputs.attest" in run.stdout for run in done)
    assert level4.sh(f"ls {TARGET}/l3-out/out | grep -c -e table -e kept || true") == "0"
    assert sorted(record["file"] for record in ask("outputs.pending")["value"]) == sorted(
        [NAMES[0], NAMES[2]]
    )
    assert level4.sh(f"ls {HOME}/outputs | wc -l") == "2"


def test_a_file_kept_at_the_source_returns_and_pending_says_so(level4, ask):
    words = ["outputs.rm", "l3-out", NAMES[0], "--source", "keep", "--yes"]
    assert "will return" in ask(*words, json_=False).stdout
    assert level4.sh(f"ls {TARGET}/l3-out/out | grep -c table || true") == "0"
    ask("sync.once")
    assert level4.sh(f"cat {TARGET}/l3-out/out/table.csv") == "win"
    assert ask("outputs.pending")["value"][0]["returned"] is True
    assert "THE FILE IS BACK" in ask("outputs.pending", json_=False).stdout


def test_an_unmounted_drive_is_reported_even_when_its_folder_exists(level4, ask):
    words = ["outputs.rm", "l3-out", NAMES[0], "--source", "remove", "--yes", "--dry"]
    assert "not mounted" not in ask(*words, json_=False).stdout
    level4.sh(f"umount -l /e && mkdir -p {SOURCE}")
    try:
        assert "source is not mounted" in ask(*words, json_=False).stdout
    finally:
        level4.sh("rm -r /e/FILESFORL4")


def test_a_removal_that_a_power_cut_interrupted_is_finished(level4, ask):
    ask("outputs.rm", "l3-out", NAMES[2], "--yes")
    (record,) = ask("outputs.pending")["value"]
    hold, file = "/srv/medium_privacy/.opstasks-removed", f"{HOME}/outputs/{record['id']}.json"
    text = f"{NAMES[2]} /srv/medium_privacy"
    level4.sh(f"install -d -o opensafely -m 0700 {hold}; echo '{text}' >{hold}/{record['id']}")
    level4.sh(f'chown -R opensafely {hold}; sed -i \'s/"removed",*$/"removing",/\' {file}')
    assert "interrupted" in ask("outputs.pending", json_=False).stdout
    assert "removed files" in ask("doctor", code=1, json_=False).stdout
    assert ask("outputs.rm", "l3-out", NAMES[2], "--yes")["outcome"] == "changed"
    assert level4.sh("ls -A /srv/medium_privacy") == "workspaces"
    (again,) = ask("outputs.pending")["value"]
    assert (again["id"], again["state"]) == (record["id"], "removed")


def test_records_that_root_has_taken_are_named_and_stop_a_removal(level4, ask):
    ask("outputs.rm", "l3-out", NAMES[2], "--yes")
    (record,) = ask("outputs.pending")["value"]
    file = f"{HOME}/outputs/{record['id']}.json"
    level4.sh(f"chown root {file}; chmod 600 {file}")
    (found,) = ask("outputs.pending", code=1)["value"]
    assert (found["id"], found["state"]) == (record["id"], "unreadable")
    assert found["error"] == "permission denied"
    attest = ("outputs.attest", record["id"], "--yes")
    assert "cannot be read: permission denied" in ask(*attest, code=2, json_=False).stderr
    level4.sh(f"chown root {HOME}/outputs")
    words = ["outputs.rm", "l3-out", NAMES[0], "--source", "remove", "--yes"]
    refused = ask(*words, code=2, json_=False).stderr
    assert f"cannot write to {HOME}/outputs: it belongs to root" in refused
    assert level4.sh(f"ls {TARGET}/l3-out/{NAMES[0]} {SOURCE}/l3-out/{NAMES[0]}")
    level4.sh(f"chown -R opensafely {HOME}/outputs")
    assert ask(*words)["outcome"] == "changed"
    assert len(ask("outputs.pending")["value"]) == 2


def test_without_room_for_its_record_a_file_stays(level4, ask):
    words = ["outputs.rm", "l3-out", NAMES[2], "--yes"]
    before = level4.sh(f"find {TARGET}/l3-out -type f -exec sha256sum {{}} + | sort")
    with small_disk(level4.sh, HOME, "256k") as disk:
        disk.fill()
        failed = ask(*words, code=2, json_=False)
        assert "no space left on device" in failed.stderr.lower()
        assert "free some space" in failed.stderr
        assert failed.stderr.count("error  ") == 1
        assert level4.sh(f"find {TARGET}/l3-out -type f -exec sha256sum {{}} + | sort") == before
        assert level4.sh("ls -A /srv/medium_privacy") == "workspaces"
        disk.free()
        assert ask("outputs.pending")["value"] == []
        assert ask(*words)["outcome"] == "changed"
        (record,) = ask("outputs.pending")["value"]
        # A removal must not be repeated because there was no room for its attestation.
        disk.fill()
        attest = ["outputs.attest", record["id"], "--by", "Alex", "--yes"]
        assert "no space left" in ask(*attest, code=1, json_=False).stderr
        assert [r["id"] for r in ask("outputs.pending")["value"]] == [record["id"]]
        disk.free()
        assert ask(*attest)["outcome"] == "changed"
    assert level4.sh(f"ls {TARGET}/l3-out/out | grep -c kept || true") == "0"


def test_nothing_is_removed_through_a_link_or_for_a_wrong_name(level4, ask):
    level4.sh(f"ln -s {HIGH} {TARGET}/l3-out/link; ln -s {HIGH}/out/kept.csv {TARGET}/l3-out/x")
    before, medium = high(level4), level4.sh(f"find {TARGET}/l3-out | sort")
    for file in ("link/out/kept.csv", "x", "out/*.csv"):
        ask("outputs.rm", "l3-out", file, "--yes", code=2, json_=False)
    for workspace in ("..", "nowhere"):
        ask("outputs.rm", workspace, "out/kept.csv", "--yes", code=2, json_=False)
    assert (high(level4), level4.sh(f"find {TARGET}/l3-out | sort")) == (before, medium)


def test_the_name_of_the_workspace_must_be_typed(level4, sandbox_dir, tmp_path):
    import sys
    from pathlib import Path

    import pexpect

    inventory = inventory_with_source(sandbox_dir, tmp_path / "hosts.yaml")
    program = str(Path(sys.executable).with_name("inv"))
    words = ["--inventory", str(inventory), "-H", "sandbox-1", "outputs.rm", "l3-out", NAMES[0]]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    for answer, left in (("l3-oops", "table.csv"), ("l3-out", "")):
        child = pexpect.spawn(program, words, env=env, encoding="utf-8", timeout=60)
        child.expect_exact("[remove/keep]")
        child.sendline("remove")
        child.expect("Type the workspace's name to continue:")
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == (0 if not left else 2)
        assert level4.sh(f"ls {TARGET}/l3-out/out | grep table || true") == left
    assert level4.sh(f"find {SOURCE} -name 'table*'; ls {HIGH}/out | grep -c table") == "1"
    assert level4.sh(f"ls {HOME}/outputs | wc -l") == "1"
