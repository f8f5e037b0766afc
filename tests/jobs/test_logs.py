"""`jobs.logs`: lines from pieces, where output is read, and metadata without secrets."""

import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opstasks.core.errors import CommandFailed, InvalidResponse, ProgramFailed, Refused
from opstasks.jobs import logs as jobs_logs
from opstasks.jobs import logs_tasks
from opstasks.jobs.find import FIND, FindAnswer, FindRequest, FoundJob
from opstasks.jobs.logs import METADATA, MetadataAnswer, MetadataRequest
from opstasks.jobs.model import Container, Job, LogFile, Match
from opstasks.jobs.onhost import metadata as metadata_there
from opstasks.onhost.protocol import HostRefusal
from tests.fake_host import Reply, failed, refused


def through(pieces, *, stamped=True):
    shown = []
    lines = jobs_logs.LogLines(shown.extend, strip=not stamped)
    for piece in pieces:
        lines.take(piece)
    lines.end()
    return shown


@given(st.lists(st.binary(max_size=20)))
def test_lines_do_not_depend_on_the_pieces_of_a_log(pieces):
    assert through(pieces) == through([b"".join(pieces)])


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"))))
def test_every_line_is_passed_on(lines):
    assert through(["".join(line + "\n" for line in lines).encode()]) == lines


def test_an_endless_line_is_passed_on_in_pieces_and_not_kept():
    shown = []
    lines = jobs_logs.LogLines(shown.extend, strip=False)
    for _ in range(1000):
        lines.take(b"x" * 10_000)
        assert len(lines._rest) <= jobs_logs.MAX_LINE_BYTES + 10_000
    lines.end()
    assert sum(map(len, shown)) == 10_000_000


def test_times_are_left_out_unless_requested():
    line = b"2026-11-24T18:56:21.090024529Z the cohort is empty\n"
    assert through([line], stamped=False) == ["the cohort is empty"]
    assert through([line]) == [line.decode().rstrip("\n")]


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        (jobs_logs.LogSource(container="os-job-a"), "2026-11-24T18:56:21.09Z begun"),
        (jobs_logs.LogSource(path="/logs/os-job-a/logs.txt"), "begun"),
    ],
)
def test_only_a_saved_log_has_dockers_times(fake_host, where, shown):
    host, lines = fake_host(), []
    command = jobs_logs.read_command(where, lines=0, timestamps=False, follow=False)
    host.expect(command, "2026-11-24T18:56:21.09Z begun\n", user="opensafely")
    jobs_logs.show(host, where, lines.extend, lines=0, timestamps=False, follow=False)
    assert lines == [shown]


FILE = jobs_logs.LogSource(path="/logs/os-job-a/logs.txt")
BOX = jobs_logs.LogSource(container="os-job-a", running=True)


def test_a_log_that_cannot_be_read_is_a_failure(fake_host):
    host = fake_host()
    command = jobs_logs.read_command(FILE, lines=5, timestamps=False, follow=False)
    host.expect(command, Reply(1, "", "No such file"))
    with pytest.raises(CommandFailed, match=r"cannot read /logs/os-job-a/logs.txt") as caught:
        jobs_logs.show(host, FILE, print, lines=5, timestamps=False, follow=False)
    assert caught.value.tail == "No such file"


def test_following_ends_with_the_exit_code_of_the_job(fake_host):
    host = fake_host()
    command = jobs_logs.read_command(BOX, lines=5, timestamps=False, follow=True)
    host.expect(command, Reply(137))
    assert jobs_logs.show(host, BOX, print, lines=5, timestamps=False, follow=True) == 137


def match(container=None, logs=()):
    return Match("h", Job("a", "ws", "act", "failed", "x"), container, logs=logs)


def test_output_is_read_from_the_container_or_the_log_folder():
    file = LogFile("/logs/os-job-a/logs.txt", 10)
    box = Container("os-job-a", "i", "running")
    gone = Container("os-job-a", "i", "exited")
    assert jobs_logs.source(match(box)).container == "os-job-a"
    assert jobs_logs.source(match(box, (file,))).running
    assert jobs_logs.source(match(gone)).container == "os-job-a"
    assert jobs_logs.source(match(gone, (file,))).path == file.path
    with pytest.raises(Refused, match="no output"):
        jobs_logs.source(match())
    silent = replace(match(), docker_problem="no answer")
    with pytest.raises(Refused, match="cannot read the container of a: no answer"):
        jobs_logs.source(silent)
    assert jobs_logs.source(replace(silent, logs=(file,))).path == file.path


def test_names_are_arguments_and_not_part_of_a_script():
    where = jobs_logs.LogSource(container="os-job-$(id)", running=True)
    command = jobs_logs.read_command(where, lines=5, timestamps=True, follow=True)
    assert command.args[:2] == ("bash", "-c")
    assert command.args[4:] == (5, "os-job-$(id)", "--timestamps")
    command = jobs_logs.read_command(where, lines=5, timestamps=True, follow=False)
    assert command.args[4:] == ("os-job-$(id)", "--timestamps", "--tail=5")
    file = jobs_logs.LogSource(path="-rf")
    assert jobs_logs.read_command(file, lines=0, timestamps=False, follow=True).args == (
        "cat",
        "--",
        "-rf",
    )


# -- counting ---------------------------------------------------------------------------------


def test_a_log_is_counted_on_the_host(fake_host):
    host = fake_host()
    host.expect(jobs_logs.count_command(FILE), "  12  345\n", user="opensafely")
    found = jobs_logs.summarise(host, match(), FILE, follow=False)
    assert found == jobs_logs.LogSummary("a", "", FILE.path, 12, 345)


@pytest.mark.parametrize("text", ["", "12", "a b", "-1 5", "1 2 3", "² 3"])
def test_a_count_that_is_not_a_number_is_an_invalid_response(text):
    with pytest.raises(InvalidResponse) as caught:
        jobs_logs.parse_counts(text, "tpp")
    assert caught.value.host == "tpp"


def ends_with(host, code):
    """What a host answers when a log is followed to the end of its job, and counted then."""
    host.expect(jobs_logs.wait_command(BOX), Reply(code))
    privacy = host.spec.high_privacy
    request = FindRequest(host.spec.database, ("a",), f"{privacy}/logs", f"{privacy}/volumes")
    over = FoundJob(Job("a", "w", "a", "failed"), {}, logs=(LogFile(FILE.path, 9),))
    host.expect(FIND, request, FindAnswer(1.0, {"a": (over,)}))
    host.expect(jobs_logs.count_command(FILE), "1 9\n")


def test_a_followed_log_is_counted_at_its_place_after_the_end(fake_host):
    host = fake_host()
    ends_with(host, 3)
    found = jobs_logs.summarise(host, match(), BOX, follow=True)
    assert (found.path, found.exit_code) == (FILE.path, 3)


@pytest.mark.parametrize(("code", "told"), [(0, 0), (3, 3), (jobs_logs.NO_CODE, None)])
def test_the_document_of_a_followed_log_has_our_exit_code(run_task, host, monkeypatch, code, told):
    box = Container("os-job-a", "img", "running")
    monkeypatch.setattr("opstasks.jobs.choose.find_one", lambda *_, **__: (host, match(box)))
    ends_with(host, code)
    ended, out, _ = run_task(logs_tasks.logs, job="a", follow=True, options={"json": True})
    document = json.loads(out)
    assert (ended, document["exit_code"]) == (code, code)
    assert document["hosts"]["tpp"]["value"]["exit_code"] == told


# -- metadata.json ----------------------------------------------------------------------------

CANARY = "hunter2-canary"
METADATA_FILE = {
    "exit_code": "137",
    "repo_url": "https://github.com/opensafely/x",
    "job_server_token": CANARY,
    "note": f"mssql://user:{CANARY}@10.0.0.1/db failed",
    "container_metadata": {
        "Config": {
            "Env": [
                f"DATABASE_URL=mssql://user:{CANARY}@10.0.0.1/db",
                f"STATA_LICENSE={CANARY}",
                f"ANYTHING={CANARY}",
                "OPENSAFELY_BACKEND=tpp",
                "TZ=xxxx-REDACTED-xxxx",
            ]
        }
    },
}


def test_only_possible_secrets_are_masked():
    shown = metadata_there.masked(METADATA_FILE)
    assert CANARY not in json.dumps(shown)
    assert shown["repo_url"] == METADATA_FILE["repo_url"]
    assert shown["exit_code"] == "137"
    assert "OPENSAFELY_BACKEND=tpp" in shown["container_metadata"]["Config"]["Env"]
    assert "DATABASE_URL=***" in shown["container_metadata"]["Config"]["Env"]


def test_variables_unmasked_in_the_file_are_named():
    assert metadata_there.unmasked_variables(METADATA_FILE) == [
        "DATABASE_URL",
        "STATA_LICENSE",
        "ANYTHING",
    ]
    for odd in ({}, [], None, {"container_metadata": []}, {"container_metadata": {"Config": 1}}):
        assert metadata_there.unmasked_variables(odd) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["DATABASE_URL", "token", "db_password", "SecretThing", "api_key"]))
def test_a_secret_is_masked_at_any_depth(value, key):
    deep = {"a": [value, {"b": {key: CANARY, "Env": [f"{key}={CANARY}"]}}]}
    assert CANARY not in json.dumps(metadata_there.masked(deep))


@example("0?")
@example("1#")
@given(
    st.text(st.characters(exclude_characters="/@ \n\t", exclude_categories=["Z", "C"]), min_size=1)
)
def test_a_password_in_a_url_is_masked_anywhere_in_a_text(password):
    text = f"cannot connect to mssql://user:{password}{CANARY}@10.0.0.1/db now"
    assert CANARY not in metadata_there.masked({"message": text})["message"]


@pytest.mark.parametrize(
    "value",
    [
        {"secret": {"v": CANARY, "n": [CANARY, {"x": CANARY}]}},
        {"tokens": [{"v": CANARY}]},
        {"Environment": [f"DB={CANARY}"]},
        {"environment": {"DB": CANARY, "PATH": "/bin"}},
        {"Env": f"DB={CANARY}"},
        {"Env": [CANARY, f"mssql://u:{CANARY}?x=1"]},
        {"Args": ["curl", f"--user=a:{CANARY}"]},
        {"Cmd": ["sshpass", "-p", CANARY]},
        {"auth": CANARY},
        {"JWT": CANARY, "pat": CANARY, "key": CANARY, "Cookie": CANARY},
        {f"mssql://u:{CANARY}@h": 1},
    ],
)
def test_everything_in_a_secret_field_and_each_variable_is_masked(value):
    assert CANARY not in json.dumps(metadata_there.masked({"a": [value]}))


def test_fields_that_only_sound_like_secrets_stay():
    plain = {"author": "ada", "path": "/x", "exit_code": "0", "outputs": {"a/b.csv": "highly"}}
    assert metadata_there.masked(plain) == plain
    assert metadata_there.masked({"Env": {"LANG": "C"}}) == {"Env": {"LANG": "C"}}


PATH = "/logs/os-job-a/metadata.json"
WITH_METADATA = match(logs=(LogFile(PATH, 10),))


def test_metadata_is_read_from_the_host(fake_host):
    host = fake_host()
    answer = MetadataAnswer({"exit_code": "0"}, ("DATABASE_URL",))
    host.expect(METADATA, MetadataRequest(PATH), answer, user="opensafely")
    assert jobs_logs.read_metadata(host, WITH_METADATA) == answer


def test_a_job_without_metadata_is_refused(fake_host):
    with pytest.raises(Refused) as caught:
        jobs_logs.read_metadata(fake_host(), match())
    assert caught.value.message == "a (failed, x) has no metadata.json"
    assert caught.value.hint == "inv -H h jobs.show a"
    active = replace(match(), job=replace(match().job, state="running"))
    with pytest.raises(Refused, match=r"has no metadata.json yet"):
        jobs_logs.read_metadata(fake_host(), active)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refused(f"cannot read {PATH}: no"), Refused),
        (failed("broken"), ProgramFailed),
        (Reply(out='{"ok": {"metadata": {}}}'), InvalidResponse),
        (Reply(out='{"ok": {"metadata": {}, "exposed": [null]}}'), InvalidResponse),
    ],
)
def test_metadata_that_cannot_be_read_is_an_error_of_that_host(fake_host, reply, error):
    host = fake_host()
    host.expect(METADATA, MetadataRequest(PATH), reply)
    with pytest.raises(error) as caught:
        jobs_logs.read_metadata(host, WITH_METADATA)
    assert caught.value.host == "tpp"


def test_a_file_that_is_not_json_is_a_refusal(tmp_path):
    path = tmp_path / "metadata.json"
    for text in ("", "{", "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(HostRefusal, match="cannot read"):
            metadata_there.main({"path": str(path)})
    path.write_text(json.dumps(METADATA_FILE))
    found = metadata_there.main({"path": str(path)})
    assert CANARY not in json.dumps(found["metadata"])
