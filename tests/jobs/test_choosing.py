"""Finding a person's job on many hosts: one match, several, or a choice by number."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from opstasks.cli.argv import places_of
from opstasks.cli.catalogue import Catalogue, core_shape
from opstasks.cli.program import CommandLine
from opstasks.core.clock import Clock
from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet.fleet import Fleet
from opstasks.jobs.choose import (
    CHOICES,
    candidates,
    choices,
    find_one,
    find_several,
    newest_first,
    retyped,
    with_contents,
)
from opstasks.jobs.find import FIND, FindAnswer, FindRequest, FoundJob
from opstasks.jobs.model import Job, Match
from opstasks.jobs.read import READ, JobsAnswer, JobSelection, JobsRequest
from opstasks.namespace import namespace

VOLUME = ("volume", "v")
CLOCK = Clock(1_795_550_000.0)
ID = "abcdefghij234567"
SHAPES = Catalogue(namespace).shapes
CORE = core_shape(CommandLine(name="inv").core_args())


@dataclass
class Context:
    """A person who always chooses the line `choice`; keeps what was shown."""

    fleet: Fleet
    choice: int = 0
    shown: list = field(default_factory=list)

    clock = Clock(1_795_550_000.0)
    hosts_text = "-H one,two"

    options = SimpleNamespace(typed=("jobs.show", "ab"))

    def places_of(self, flag):
        return [1] if flag == "--job" else []

    def command_text(self, words):
        return f"inv {self.hosts_text} {words}"

    def pick(self, question, lines, commands):
        self.shown += [question, *(" ".join(line.split()) for line in lines)]
        self.commands = commands
        return self.choice

    @property
    def console(self):
        return SimpleNamespace(problems=lambda result: None)

    def seen(self, kind, found, values_of):
        pass

    def finish(self, result):
        raise AssertionError(f"no host answered: {result}")

    def end(self, result):
        pass


@pytest.fixture
def hosts(fake_host):
    return fake_host("one"), fake_host("two")


def context(hosts, choice=0):
    return Context(Fleet(hosts), choice)


def job(id, state="running"):
    return Job(id, "ws", "act", state)


def finds(host, word, *ids, state="running", volume=VOLUME):
    """Expect a search for this word that finds these jobs."""
    expect_find(host, word, *(FoundJob(job(id, state), {}, volume=volume) for id in ids))


def expect_find(host, word, *found):
    privacy = host.spec.high_privacy
    request = FindRequest(host.spec.database, (word,), f"{privacy}/logs", f"{privacy}/volumes")
    host.expect(FIND, request, FindAnswer(1.0, {word: found}))


def test_a_word_that_matches_one_job_needs_no_choice(hosts):
    finds(hosts[0], "ab")
    finds(hosts[1], "ab", "abc")
    host, match = find_one(context(hosts), "ab")
    assert (host.name, match.host, match.job.id) == ("two", "two", "abc")


def test_a_job_chosen_by_number_is_read_in_full(hosts):
    finds(hosts[0], "ab", "abc")
    finds(hosts[1], "ab", "abd")
    finds(hosts[1], "abd", "abd")
    ctx = context(hosts, choice=1)
    host, match = find_one(ctx, "ab")
    assert (host.name, match.job.id) == ("two", "abd")
    assert ctx.shown[0] == "2 jobs match 'ab'; newest first."


@pytest.mark.parametrize(("choice", "id"), [(0, "abc"), (1, "abd")])
@pytest.mark.parametrize("kind", [{"changing": True}, {"contained": True}, {}])
def test_only_the_chosen_job_needs_docker(fake_host, choice, id, kind):
    """`abd` is the one that docker cannot describe: it is offered, as it may be the one meant."""
    host = fake_host()
    found = {
        "abc": FoundJob(job("abc"), {}, volume=VOLUME),
        "abd": FoundJob(job("abd"), {}, docker_problem="inspect: 500"),
    }
    expect_find(host, "ab", *found.values())
    expect_find(host, id, found[id])
    ctx = context([host], choice)
    if id == "abd" and kind:
        with pytest.raises(Refused, match="cannot read the container of abd: inspect: 500"):
            find_several(ctx, ["ab"], **kind)
    else:
        ((_, match),) = find_several(ctx, ["ab"], **kind)
        assert match.job.id == id
    assert ctx.shown[0] == "2 jobs match 'ab'; newest first."


@pytest.mark.parametrize("kind", [{"changing": True}, {"contained": True}])
def test_the_only_match_needs_docker_too(fake_host, kind):
    host = fake_host()
    expect_find(host, "ab", FoundJob(job("abd"), {}, docker_problem="inspect: 500"))
    with pytest.raises(Refused, match="cannot read the container of abd"):
        find_several(context([host]), ["ab"], **kind)


def test_a_word_that_matches_no_job_is_refused_with_the_hosts_asked(hosts):
    for host in hosts:
        finds(host, "ab")
    with pytest.raises(Refused, match="no job matches 'ab' on one, two") as caught:
        find_one(context(hosts), "ab")
    assert caught.value.hint == "inv -H one,two jobs.ls --all"


def test_contained_offers_only_jobs_with_a_container_or_volume(hosts):
    finds(hosts[0], "ab", "abc", volume=None)
    finds(hosts[1], "ab", "abd")
    _, match = find_one(context(hosts), "ab", contained=True)
    assert match.job.id == "abd"


def test_a_job_that_matches_two_words_is_taken_once(fake_host):
    host = fake_host()
    privacy = host.spec.high_privacy
    words = ("ab", "abc")
    request = FindRequest(host.spec.database, words, f"{privacy}/logs", f"{privacy}/volumes")
    found = (FoundJob(job("abc"), {}),)
    host.expect(FIND, request, FindAnswer(1.0, dict.fromkeys(words, found)))
    chosen = find_several(context([host]), ["ab", "abc", "ab"])
    assert [match.job.id for _, match in chosen] == ["abc"]


@pytest.mark.parametrize(("word", "is_whole"), [("ab", False), ("abc", False), (ID, True)])
def test_a_change_needs_a_whole_id_while_a_host_does_not_answer(hosts, word, is_whole):
    finds(hosts[0], word, ID)
    privacy = hosts[1].spec.high_privacy
    request = FindRequest(hosts[1].spec.database, (word,), f"{privacy}/logs", f"{privacy}/volumes")
    hosts[1].expect(FIND, request, Unreachable("no route"))
    if is_whole:
        ((host, _),) = find_several(context(hosts), [word], changing=True)
        assert host.name == "one"
    else:
        with pytest.raises(Refused, match=f"{word!r} may mean another job on two") as caught:
            find_several(context(hosts), [word], changing=True)
        assert f"give the whole id, {ID}" in caught.value.hint


def reads(host, *ids):
    request = JobsRequest(host.spec.database, JobSelection(("running",)), 100, with_docker=True)
    host.expect(READ, request, JobsAnswer(1.0, {}, {}, tuple(map(job, ids))))


def test_without_a_word_a_person_chooses_a_running_job(hosts):
    reads(hosts[0], "abc")
    reads(hosts[1], "xyz")
    finds(hosts[1], "xyz", "xyz")
    ctx = context(hosts, choice=1)
    host, match = find_one(ctx, "")
    assert (host.name, match.job.id) == ("two", "xyz")
    assert ctx.shown == [
        "2 running, newest first.",
        "one abc ws / act running",
        "two xyz ws / act running",
    ]


@pytest.mark.parametrize("word", ["a", "abc", ID])
@pytest.mark.parametrize("changing", [True, False])
def test_a_host_cannot_attract_a_command_for_a_job_of_another_host(hosts, word, changing):
    """The host claims to have a job with exactly the typed text as its id: a person must choose."""
    finds(hosts[0], word, word)
    finds(hosts[1], word, ID)

    def refuse(question, lines, commands):
        raise Refused(f"{question} {lines}")

    ctx = context(hosts)
    ctx.pick = refuse
    with pytest.raises(Refused, match="2 jobs match") as caught:
        find_several(ctx, [word], changing=changing)
    assert "one  " in caught.value.message
    assert "two  " in caught.value.message


def test_without_a_word_and_running_jobs_the_task_is_refused(hosts):
    for host in hosts:
        reads(host)
    with pytest.raises(Refused, match="no job is running"):
        find_one(context(hosts), "")


# -- which jobs are offered, and how ---------------------------------------------------------


def test_whole_ids_on_any_host_win_over_parts():
    id = "abcdefghij234567"
    whole = Match("one", Job(id, "ws", "a", "failed"))
    part = Match("two", Job("b", f"ws-{id}", "b", "running", created_at=5))
    assert candidates(id, [part, whole]) == [whole]
    assert candidates("b", [whole, part]) == [part, whole]


@pytest.mark.parametrize(
    "word", ["ab", "abc", "abcdefghij23456", "ABCDEFGHIJ234567", "ab-cdefghij23456"]
)
def test_a_short_text_is_a_part_even_if_a_host_says_it_is_an_id(word):
    claimed = Match("hostile", Job(word, "ws", "a", "running"))
    meant = Match("honest", Job("abcdefghij234567", word, "b", "running"))
    assert len(candidates(word, [claimed, meant])) == 2


def test_a_job_without_container_and_volume_is_not_reported_as_unknown():
    over = Match("h", Job("abc", "ws", "act", "failed", "nonzero_exit"))
    running = Match("h", Job("abd", "ws", "act", "running"), volume=("volume", "v"))
    assert with_contents("ab", [over, running]) == [running]
    assert with_contents("ab", []) == []
    with pytest.raises(Refused, match="has no container or volume") as refused:
        with_contents("abc", [over])
    assert refused.value.hint == "inv -H h jobs.logs abc"
    with pytest.raises(Refused, match="none of the 2 jobs"):
        with_contents("ab", [over, over])


def made(number, **more):
    return Match("h", Job(f"job{number}", "ws", "act", "failed", created_at=number, **more))


def test_choices_are_newest_first_whatever_their_state():
    found = [made(1), made(3), Match("h", Job("run", "ws", "act", "running", created_at=2))]
    assert [match.job.id for match in newest_first(found)] == ["job3", "run", "job1"]


def test_of_many_matches_the_newest_are_offered_and_the_question_says_so(fake_host):
    host = fake_host()
    many = [f"ab{number:03}" for number in range(CHOICES + 1)]
    finds(host, "ab", *many)
    finds(host, many[0], many[0])
    ctx = context([host])
    find_one(ctx, "ab")
    question, *lines = ctx.shown
    assert question == "21 jobs match 'ab'; the newest 20 are shown, newest first."
    assert (len(lines), len(ctx.commands)) == (CHOICES, CHOICES)


@pytest.mark.parametrize("width", [54, 74, 94])
def test_a_line_of_the_choice_fits_the_window_and_has_the_whole_id(width):
    long = Job(ID, "a-long-workspace", "an_action_with_a_name", "running", "executing")
    lines = choices([Match("sandbox-1", long), Match("sandbox-2", job(ID[::-1]))], CLOCK, width)
    assert [len(line) <= width for line in lines] == [True, True]
    assert (ID in lines[0], ID[::-1] in lines[1]) == (True, True)


def test_the_command_to_type_keeps_all_flags_of_the_one_that_was_typed():
    words = ["-H", "all", "jobs.kill", "longer", "--no-cleanup", "other job"]
    typed = f"inv -H all jobs.kill {ID} --no-cleanup 'other job'"
    assert retyped(words, [3, 5], "longer", ID) == typed
    assert retyped(["jobs.show", "--job=longer"], [1], "longer", ID) == f"inv jobs.show --job={ID}"


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("-H emis jobs.kill emis", f"-H emis jobs.kill {ID}"),
        ("-Hemis jobs.kill emis emis2", f"-Hemis jobs.kill {ID} emis2"),
        ("kill-job emis -H emis", f"kill-job {ID} -H emis"),
        ("jobs.kill --job emis --hosts=emis", f"jobs.kill --job {ID} --hosts=emis"),
        ("-H emis jobs.kill --job=emis", f"-H emis jobs.kill --job={ID}"),
        ("--parallel 5 jobs.logs 5 -n 5", f"--parallel 5 jobs.logs {ID} -n 5"),
        ("jobs.logs -n5 5", f"jobs.logs -n5 {ID}"),
        ("jobs.logs --lines 5 5", f"jobs.logs --lines 5 {ID}"),
        ("jobs.mount ls -- ls", f"jobs.mount {ID} -- ls"),
    ],
)
def test_only_the_word_for_the_job_becomes_an_id(line, typed):
    """The same word may be a host, or a number of lines."""
    words = line.split()
    word = next(word for word in ("emis", "5", "ls") if word in line)
    places = places_of("--job", words, CORE, SHAPES)
    assert retyped(words, places, word, ID) == f"inv {typed}"


def test_a_line_with_a_secret_is_in_no_command_of_the_list(fake_host):
    host = fake_host()
    finds(host, "ab", ID, "abX")
    finds(host, ID, ID)
    ctx = context([host])
    ctx.options = SimpleNamespace(typed=("jobs.strace", "ab", "--", "--password", "hunter22"))
    find_one(ctx, "ab")
    assert ctx.commands == []


def test_a_command_without_a_job_gets_one_before_the_words_for_the_program():
    assert retyped(["jobs.follow"], [], "", ID) == f"inv jobs.follow {ID}"
    assert retyped(["jobs.mount", "--", "ls"], [], "", ID) == f"inv jobs.mount {ID} -- ls"


def test_an_id_of_a_host_is_no_flag_and_no_shell_text_in_a_command():
    assert retyped(["jobs.kill", "x"], [1], "x", "--yes") == "inv jobs.kill ./--yes"
    assert retyped(["jobs.kill", "x"], [1], "x", "a;b") == "inv jobs.kill 'a;b'"
