"""Finding a person's job on many hosts: one match, several, or a choice by number."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from opstasks.core.errors import Refused, Unreachable
from opstasks.fleet.fleet import Fleet
from opstasks.jobs.find import (
    FIND,
    FindAnswer,
    FindRequest,
    FoundJob,
    find_one,
    find_several,
)
from opstasks.jobs.model import Job
from opstasks.jobs.read import READ, JobsAnswer, JobSelection, JobsRequest

VOLUME = ("volume", "v")
ID = "abcdefghij234567"


@dataclass
class Context:
    """A person who always chooses the line `choice`; keeps what was shown."""

    fleet: Fleet
    choice: int = 0
    shown: list = field(default_factory=list)

    def pick(self, question, lines):
        self.shown += [question, *lines]
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
    privacy = host.spec.high_privacy
    request = FindRequest(host.spec.database, (word,), f"{privacy}/logs", f"{privacy}/volumes")
    found = tuple(FoundJob(job(id, state), {}, volume=volume) for id in ids)
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
    assert ctx.shown[0] == "2 jobs match 'ab'."


def test_a_word_that_matches_no_job_is_refused_with_the_hosts_asked(hosts):
    for host in hosts:
        finds(host, "ab")
    with pytest.raises(Refused, match="no job matches 'ab' on one, two"):
        find_one(context(hosts), "ab")


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
    assert ctx.shown == ["Running jobs:", "one  abc  ws-act  running", "two  xyz  ws-act  running"]


@pytest.mark.parametrize("word", ["a", "abc", ID])
@pytest.mark.parametrize("changing", [True, False])
def test_a_host_cannot_attract_a_command_for_a_job_of_another_host(hosts, word, changing):
    """The host claims to have a job with exactly the typed text as its id: a person must choose."""
    finds(hosts[0], word, word)
    finds(hosts[1], word, ID)

    def refuse(question, lines):
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
