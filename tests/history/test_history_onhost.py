"""Which lines of a host's journal count: the program with a journalctl of the test."""

import json
import os
import subprocess

import pytest

from opstasks.history.onhost import read

REQUEST = {"identifier": "opstasks", "service_user": "opensafely", "lines": 10, "since_at": 0.0}
ACCOUNTS = {0: "root", 10000: "opensafely", 1000: "alice", 1001: "mallory", 65534: "nobody"}


class Account:
    def __init__(self, uid, name):
        self.pw_uid, self.pw_name = uid, name


@pytest.fixture
def journal(monkeypatch):
    """The records of the journal, the newest last."""
    monkeypatch.setattr(read.pwd, "getpwuid", lambda uid: Account(uid, ACCOUNTS[uid]))
    ids = {name: uid for uid, name in ACCOUNTS.items()}
    monkeypatch.setattr(read.pwd, "getpwnam", lambda name: Account(ids[name], name))

    class Journal(list):
        def add(self, uid, message, **fields):
            line = {"_UID": str(uid), "MESSAGE": message, "_TRANSPORT": "journal", **fields}
            self.append({key: value for key, value in line.items() if value is not None})

    records = Journal()

    def journalctl(*words):
        if words == ("--field=_UID",):
            yield from (f"{uid}\n".encode() for uid in {r["_UID"] for r in records})
            return
        wanted = {}
        for word in words:
            if not word.startswith("--"):
                key, _, value = word.partition("=")
                wanted.setdefault(key, set()).add(value)
        kept = [r for r in records if all(r.get(key) in some for key, some in wanted.items())]
        assert "--reverse" in words
        for record in kept[::-1][: REQUEST["lines"]]:
            yield json.dumps(record).encode() + b"\n"

    monkeypatch.setattr(read, "journalctl", journalctl)
    monkeypatch.setattr(read, "is_operator", lambda name: name == "alice")
    return records


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A journalctl that is a shell script."""

    def make(text):
        (tmp_path / "journalctl").write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "journalctl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return make


def texts(answer):
    return [item["text"] for item in answer["entries"]]


def test_lines_of_root_and_the_service_account_count(journal):
    journal.add(0, "one", OPSTASKS_LOGIN="alice")
    journal.add(10000, "two", OPSTASKS_LOGIN="alice")
    assert read.main(REQUEST) == {
        "entries": [
            {"text": "one", "by": "root", "login": "alice", "at": 0.0},
            {"text": "two", "by": "opensafely", "login": "alice", "at": 0.0},
        ],
        "ignored": 0,
    }


def test_an_account_can_only_write_about_its_own_login(journal):
    journal.add(1000, "mine", OPSTASKS_LOGIN="alice")
    journal.add(1001, "false", OPSTASKS_LOGIN="alice")
    journal.add(1001, "false")
    journal.add(65534, "false", OPSTASKS_LOGIN="root")
    journal.add(4711, "false", OPSTASKS_LOGIN="")
    answer = read.main(REQUEST)
    assert (texts(answer), answer["ignored"]) == (["mine"], 4)


def test_lines_of_an_account_that_cannot_become_root_do_not_count(journal):
    """They could fill what `history` shows, and name any person in it."""
    journal.add(1000, "mine", OPSTASKS_LOGIN="alice")
    journal.add(1001, "of mallory", OPSTASKS_LOGIN="mallory")
    journal.add(65534, "of nobody", OPSTASKS_LOGIN="nobody")
    answer = read.main(REQUEST)
    assert (texts(answer), answer["ignored"]) == (["mine"], 2)


@pytest.mark.parametrize(("code", "is_one"), [(0, True), (1, False), (127, False)])
def test_sudo_says_who_is_an_operator(monkeypatch, code, is_one):
    asked = []

    def attempt(*words, timeout_s):
        asked.append(words)
        return subprocess.CompletedProcess(words, code, "", "")

    monkeypatch.setattr(read, "attempt", attempt)
    assert read.is_operator("alice") is is_one
    assert asked == [("sudo", "-n", "-l", "-U", "alice", "--", "/bin/sh")]


def test_many_lines_of_others_hide_none_of_root(journal):
    journal.add(0, "true")
    for _ in range(50):
        journal.add(65534, "false")
    answer = read.main(REQUEST)
    assert (texts(answer), answer["ignored"]) == (["true"], 10)


@pytest.mark.parametrize("uid", [10000, 1001, 65534])
def test_many_lines_of_an_account_hide_none_of_another(journal, uid):
    journal.add(0, "of root", OPSTASKS_LOGIN="alice")
    journal.add(1000, "of alice", OPSTASKS_LOGIN="alice")
    for _ in range(50):
        journal.add(uid, "many", OPSTASKS_LOGIN=ACCOUNTS[uid])
    found = texts(read.main(REQUEST))
    assert {"of root", "of alice"} <= set(found)
    assert found[0] == "of root"


def test_roots_line_about_a_run_comes_first(journal):
    """The service account can read the id of a run of root's, and write about it earlier."""
    journal.add(10000, "false")
    journal.add(0, "true")
    assert texts(read.main(REQUEST)) == ["true", "false"]


def test_lines_of_several_accounts_are_in_the_order_of_time(journal, monkeypatch):
    monkeypatch.setattr(read, "is_operator", lambda name: True)
    for at, uid in ((3, 1000), (1, 1000), (2, 1001)):
        text, login = str(at), ACCOUNTS[uid]
        journal.add(uid, text, OPSTASKS_LOGIN=login, __REALTIME_TIMESTAMP=text)
    assert texts(read.main(REQUEST)) == ["1", "2", "3"]


@pytest.mark.parametrize("transport", ["stdout", "syslog", "kernel"])
def test_what_a_program_of_root_prints_does_not_count(journal, transport):
    """A program that runs as root for anyone (sudo, su) may print what its caller chose."""
    journal.add(0, "false", _TRANSPORT=transport)
    assert texts(read.main(REQUEST)) == []


def test_the_kernels_login_counts_more_than_the_shells(journal):
    journal.add(10000, "x", OPSTASKS_LOGIN="alice", _AUDIT_LOGINUID="1001")
    journal.add(10000, "y", OPSTASKS_LOGIN="alice", _AUDIT_LOGINUID="4711")
    assert [item["login"] for item in read.main(REQUEST)["entries"]] == ["mallory", "alice"]


def test_fields_with_several_values_are_no_text(journal):
    journal.add(0, ["a", "b"], OPSTASKS_LOGIN=["alice", "bob"])
    assert read.main(REQUEST)["entries"] == [{"text": "", "by": "root", "login": "", "at": 0.0}]


def test_a_host_without_the_service_account_has_a_record_too(journal):
    journal.add(0, "one")
    assert texts(read.main({**REQUEST, "service_user": "nobody-yet"})) == ["one"]


def test_a_journal_of_any_length_is_read_up_to_a_limit(script, monkeypatch):
    script('yes \'{"_UID": "0", "MESSAGE": "x"}\'')
    monkeypatch.setattr(read, "MOST_BYTES", 10_000)
    found = list(read.newest(REQUEST, "_UID=0"))
    assert 100 < len(found) < 1000


def test_a_line_that_is_too_long_is_left_out(script, monkeypatch):
    monkeypatch.setattr(read, "MOST_LINE_BYTES", 100)
    long = json.dumps({"_UID": "0", "MESSAGE": "x" * 1000})
    short = json.dumps({"_UID": "0", "MESSAGE": "y"})
    script(f"echo '{long}'; echo '{short}'")
    assert [line["MESSAGE"] for line in read.newest(REQUEST)] == ["y"]


@pytest.mark.parametrize("piece", ["1.5", '""', "null", "[]", "{}"])
def test_a_piece_of_a_long_line_is_no_line(script, monkeypatch, piece):
    """The writer of a long line chooses where a piece begins."""
    monkeypatch.setattr(read, "MOST_LINE_BYTES", 100)
    start = '{"_UID": "65534", "MESSAGE": "'
    long = start.ljust(100, "x") + piece.rjust(100)
    short = json.dumps({"_UID": "0", "MESSAGE": "y"})
    script(f"echo '{long}'; echo '{short}'")
    assert [line["MESSAGE"] for line in read.newest(REQUEST)] == ["y"]
