"""pause and unpause on a real host; the flag is read with sqlite, not by our own readers."""

import json
import time

import pytest

from opstasks.sandbox import api
from tests.look import until
from tests.maintenance.maintenance_help import (
    HOST,
    good,
    moment,
    scheduled,
    small_disk,
    status,
    value,
)

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]


def flag(host):
    return host.rows("select value, timestamp from flags where id = 'paused'")[0]


def test_pause_and_unpause_change_the_flag_and_say_so_once(inv, host):
    first = value(inv("-H", HOST, "--json", "pause", "--reason", "it's; $(late)"))
    assert first["outcome"] == "changed"
    assert host.paused
    since = flag(host)["timestamp"]
    assert value(inv("-H", HOST, "--json", "pause"))["outcome"] == "ok"
    assert flag(host)["timestamp"] == since
    assert status(inv)["pause"]["why"] == "it's; $(late)"
    assert value(inv("-H", HOST, "--json", "unpause"))["outcome"] == "changed"
    assert not host.paused
    assert value(inv("-H", HOST, "--json", "unpause"))["outcome"] == "ok"
    assert status(inv)["is_paused"] is False
    assert host.lock_is_free


def test_paused_jobs_wait_and_begin_after_the_unpause(inv, host, managed):
    good(inv("-H", HOST, "pause"))
    (job,) = managed.submit(HOST, "quick")
    until(lambda: host.jobs()[job] == ("pending", "paused"), "the job waits")
    good(inv("-H", HOST, "unpause"))
    until(lambda: host.jobs()[job][0] == "succeeded", "the job ran")


def test_a_pause_with_an_end_is_ended_by_the_host(inv, host):
    done = value(inv("-H", HOST, "--json", "pause", "--for", "8s", "--reason", "short"))
    assert host.paused
    (record,) = host.records()
    until(lambda: not host.paused, "the host unpauses", 30)
    until(lambda: host.record(record["id"])["outcome"] == "done", "the record is closed")
    assert time.time() >= moment(done["value"]["pause"]["until_at"]) - 1
    assert host.audit(record["id"]) == [("start", ""), ("end", "changed")]
    assert "no such file" in host.sh("ls /home/opensafely/opstasks/pause.json 2>&1 || true").lower()
    until(lambda: not host.sh("ls /var/lib/opstasks/scripts"), "no script is left", 10)


ANN, BOB = ({"LOGNAME": name, "USER": name} for name in ("ann", "bob"))
UNPAUSE_BY_HAND = "python3 -m jobrunner.cli.flags set paused="


def test_the_end_of_one_pause_leaves_a_later_pause_alone(inv, host):
    """It stays if somebody unpauses by hand; then it is shown as what it is."""
    good(inv("-H", HOST, "pause", "--for", "25s"))
    (record,) = host.records()
    good(api.as_opensafely(HOST, UNPAUSE_BY_HAND))
    good(inv("-H", HOST, "pause", "--reason", "another one"))
    (row,) = scheduled(inv)
    assert (row["id"], row["state"]) == (record["id"], "obsolete")
    assert "its pause is over" in row["reason"]
    until(lambda: host.record(record["id"])["outcome"], "the timer fires", 60)
    assert host.paused
    assert status(inv)["pause"]["why"] == "another one"
    assert "left paused" in host.record(record["id"])["reason"]


def test_an_unpause_leaves_nothing_of_the_pause_behind(inv, host):
    good(inv("-H", HOST, "pause", "--for", "1h"))
    work = value(inv("-H", HOST, "--json", "prepare-reboot", "--delay", "2h", "--yes"))["value"]
    done = value(inv("-H", HOST, "--json", "unpause"))["value"]
    assert (done["now"]["paused"], done["now"]["scheduled"]) == (False, [work["id"]])
    assert [row.split()[0] for row in host.timers] == [f"opstasks-{work['id']}.timer"]
    assert host.sh("ls /var/lib/opstasks/scripts") == work["id"]
    assert "no such file" in host.sh("ls /home/opensafely/opstasks/pause.json 2>&1 || true").lower()
    good(inv("-H", HOST, "scheduled.cancel", "--yes"))
    assert host.sh("ls /var/lib/opstasks/scripts") == ""
    assert host.sh("ls /etc/systemd/system/opstasks-boot* 2>/dev/null || true") == ""
    assert host.timers == []


def test_the_pause_of_somebody_else_is_kept_or_replaced_openly(inv, host):
    words = ("pause", "--reason", "upgrade", "--for", "1h")
    good(inv("-H", HOST, *words, env=ANN))
    note = host.sh("cat /home/opensafely/opstasks/pause.json")
    timers = host.timers
    for options in (["--reason", "mine"], ["--for", "2h"], ["--reason", "mine", "--dry"]):
        refused = inv("-H", HOST, "pause", *options, env=BOB)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "paused already by ann@" in refused.stderr
        assert "upgrade" in refused.stderr
        assert "--replace" in refused.stderr
    assert "ann@" in good(inv("-H", HOST, "pause", env=BOB)).stdout, "it is paused already"
    assert host.sh("cat /home/opensafely/opstasks/pause.json") == note
    assert host.timers == timers
    words = ("pause", "--reason", "mine", "--replace")
    for task in (words, ("unpause",)):
        asked = inv("-H", HOST, *task, env=BOB)
        assert asked.returncode == 2, "nobody is there to answer"
        assert "ann@" in asked.stdout
        assert "upgrade" in asked.stdout, "the plan says whose pause it is, and why"
        assert host.sh("cat /home/opensafely/opstasks/pause.json") == note
    done = value(inv("-H", HOST, "--json", *words, "--yes", env=BOB))["value"]
    assert done["before"]["why"] == "upgrade"
    assert (done["now"]["paused"], done["now"]["scheduled"]) == (True, [])
    assert host.timers == []
    assert status(inv)["pause"]["why"] == "mine"
    told = value(inv("-H", HOST, "--json", "history", "--task", "pause"))["value"]
    assert "upgrade" in told[-1]["args"]["replaces"]


def test_two_who_pause_at_once_do_not_replace_each_other(inv, host, client):
    """Both look first; the pause of the second one is not the one that it saw."""
    started = [client("pause", "--reason", f"reason {n}", "--for", "1h") for n in range(4)]
    codes = sorted(process.wait(60) for process in started)
    assert codes[0] == 0
    assert set(codes[1:]) <= {0, 2}
    assert host.paused
    note = json.loads(host.sh("cat /home/opensafely/opstasks/pause.json"))
    assert [row.split()[0] for row in host.timers] == [f"opstasks-{note['id']}.timer"]
    assert host.lock_is_free


def test_a_pause_set_by_hand_is_shown_as_that(inv, host, managed):
    good(inv("-H", HOST, "pause", "--reason", "ours"))
    good(inv("-H", HOST, "unpause"))
    done = api.as_opensafely(HOST, "python3 -m jobrunner.cli.flags set paused=true")
    assert done.returncode == 0
    pause = status(inv)["pause"]
    assert (pause["who"], pause["why"]) == ("", "")
    assert any("by hand" in text for text in status(inv)["texts"])


def test_a_forgotten_pause_needs_a_person(inv, host):
    good(inv("-H", HOST, "pause"))
    assert not any("forgotten" in text for text in status(inv)["texts"])
    host.write("update flags set timestamp = timestamp - 90000 where id = 'paused'")
    assert any("forgotten" in text for text in status(inv)["texts"])


def test_a_pause_survives_a_reboot_and_still_ends(inv, host, managed):
    good(inv("-H", HOST, "pause", "--for", "40s", "--reason", "maintenance"))
    managed.reboot(HOST)
    assert host.paused
    until(lambda: not host.paused, "the host unpauses", 90)
    until(lambda: not host.sh("ls /var/lib/opstasks/scripts"), "nothing is left", 20)


def test_a_pause_stays_when_its_end_is_cancelled(inv, host):
    good(inv("-H", HOST, "pause", "--for", "1h", "--reason", "night"))
    (record,) = host.records()
    refused = inv("-H", HOST, "scheduled.cancel", "--yes")
    assert refused.returncode == 2, "the end of a pause must be named"
    assert host.timers != []
    short = record["id"].rpartition("-")[2]
    assert f"scheduled.cancel {short}" in refused.stderr
    done = good(inv("-H", HOST, "scheduled.cancel", short, "--yes"))
    assert "stays paused until someone unpauses" in done.stdout
    assert host.paused
    assert host.timers == []
    pause = status(inv)["pause"]
    assert (pause["why"], pause["until_at"]) == ("night", None)


def test_a_pause_without_room_for_its_note_is_undone(inv, host):
    with small_disk(host.sh, "/home/opensafely/opstasks", "256k") as disk:
        disk.fill()
        for words in ([], ["--for", "1h"]):
            failed = inv("-H", HOST, "pause", "--reason", "night", *words)
            assert failed.returncode == 1
            assert "no space left on device" in failed.stderr.lower()
            assert failed.stderr.count("error  ") == 1
            assert "Traceback" not in failed.stderr
            assert not host.paused, "no timer would end it"
        disk.free()
        good(inv("-H", HOST, "pause", "--reason", "night"))
        assert host.paused
        assert status(inv)["pause"]["why"] == "night"
        disk.fill()
        good(inv("-H", HOST, "unpause"))
        assert not host.paused
    assert host.lock_is_free


def test_an_invalid_span_is_refused(inv, host):
    for span in ("nonsense", "-4h", "0s", "8d"):
        done = inv("-H", HOST, "pause", f"--for={span}")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    assert not host.paused


def test_an_account_without_root_cannot_schedule_an_end(inv, host, sandbox_dir, tmp_path):
    text = (sandbox_dir / "hosts.yaml").read_text().replace("user: ops", "user: dev")
    inventory = tmp_path / "hosts.yaml"
    inventory.write_text(text.replace("sudo: nopasswd", "sudo: ask"))
    done = inv("-H", HOST, "pause", "--for", "1h", inventory=inventory)
    assert done.returncode == 2, done.stdout + done.stderr
    assert not host.paused
    assert host.timers == []
