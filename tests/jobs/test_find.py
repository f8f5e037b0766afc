"""Finding the jobs that match a word: on one host, on many, and by a person's choice."""

import json
import sqlite3

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import InvalidResponse, Refused
from opstasks.jobs.find import (
    FIND,
    MAX_WORD_LENGTH,
    FindAnswer,
    FindRequest,
    FoundJob,
    check_word,
    find,
    find_ids,
)
from opstasks.jobs.model import Container, Job
from opstasks.jobs.onhost import find as find_there
from opstasks.onhost.engine import Engine
from tests.fake_host import Reply
from tests.jobs.jobs_help import HOSTILE_TEXTS
from tests.jobs.table_help import FakeDocker, add, ids

# -- on the host -----------------------------------------------------------------------------


def test_a_word_matches_part_of_id_workspace_and_action(job_table):
    add(job_table, "abc123", "ws", "run_model", created_at=1)
    add(job_table, "xyz789", "other", "run_model", created_at=2)
    assert ids(find_there.matches(job_table, "c12")) == ["abc123"]
    assert ids(find_there.matches(job_table, "ws-run")) == ["abc123"]
    assert ids(find_there.matches(job_table, "ws-run_model-abc123")) == ["abc123"]
    assert ids(find_there.matches(job_table, "run_model")) == ["xyz789", "abc123"]
    assert find_there.matches(job_table, "c12")[0]["job_request_id"] is None


def test_a_whole_id_wins_over_ids_that_contain_it(job_table):
    add(job_table, "abc", "ws", "one")
    add(job_table, "abcd", "ws", "two")
    assert ids(find_there.matches(job_table, "abc")) == ["abc"]
    assert find_there.count_alike(job_table, "abc") == 1
    assert find_there.count_alike(job_table, "abcd") == 0


@pytest.mark.parametrize("word", HOSTILE_TEXTS)
def test_hostile_words_match_only_literally(job_table, word):
    add(job_table, "abc123", "ws", "run_model")
    expected = ["abc123"] if word in "ws-run_model-abc123" else []
    assert ids(find_there.matches(job_table, word)) == expected


@given(st.text(min_size=1), st.text(), st.text())
def test_a_word_matches_if_id_or_slug_contains_it(word, workspace, action):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE job (id, workspace, action, state, created_at, run_command)")
    try:
        connection.execute(
            "INSERT INTO job VALUES ('id1', ?, ?, 'failed', 1, 'x')", (workspace, action)
        )
        found = find_there.matches(connection, word)
    except UnicodeEncodeError:
        return  # half a character: check_word refuses it
    # sqlite ends a text at a NUL, which check_word also refuses.
    if "\0" not in word + workspace + action:
        assert bool(found) == (word in f"{workspace}-{action}-id1")


def find_on(connection, docker, folder, *words):
    """The host's whole answer, decoded as the client does."""
    request = msgspec.to_builtins(FindRequest("", words, str(folder), str(folder)))
    answer = find_there.answer(connection, docker, request)
    return msgspec.convert(json.loads(json.dumps(answer)), FindAnswer).matches


def test_of_many_matches_the_active_job_is_first_and_inspected(job_table, tmp_path):
    add(job_table, "running1", "w1", "longer", created_at=1)
    for number in range(70):
        add(job_table, f"old{number:02}", "w1", "longer", "failed", 100 + number)
    docker = FakeDocker(["os-job-running1"])
    found = find_on(job_table, docker, tmp_path, "w1-longer")["w1-longer"]
    assert found[0].job.id == "running1"
    assert found[0].container.name == "os-job-running1"
    assert len(found) == find_there.MATCHES + 1


def test_every_whole_id_is_inspected(job_table, tmp_path):
    wanted = [f"job{number:03}" for number in range(120)]
    for id in wanted:
        add(job_table, id)
    docker = FakeDocker([f"os-job-{id}" for id in wanted])
    found = find_on(job_table, docker, tmp_path, *wanted)
    assert {id for id in wanted if found[id][0].container} == set(wanted)


def test_without_docker_a_match_has_row_logs_and_the_reason(job_table, tmp_path):
    add(job_table, "a", state="failed")
    (tmp_path / "2026-11" / "os-job-a").mkdir(parents=True)
    (tmp_path / "2026-11" / "os-job-a" / "logs.txt").write_text("x")
    (found,) = find_on(job_table, Engine("/nonexistent/docker.sock"), tmp_path, "a")["a"]
    assert found.row["run_command"] == "python:v1 python x"
    assert [file.size_bytes for file in found.logs] == [1]
    assert "does not answer" in found.docker_problem


def test_a_found_row_may_have_values_of_any_type(job_table, tmp_path):
    add(job_table, "a", job_request_id=7, repo_url=b"\xffx")
    (found,) = find_on(job_table, FakeDocker(), tmp_path, "a")["a"]
    assert (found.row["job_request_id"], found.row["repo_url"]) == ("7", "\ufffdx")


def test_other_ids_that_contain_the_id_are_counted(job_table, tmp_path):
    add(job_table, "abc")
    add(job_table, "xABCx")
    (found,) = find_on(job_table, FakeDocker(), tmp_path, "abc")["abc"]
    assert found.alike == 1


# -- from a host -----------------------------------------------------------------------------


def request(*words):
    privacy = "/srv/high_privacy"
    database = "/home/opensafely/jobrunner/workdir/db.sqlite"
    return FindRequest(database, words, f"{privacy}/logs", f"{privacy}/volumes")


def found_job(id="abc", **more):
    return FoundJob(Job(id, "w", "a", "running"), {"id": id}, **more)


def test_jobs_are_found_with_their_host(fake_host):
    host = fake_host()
    box = Container("os-job-abc", "i", "running")
    answer = FindAnswer(5.0, {"abc": (found_job(container=box, alike=2),)})
    host.expect(FIND, request("abc", "xyz"), answer, user="opensafely")
    found = find(host, ["abc", "xyz"])
    (match,) = found["abc"]
    assert (match.host, match.now, match.alike, match.job.container) == ("tpp", 5.0, 2, "running")
    assert found["xyz"] == ()


def test_a_job_needs_docker_unless_without_docker_is_set(fake_host):
    host = fake_host()
    job = Job("abc", "w", "a", "running", "executing")
    found = FoundJob(job, {}, docker_problem="it hangs")
    answer = FindAnswer(1e9, {"abc": (found,)})
    host.expect(FIND, request("abc"), answer)
    host.expect(FIND, request("abc"), answer)
    with pytest.raises(Refused, match="cannot read the container of abc: it hangs") as caught:
        find_ids(host, ["abc"])
    assert caught.value.hint.startswith("inv -H tpp doctor; ")
    (match,) = find_ids(host, ["abc"], without_docker=True)
    assert (match.docker_problem, match.job.disagreement) == ("it hangs", "")


def test_a_container_that_docker_cannot_describe_hides_no_other_job(fake_host):
    host = fake_host()
    found = (found_job("abc"), found_job("abd", docker_problem="inspect: 500"))
    host.expect(FIND, request("ab"), FindAnswer(5.0, {"ab": found}))
    assert [m.docker_problem for m in find(host, ["ab"])["ab"]] == ["", "inspect: 500"]


def test_an_id_that_no_longer_exists_is_refused(fake_host):
    host = fake_host()
    answer = FindAnswer(5.0, {"abc": (found_job("abcd"),)})
    host.expect(FIND, request("abc"), answer)
    with pytest.raises(Refused, match="job abc no longer exists"):
        find_ids(host, ["abc"])


ROW = {"job": {"id": "a", "workspace": "w", "action": "a", "state": "running"}, "row": {}}


@pytest.mark.parametrize(
    "answer",
    [
        {"now": 1.0},
        {"now": None, "matches": {}},
        {"now": 1.0, "matches": {"abc": None}},
        {"now": 1.0, "matches": {"abc": [{"row": {}}]}},
        {"now": 1.0, "matches": {"abc": [{**ROW, "row": []}]}},
        {"now": 1.0, "matches": {"abc": [{**ROW, "volume": ["volume"]}]}},
        {"now": 1.0, "matches": {"abc": [{**ROW, "logs": [["path", 1, 2]]}]}},
        {"now": 1.0, "matches": {"abc": [{**ROW, "logs": [{"path": "p", "size_bytes": -1}]}]}},
        {"now": 1.0, "matches": {"abc": [{**ROW, "docker_problem": None}]}},
        {"now": 1.0, "matches": {"abc": [{**ROW, "alike": -1}]}},
    ],
)
def test_an_invalid_answer_names_the_host(fake_host, answer):
    host = fake_host()
    host.expect(FIND, request("abc"), Reply(out=json.dumps({"ok": answer})))
    with pytest.raises(InvalidResponse) as caught:
        find(host, ["abc"])
    assert caught.value.host == "tpp"


# -- which one -------------------------------------------------------------------------------


@given(st.text())
def test_an_accepted_word_can_be_printed_and_encoded(text):
    try:
        word = check_word(text)
    except Refused:
        assert not text.strip() or not text.isprintable() or len(text) > MAX_WORD_LENGTH
    else:
        assert word == text
        word.encode()
        assert word.isprintable()


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "a\nb", "\x1b[2J", "x" * 301, "\ud800"])
def test_words_that_cannot_name_a_job_are_refused(text):
    with pytest.raises(Refused):
        check_word(text)


def test_a_host_that_answers_with_another_job_is_wrong(fake_host):
    host = fake_host()
    privacy = host.spec.high_privacy
    request = FindRequest(host.spec.database, ("ab",), f"{privacy}/logs", f"{privacy}/volumes")
    other = FoundJob(Job("xyz", "ws", "act", "running"), {})
    host.expect(FIND, request, FindAnswer(1.0, {"ab": (other,)}))
    with pytest.raises(InvalidResponse, match="does not match"):
        find(host, ["ab"])
