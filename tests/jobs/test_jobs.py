"""Jobs: what hosts answer, which one a word means, what may be shown."""

import json
import os
import re
import sqlite3
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.command import cmd
from opstasks.core.errors import CommandFailed, Refused, TimedOut
from opstasks.core.result import Result
from opstasks.fleet import framing
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs import find as workflow
from opstasks.jobs import model as jobs
from opstasks.jobs.model import Job
from opstasks.jobs.onhost import jobs as remote_jobs
from opstasks.onhost import engine as remote_docker
from opstasks.primitives import journal
from opstasks.primitives.docker import Container
from tests.fake_host import ANY, failed, refused

NOW = 1_800_000_000.0
HOSTILE = [
    "%",
    "_",
    "%%",
    "a_b",
    "'; DROP TABLE job; --",
    "' OR '1'='1",
    '" OR ""="',
    "$(touch /tmp/canary)",
    "`touch /tmp/canary`",
    "; touch /tmp/canary",
    "| touch /tmp/canary",
    "&& touch /tmp/canary",
    "../../etc/passwd",
    "-rf",
    "--all",
    "\\",
    "\\%",
    "*",
    "?",
    "[a-z]",
    "{}",
    "~",
    "#",
    "!!",
    "ünïcode",
    "a b",
    "job'",
    "OPSEOF",
    "\ud800",
]


@pytest.fixture
def database():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(
        'CREATE TABLE job (id TEXT, job_request_id TEXT, state TEXT, repo_url TEXT, "commit" TEXT,'
        " workspace TEXT, action TEXT, run_command TEXT, status_code TEXT, status_message TEXT,"
        " created_at INT, updated_at INT, started_at INT, completed_at INT,"
        " status_code_updated_at INT)"
    )
    return connection


def add(database, id, workspace, action, state="running", created=1):
    database.execute(
        "INSERT INTO job (id, workspace, action, state, created_at, run_command)"
        " VALUES (?, ?, ?, ?, ?, 'python:v1 python x')",
        (id, workspace, action, state, created),
    )


def ids(rows):
    return [row["id"] for row in rows]


# -- which job is meant ----------------------------------------------------------------------


def test_a_word_finds_jobs_by_part_of_id_and_of_workspace_and_action(database):
    add(database, "abc123", "ws", "run_model", created=1)
    add(database, "xyz789", "other", "run_model", created=2)
    assert ids(remote_jobs.matches(database, "c12")) == ["abc123"]
    assert ids(remote_jobs.matches(database, "ws-run")) == ["abc123"]
    assert ids(remote_jobs.matches(database, "ws-run_model-abc123")) == ["abc123"]
    assert ids(remote_jobs.matches(database, "run_model")) == ["xyz789", "abc123"]
    assert remote_jobs.matches(database, "c12")[0]["job_request_id"] is None


def test_a_whole_id_wins_over_ids_that_hold_it(database):
    add(database, "abc", "ws", "one")
    add(database, "abcd", "ws", "two")
    assert ids(remote_jobs.matches(database, "abc")) == ["abc"]


@pytest.mark.parametrize("needle", HOSTILE[:-1])
def test_hostile_words_match_literally_or_not_at_all(database, needle):
    add(database, "abc123", "ws", "run_model")
    expected = ["abc123"] if needle in "ws-run_model-abc123" else []
    assert ids(remote_jobs.matches(database, needle)) == expected
    assert ids(remote_jobs.jobs(database, {"workspace": needle, "limit": 9})) == []


@given(st.text(min_size=1), st.text(), st.text())
def test_matching_is_plain_containment(needle, workspace, action):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE job (id, workspace, action, state, created_at, run_command)")
    try:
        connection.execute(
            "INSERT INTO job VALUES ('id1', ?, ?, 'failed', 1, 'x')", (workspace, action)
        )
        found = remote_jobs.matches(connection, needle)
    except UnicodeEncodeError:
        return  # half a character: check_needle refuses it before
    # sqlite ends a text at a NUL, which check_needle refuses as well.
    if "\0" not in needle + workspace + action:
        assert bool(found) == (needle in f"{workspace}-{action}-id1")


@given(st.text())
def test_a_word_that_is_let_through_can_be_printed_and_encoded(text):
    try:
        word = jobs.check_needle(text)
    except Refused:
        assert not text.strip() or not text.isprintable() or len(text) > jobs.NEEDLE_LENGTH
    else:
        assert word == text
        word.encode()
        assert word.isprintable()


def hostile_names():
    """More than 500: each curated one, any two of them together, and what hypothesis makes up."""
    names = [*HOSTILE[:-1], *(f"{a}{b}" for a in HOSTILE[:-1] for b in HOSTILE[:-1])]
    made = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `example` is not for tests that depend on its values
        names += [made.example().replace("\0", "0") for _ in range(60)]
    return list(dict.fromkeys(names))


def test_500_hostile_names_of_workspaces_match_that_workspace_alone(database):
    names = hostile_names()
    assert len(names) > 500
    for number, name in enumerate(names[::2]):
        add(database, f"job{number}", name, "a")
    there = set(names[::2])
    for name in names:
        listed = ids(remote_jobs.jobs(database, {"workspace": name, "limit": 9}))
        assert len(listed) == (name in there), name
        remote_jobs.note_ids(database, {"workspace": name, "limit": 0})
        pages = remote_jobs.noted(database, 9)
        assert [row["id"] for page in pages for row in page] == listed
        database.execute("DROP TABLE noted")


def test_500_hostile_names_pass_a_real_shell_as_they_are(tmp_path):
    """As an argument, as input, and now and then inside of a whole program, as they are sent."""
    canary, spec = tmp_path / "canary", HostSpec(name="h", address="h", local=True)
    names = [name.replace("/tmp/canary", str(canary)) for name in hostile_names()]
    tell, repeat = ("printf", "%s\\0"), cmd("sh", "-c", "cat; printf '\\0'")
    frames, sent = [], []
    for number, name in enumerate(names):
        commands = [cmd(*tell, name), replace(repeat, stdin=f"{name}\n")]
        sent += [name, f"{name}\n"]
        if number % 300 == 0:
            program = jobs.stream_command(spec, jobs.Selection((), name), 0, 5)
            commands.append(cmd(*tell, *program.args))
            sent += map(str, program.args)
        frames += [framing.frame(command, "mark") for command in commands]
    done = subprocess.run(
        ["bash", "--norc", "-c", framing.LOOP],
        input=b"".join(frames),
        capture_output=True,
        check=True,
    )
    answers = re.split(rb"\0mark 0\0", done.stdout)
    heard = [part for answer in answers for part in answer.split(b"\0") if part]
    assert [part.decode() for part in heard] == sent
    assert not canary.exists()


@pytest.fixture
def file(tmp_path, database):
    """The same table in a file, as a host has it: its path and the host."""
    spec = HostSpec(name="h", address="h", local=True, home=str(tmp_path))
    Path(spec.database).parent.mkdir(parents=True)
    connection = sqlite3.connect(spec.database, isolation_level=None, timeout=0)
    database.backup(connection)
    yield connection, spec
    connection.close()


def streamed(spec, selection, *, limit=0, page=3):
    """What the real program on a real shell prints, and what is made of it, piece by piece."""
    command = jobs.stream_command(spec, selection, limit, page)
    done = subprocess.run(
        ["bash", "-c", command.line()],
        capture_output=True,
        check=True,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"},
    )
    taken = []
    pages = jobs.Pages(lambda page: taken.append([job.id for job in page]), strays=True)
    for start in range(0, len(done.stdout), 50):
        pages.take(done.stdout[start : start + 50])
    assert (pages.ended, pages.error) == (True, "")
    return taken


def test_hostile_names_reach_a_real_script_and_database(file, tmp_path):
    connection, spec = file
    canary = tmp_path / "canary"
    names = [name.replace("/tmp/canary", str(canary)) for name in HOSTILE[:-1]]
    for number, name in enumerate(names):
        add(connection, f"job{number}", name, "a")
    for number, name in list(enumerate(names))[3:14]:
        assert streamed(spec, jobs.Selection((), name)) == [[f"job{number}"], []]
    assert not canary.exists()


def test_a_stream_has_what_pages_have_in_the_same_order(file):
    connection, spec = file
    for number in range(10):
        add(connection, f"job{number}", "ws", "a", created=number // 2)
    expected = ids(remote_jobs.jobs(connection, {"limit": 99}))
    assert [id for page in streamed(spec, jobs.Selection()) for id in page] == expected
    assert [len(page) for page in streamed(spec, jobs.Selection())] == [3, 3, 3, 1, 0]
    few = streamed(spec, jobs.Selection(("running",)), limit=4)
    assert [id for page in few for id in page] == expected[:4]
    assert streamed(spec, jobs.Selection(("failed",))) == [[]]


def test_job_runner_can_write_however_slowly_a_stream_is_read(file):
    """A reader that waits in the middle of a query would keep its writes out."""
    connection, spec = file
    for number in range(10):
        add(connection, f"job{number}", "ws", "a", created=number)
    reader = sqlite3.connect(f"file:{spec.database}?mode=ro", uri=True, timeout=0)
    found = remote_jobs.read(reader, {"limit": 0, "page": 3, "counts": False})
    assert found["jobs"] == []
    reader.commit()
    pages = remote_jobs.noted(reader, 3)
    seen = next(pages)
    add(connection, "new", "ws", "a", created=99)
    connection.execute("DELETE FROM job WHERE id = 'job0'")
    connection.execute("UPDATE job SET state = 'failed' WHERE id = 'job1'")
    seen += [row for page in pages for row in page]
    assert ids(seen) == [f"job{number}" for number in range(9, 0, -1)]
    assert seen[-1]["state"] == "failed"


def test_a_stream_that_breaks_off_or_has_no_database_is_no_full_answer(tmp_path):
    pages = jobs.Pages(lambda page: None, strays=True)
    pages.take(b'{"error": "there is no data')
    pages.take(b'base"}\n')
    assert (pages.error, pages.ended) == (jobs.NO_DATABASE, False)
    host = SimpleNamespace(
        name="h",
        spec=HostSpec(name="h", address="h"),
        service=SimpleNamespace(stream=lambda command, take: Result("", 1, "", "Killed")),
    )
    with pytest.raises(CommandFailed, match="broke off"):
        workflow.stream(host, jobs.Selection(), 0, print)


def test_a_container_without_a_job_comes_last_in_a_stream_too():
    seen = []
    pages = jobs.Pages(lambda page: seen.extend(page), strays=True)
    look = {"image": "python:v1", "state": "running", "mount": []}
    boxes = [{**look, "name": f"os-job-{id}"} for id in ("lost", "known")]
    head = {"user_version": 1, "flags": {}, "counts": {}, "jobs": [], "now": NOW}
    known = {"id": "known", "state": "failed", "updated_at": 1}
    pages.take(
        b"\n".join(
            json.dumps(line).encode()
            for line in ({**head, "containers": boxes, "with_container": [known]}, [known])
        )
        + b'\n{"end": true}\n'
    )
    assert [job.id for job in seen] == ["known", "lost"]
    assert seen[0].disagreement == "container still runs, job is failed"
    assert seen[1].disagreement == "container without a job"


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "a\nb", "\x1b[2J", "x" * 301, "\ud800"])
def test_words_that_can_name_no_job_are_refused(text):
    with pytest.raises(Refused):
        jobs.check_needle(text)


def test_whole_ids_on_any_host_count_before_parts():
    whole = jobs.Match("one", Job("abc", "ws", "a", "failed"))
    part = jobs.Match("two", Job("abcd", "ws", "b", "running", created=5))
    assert workflow.meant("abc", [part, whole]) == [whole]
    assert workflow.meant("b", [whole, part]) == [part, whole]


# -- listing ---------------------------------------------------------------------------------


@given(st.integers(1, 7), st.lists(st.integers(1, 4), max_size=25))
def test_pages_hold_every_job_once_and_in_order(size, times):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE job (id, state, created_at, run_command)")
    for number, created in enumerate(times):
        connection.execute(
            "INSERT INTO job VALUES (?, 'failed', ?, 'x')", (f"job{number:03}", created)
        )
    seen, after, more = [], None, True
    while more:
        found = remote_jobs.read(connection, {"limit": size, "after": after, "counts": False})
        assert len(found["jobs"]) <= size
        seen += found["jobs"]
        more = found["more"]
        after = [seen[-1]["created_at"], seen[-1]["id"]] if seen else None
        connection.rollback()
    keys = [(row["created_at"], row["id"]) for row in seen]
    assert keys == sorted(keys, reverse=True)
    assert len(keys) == len(set(keys)) == len(times)


@pytest.mark.parametrize(
    ("text", "span"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("1w", 604800)],
)
def test_spans_of_time(text, span):
    assert workflow.since_of(text) == (span, 0)


def test_dates_are_utc():
    assert workflow.since_of("2026-11-24T10:00") == (0, 1795514400)
    assert workflow.since_of("2026-11-24") == (0, 1795478400)


@pytest.mark.parametrize("text", ["soon", "-1h", "1", "1y", "h", "²d", "0s", "2026-13-01", "%"])
def test_nonsense_is_no_time(text):
    with pytest.raises(Refused, match="is no"):
        workflow.since_of(text)


def test_since_counts_the_end_as_well_as_the_beginning(database):
    add(database, "old", "ws", "a", "failed", 10)
    add(database, "long", "ws", "b", "failed", 20)
    add(database, "new", "ws", "c", "failed", 2000)
    database.execute("UPDATE job SET completed_at = 1500 WHERE id = 'long'")
    assert ids(remote_jobs.jobs(database, {"since": 1000, "limit": 9})) == ["new", "long"]


@pytest.mark.parametrize(
    ("state", "everything", "since", "states"),
    [
        ("", False, "", ("running",)),
        ("", True, "", ()),
        ("", False, "2h", ()),
        ("failed", False, "", ("failed",)),
    ],
)
def test_running_jobs_unless_told_otherwise(state, everything, since, states):
    assert workflow.select(state, "", since, everything=everything).states == states


def test_an_unknown_state_is_refused_with_the_known_ones():
    with pytest.raises(Refused, match="running"):
        workflow.select("runing", "", "", everything=False)


def test_a_database_of_any_age_is_read():
    old = sqlite3.connect(":memory:", isolation_level=None)
    old.execute("CREATE TABLE job (id, state, created_at)")
    old.execute("INSERT INTO job VALUES ('a', 'running', 5)")
    found = remote_jobs.read(old, {"limit": 5})
    assert found["jobs"] == [{"id": "a", "state": "running", "created_at": 5}]
    parsed = jobs.parse(json.dumps(found))
    assert (parsed.jobs[0].created, parsed.counts, parsed.more) == (5.0, {"running": 1}, False)


# -- docker ----------------------------------------------------------------------------------


class FakeEngine:
    def __init__(self, names=(), **over):
        self.names, self.over = names, over

    def get(self, *path, **query):
        if path[-1] == "json" and len(path) == 2:
            return [{"Names": [f"/{name}"]} for name in self.names]
        if path == ("volumes",):
            return {"Volumes": [{"Name": "os-volume-a"}, {"Name": "os-volume-ab"}]}
        if path[1] not in self.names:
            raise remote_docker.EngineError("no such container", 404)
        return {
            "Image": "sha256:1",
            "Config": {"Image": "reg/python:v1", "Env": ["DATABASE_URL=mssql://u:p@h"]},
            "State": {
                "Status": "running",
                "StartedAt": "2026-11-24T18:56:17.120296212Z",
                "FinishedAt": "0001-01-01T00:00:00Z",
            },
            "HostConfig": {"NanoCpus": 500000000, "Memory": 268435456},
            "Mounts": [{"Type": "volume", "Name": "os-volume-a", "Destination": "/workspace"}],
            **self.over,
        }


def test_a_container_is_described_without_its_environment():
    found = remote_jobs.look(FakeEngine(["os-job-a"]), "os-job-a")
    assert "DATABASE_URL" not in json.dumps(found)
    assert (found["cpus"], found["memory"]) == (0.5, 268435456)
    assert found["started"] == 1795546577
    assert found["finished"] == 0
    assert found["mount"] == [["volume", "os-volume-a"]]


def test_a_quota_is_a_limit_as_well():
    engine = FakeEngine(["a"], HostConfig={"CpuQuota": 150000, "CpuPeriod": 100000})
    assert remote_jobs.look(engine, "a")["cpus"] == 1.5


def test_containers_that_only_sound_alike_are_left_out():
    found = remote_jobs.containers(FakeEngine(["os-job-a", "my-os-job-b"]))
    assert [item["name"] for item in found] == ["os-job-a"]


def test_around_a_job_are_its_volume_or_folder_and_its_newest_logs(tmp_path):
    for month in ("2026-10", "2026-11"):
        (tmp_path / "logs" / month / "os-job-a").mkdir(parents=True)
        (tmp_path / "logs" / month / "os-job-a" / "logs.txt").write_text(month)
    (tmp_path / "volumes" / "b").mkdir(parents=True)
    asked = {"volumes": str(tmp_path / "volumes"), "logs": str(tmp_path / "logs")}
    around = remote_jobs.around(FakeEngine(["os-job-a"]), asked, ["a"])["a"]
    assert around["volume"] == ["volume", "os-volume-a"]
    assert "2026-11" in around["logs"][0][0]
    around = remote_jobs.around(FakeEngine(), asked, ["b"])["b"]
    assert around["volume"] == ["bind", str(tmp_path / "volumes" / "b")]
    assert (around["container"], around["logs"]) == ({}, [])


def test_docker_that_does_not_answer_is_said_and_no_job_is_blamed(database):
    add(database, "a", "ws", "x")
    database.execute("UPDATE job SET status_code = 'executing'")
    engine = remote_docker.Engine("/nonexistent/docker.sock")
    found = remote_jobs.answer({"limit": 5, "docker": True}, database, engine)
    parsed = jobs.parse(json.dumps(found))
    assert "does not answer" in parsed.docker_error
    assert parsed.joined(strays=True)[0].disagreement == ""


# -- disagreement ----------------------------------------------------------------------------


def job(state="running", code="executing", updated=NOW - 3600, id="a"):
    return Job(id, "ws", "act", state, code, updated=updated)


def container(state="running", id="a", finished=0.0):
    return Container(f"os-job-{id}", "python:v1", state, finished=finished)


def joined(rows, boxes, also=()):
    return jobs.Database(
        jobs=tuple(rows), containers=tuple(boxes), with_container=(*rows, *also), now=NOW
    ).joined(strays=True)


@pytest.mark.parametrize(
    ("row", "boxes", "said"),
    [
        (job(), [container()], ""),
        (job(), [], "no container"),
        (job(code="preparing"), [], ""),
        (job(updated=NOW - 1), [], ""),
        (job(), [container("exited", finished=NOW - 60)], "container has exited"),
        (
            job(code="executed"),
            [container("exited", finished=NOW - 60)],
            "container has exited",
        ),
        (job(), [container("exited", finished=NOW - 1)], ""),
        (job("failed", "killed_by_admin"), [container()], "container still runs, job is failed"),
        (job("failed", "internal_error"), [container("exited")], ""),
        (job("pending", "created"), [], ""),
    ],
)
def test_what_database_and_docker_do_not_agree_about_is_flagged_once_it_lasts(row, boxes, said):
    (found,) = joined([row], boxes)
    assert found.disagreement == said


def test_a_container_without_a_job_comes_last():
    first, stray = joined([job()], [container(), container(id="zz")])
    assert (first.id, stray.id, stray.state) == ("a", "zz", "?")
    assert stray.disagreement == "container without a job"


def test_a_container_whose_job_was_not_asked_for_is_no_stray_unless_it_is_odd():
    over = job("succeeded", "succeeded", id="b")
    assert joined([job()], [container(), container("exited", id="b")], [over])[1:] == ()
    (odd,) = joined([job()], [container(), container(id="b")], [over])[1:]
    assert odd.disagreement == "container still runs, job is succeeded"


# -- time ------------------------------------------------------------------------------------

LINES = [
    "2026-11-24T18:56:18.426656+0000 sandbox-1 python3[360]: 2026-11-24 18:56:18.426Z run  "
    "Preparing your code and workspace files status=StatusCode.PREPARING workspace=w1 id=a",
    "2026-11-24T18:56:20.135437+0000 sandbox-1 python3[360]: 2026-11-24 18:56:20.133Z run  "
    "State change for job a: X -> Y status=StatusCode.PREPARING workspace=w1 id=a",
    "2026-11-24T18:56:21.097364+0000 sandbox-1 python3[360]: 2026-11-24 18:56:21.097Z run  "
    "Executing job on the backend status=StatusCode.EXECUTING workspace=w1 id=a",
    "2026-11-24T18:56:22.097364+0000 sandbox-1 python3[360]: 2026-11-24 18:56:22.097Z run  "
    "Executing job on the backend status=StatusCode.EXECUTING workspace=w1 id=a",
    "not one of ours",
]


def test_the_times_of_each_status_are_read_from_the_services_lines():
    found = jobs.statuses(LINES)
    assert [(round(time), code) for time, code, _ in found] == [
        (1795546578, "preparing"),
        (1795546581, "executing"),
    ]


@given(st.lists(st.text()))
def test_any_line_at_all_may_stand_in_the_journal(lines):
    assert jobs.statuses(lines) == ()


def test_the_timeline_is_in_order_and_ends_with_the_end():
    over = Job(
        "a",
        "ws",
        "act",
        "failed",
        "nonzero_exit",
        created=1795546574,
        started=1795546577,
        completed=1795546582,
        updated=1795546582,
        status_message="Job exited",
    )
    box = Container(
        "os-job-a", "i", "exited", exit_code=1, started=1795546579.5, finished=1795546580
    )
    moments = workflow.timeline(jobs.Match("h", over, box), jobs.statuses(LINES))
    assert [moment.name for moment in moments] == [
        "created",
        "started",
        "preparing",
        "container started",
        "container ended",
        "executing",
        "completed",
    ]
    assert moments[4].text == "exit code 1"
    assert [m.time for m in moments] == sorted(m.time for m in moments)


# -- very many that match --------------------------------------------------------------------


def test_of_very_many_the_active_one_comes_first_and_is_looked_at(database, tmp_path):
    add(database, "running1", "w1", "longer", created=1)
    for number in range(70):
        add(database, f"old{number:02}", "w1", "longer", state="failed", created=100 + number)
    asked = {"volumes": str(tmp_path), "logs": str(tmp_path), "docker": True, "counts": False}
    asked["needles"] = ["w1-longer"]
    found = remote_jobs.answer(asked, database, FakeEngine(["os-job-running1"]))
    assert found["matches"]["w1-longer"][0]["id"] == "running1"
    assert found["around"]["running1"]["container"]["name"] == "os-job-running1"
    assert len(found["around"]) == remote_jobs.MATCHES


def test_every_whole_id_is_looked_at_however_many_there_are(database, tmp_path):
    ids = [f"job{number:03}" for number in range(120)]
    for id in ids:
        add(database, id, "w1", "longer")
    asked = {"volumes": str(tmp_path), "logs": str(tmp_path), "docker": True, "counts": False}
    engine = FakeEngine([f"os-job-{id}" for id in ids])
    found = remote_jobs.answer({**asked, "needles": ids}, database, engine)
    assert {id for id in ids if found["around"][id]["container"]} == set(ids)


def test_without_docker_row_and_logs_are_there_and_what_is_missing_is_said(database, tmp_path):
    add(database, "a", "w1", "longer", state="failed")
    (tmp_path / "2026-11" / "os-job-a").mkdir(parents=True)
    (tmp_path / "2026-11" / "os-job-a" / "logs.txt").write_text("x")
    asked = {"volumes": str(tmp_path), "logs": str(tmp_path), "docker": True, "counts": False}
    dead = remote_docker.Engine("/nonexistent/docker.sock")
    found = remote_jobs.answer({**asked, "needles": ["a"]}, database, dead)
    (match,) = jobs.parse_matches("h", json.dumps(found))["a"]
    assert match.logs
    assert match.docker_error


@pytest.mark.parametrize("name", HOSTILE)
def test_a_workspace_that_cannot_be_printed_reaches_no_host(name):
    if name.isprintable():
        assert workflow.select("", name, "", everything=True).workspace == name
    else:
        with pytest.raises(Refused, match="is no workspace"):
            workflow.select("", name, "", everything=True)


def test_a_docker_that_does_not_answer_is_asked_once(tmp_path):
    asked = {"volumes": str(tmp_path), "logs": str(tmp_path)}
    questions = []

    def get(*path, **query):
        questions.append(path)
        raise remote_docker.EngineError("docker does not answer: timed out")

    found = remote_jobs.around(SimpleNamespace(get=get), asked, ["a", "b", "c"])
    assert [found[job]["docker_error"] for job in "abc"] == [
        "docker does not answer: timed out"
    ] * 3
    assert len(questions) == 1


def test_one_container_that_docker_cannot_tell_of_hides_no_other(tmp_path):
    asked = {"volumes": str(tmp_path), "logs": str(tmp_path)}

    class Odd(FakeEngine):
        def get(self, *path, **query):
            if path[1:2] == ("os-job-a",):
                raise remote_docker.EngineError("broken", 500)
            return super().get(*path, **query)

    found = remote_jobs.around(Odd(["os-job-b"]), asked, ["a", "b"])
    assert found["a"]["docker_error"] == "broken"
    assert found["b"]["container"]["name"] == "os-job-b"


# -- the service's lines ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        (journal.RecordsAnswer(()), ""),
        (TimedOut("late"), "the journal took more than 20 s"),
        (failed("no", "Bad message"), "the journal cannot be read: Bad message"),
        (refused("no", "No permission"), "the journal cannot be read: No permission"),
    ],
)
def test_a_timeline_says_what_is_not_in_it(fake_host, answer, missing):
    host = fake_host("h")
    host.expect(journal.RECORDS, ANY, answer)
    job = Job("abc", "w", "a", "succeeded", created=NOW, started=NOW + 1, completed=NOW + 2)
    life = workflow.life(host, jobs.Match("h", job))
    assert life.missing == missing
    assert [moment.name for moment in life.moments] == ["created", "started", "completed"]
    # A job's lines end with it: the rest of the journal need not be read.
    assert f"--until=@{NOW + 2 + 86400:.0f}" in host.seen[0].request.options
