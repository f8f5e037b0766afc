"""`logs --job`: whole records of a job, as job-runner writes them."""

import json
import os
import signal
import subprocess
import sys
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.fleet.program import PYTHON, packed
from opstasks.onhost import journal_records
from opstasks.onhost.protocol import answer_to
from opstasks.primitives import journal
from tests.look import until


def lines(*messages, source="python3[7]"):
    return [
        f"2026-11-24T20:00:{n:02}.000000+0000 host {source}: {text}\n"
        for n, text in enumerate(messages)
    ]


LOG = lines(
    "2026-11-24 20:00:00.000Z run  Preparing status=X id=abc",
    "2026-11-24 20:00:01.000Z run  Preparing status=X id=other",
    "2026-11-24 20:00:02.000Z run  Internal error: this usually means",
    "the tech team knows status=INTERNAL_ERROR id=abc",
    "Traceback (most recent call last):",
    '  File "run.py", line 1',
    "ExecutorError: no",
    "2026-11-24 20:00:07.000Z run  Done id=other",
    "and more of it",
)


def test_the_whole_record_of_a_line_with_the_word_is_found():
    found = list(journal_records.matching(LOG, "abc"))
    assert found == [LOG[0], *LOG[2:7]]
    assert list(journal_records.matching(LOG, "other")) == [LOG[1], *LOG[7:]]
    assert list(journal_records.matching(LOG, "nosuch")) == []


def test_another_process_begins_another_record():
    log = [*LOG[:1], *lines("Main process exited", source="systemd[1]"), *lines("Traceback")]
    assert list(journal_records.matching(log, "abc")) == LOG[:1]


def test_host_name_and_time_are_not_searched():
    assert list(journal_records.matching(LOG, "host")) == []
    assert list(journal_records.matching(LOG, "24T20")) == []


def test_a_line_is_passed_on_before_the_next_one_is_there():
    feed = iter(LOG)
    out = journal_records.matching(feed, "abc")
    assert next(out) == LOG[0]
    assert next(feed) == LOG[1]


@given(st.lists(st.text(max_size=12), max_size=8), st.text("ab01", min_size=1, max_size=3))
def test_every_line_with_the_word_is_there_in_order(messages, word):
    log = lines(*(text.replace("\n", "").replace("\r", "") for text in messages))
    found = list(journal_records.matching(log, word))
    assert [line for line in log if word in line.partition(": ")[2]] == [
        line for line in found if word in line.partition(": ")[2]
    ]
    assert found == [line for line in log if line in found]


# -- the program, with our own journalctl ----- ----------------------------------------------


@pytest.fixture
def journalctl(tmp_path, monkeypatch):
    """Make a journalctl that runs a shell text, which can use LOG."""
    (tmp_path / "log").write_text("".join(LOG))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))

    def make(script):
        path = tmp_path / "journalctl"
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    return make


def asked(word, **options):
    request = journal.unit_records("jobrunner", word, **options)
    return {name: getattr(request, name) for name in request.__struct_fields__}


def answer(word, **options):
    return answer_to(journal_records.main, asked(word, **options))


def test_the_answer_has_the_records_without_line_ends(journalctl):
    journalctl('cat "$LOG"')
    expected = [line.rstrip("\n") for line in [LOG[0], *LOG[2:7]]]
    assert answer("abc") == {"ok": {"lines": expected}}
    assert answer("abc", lines=2) == {"ok": {"lines": expected[-2:]}}


def test_lines_are_counted_after_the_search(journalctl):
    journalctl('echo "h h p: $*"')
    (line,) = answer("unit", lines=1, since_time="1h", until_at=1e9)["ok"]["lines"]
    words = line.split()
    assert {"--unit=jobrunner", "--since=-3600s", "--until=@1000000000"} <= set(words)
    assert not [word for word in words if word.startswith("--lines")]


@pytest.mark.parametrize("word", ["$(touch /tmp/x)", "'; touch x", "a b", "\\d", "-v"])
def test_the_word_is_taken_literally(journalctl, word):
    journalctl('cat "$LOG"; printf "%s\\n" "t h p: $WORD"')
    os.environ["WORD"] = word
    try:
        assert answer(word)["ok"]["lines"] == [f"t h p: {word}"]
    finally:
        del os.environ["WORD"]


def test_invalid_bytes_and_odd_line_ends_stay_in_one_line(journalctl):
    journalctl(r"printf 't h p: abc \377 \r \342\200\250 x\n'")
    assert answer("abc")["ok"]["lines"] == ["t h p: abc \\xff \r \u2028 x"]


def test_an_account_that_may_not_read_the_journal_is_refused(journalctl):
    journalctl("echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1")
    assert answer("abc")["refused"]["reason"] == journal_records.NO_PERMISSION


def test_a_journalctl_that_fails_is_a_failure_with_its_last_lines(journalctl):
    journalctl("echo 'Failed to open files: Bad message' >&2; exit 1")
    failed = answer("abc")["failed"]
    assert failed["reason"] == "journalctl failed with exit code 1"
    assert "Bad message" in failed["detail"]


def test_a_journal_without_the_unit_is_empty(journalctl):
    journalctl("exit 1")
    assert answer("abc") == {"ok": {"lines": []}}


def start_following(word):
    text = packed("opstasks.onhost.journal_records", asked(word, follow=True))
    with tempfile.TemporaryFile("w+") as file:
        file.write(text)
        file.seek(0)
        words = [sys.executable, *PYTHON[1:]]
        return subprocess.Popen(words, stdin=file, stdout=subprocess.PIPE, start_new_session=True)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("end", ["signal", "reader"])
def test_following_sends_lines_at_once_and_ends_journalctl(journalctl, tmp_path, end):
    pid_file = tmp_path / "pid"
    then = "sleep 60" if end == "signal" else 'while sleep 0.1; do echo "t h p: abc"; done'
    journalctl(f'echo $$ >{pid_file}; head -1 "$LOG"; {then}')
    following = start_following("abc")
    assert json.loads(following.stdout.readline()) == {"part": LOG[0].rstrip("\n")}
    pid = int(pid_file.read_text())
    assert is_running(pid)
    if end == "signal":
        os.killpg(following.pid, signal.SIGTERM)
    following.stdout.close()
    following.wait(10)
    until(lambda: not is_running(pid), "journalctl goes on", 10, 0.1)


def test_all_lines_are_searched_when_following():
    options = asked("abc", follow=True)["options"]
    assert "--follow" in options
    assert "--lines=all" in options
