"""`logs`: the command for one host, and its answer."""

import pytest

from opstasks.core.command import Command
from opstasks.core.errors import CommandFailed, InvalidResponse, ProgramFailed, Refused
from opstasks.logs.read import WantedLog, follow, read
from opstasks.primitives import journal
from opstasks.primitives.journal import RECORDS, JournalAnswer, JournalRequest
from tests.fake_host import ANY, Reply, answered, failed, refused

DENIED = "No journal files were opened due to insufficient permissions."


def test_the_newest_lines_are_read_as_the_service_account(fake_host):
    host = fake_host()
    host.expect(journal.unit_lines("jobrunner", lines=2), "one\ntwo\n", user="opensafely")
    assert read(host, WantedLog(lines=2)) == ["one", "two"]
    assert host.seen[0].max_bytes == journal.MAX_LOG_BYTES


@pytest.mark.parametrize("is_followed", [False, True])
def test_an_endless_line_is_cut_with_a_mark(fake_host, is_followed):
    host = fake_host()
    host.expect(journal.unit_lines("jobrunner", follow=is_followed), "x" * (3 << 20) + "\nnext\n")
    seen = []
    if is_followed:
        follow(host, WantedLog(), seen.append)
    else:
        seen = read(host, WantedLog())
    assert seen[0] == "x" * 65_536 + "… (the rest of this line is left out)"
    assert seen[1] == "next"


def test_the_records_of_a_job_come_from_the_program(fake_host):
    host = fake_host()
    request = journal.unit_records("jobrunner", "abc", lines=5, since_time="1h")
    host.expect(RECORDS, request, JournalAnswer(("one", "two")), user="opensafely")
    assert read(host, WantedLog(lines=5, since="1h", job="abc")) == ["one", "two"]
    assert RECORDS.max_bytes == journal.MAX_LOG_BYTES


@pytest.mark.parametrize("job", ["", "abc"])
def test_a_journal_that_may_not_be_read_is_refused_with_a_hint(fake_host, job):
    host = fake_host()
    if job:
        host.expect(RECORDS, ANY, refused("insufficient permissions", DENIED))
    else:
        host.expect(journal.unit_lines("jobrunner"), Reply(1, err=DENIED))
    with pytest.raises(Refused, match="may not read the journal") as error:
        read(host, WantedLog(job=job))
    assert error.value.hint == "inv -H tpp doctor"


@pytest.mark.parametrize("is_followed", [False, True])
def test_another_refusal_keeps_its_own_hint(fake_host, is_followed):
    host = fake_host()
    host.expect(RECORDS, ANY, Refused("account opensafely does not exist", hint="manage"))
    with pytest.raises(Refused, match="does not exist") as error:
        if is_followed:
            follow(host, WantedLog(job="abc"), lambda line: None)
        else:
            read(host, WantedLog(job="abc"))
    assert error.value.hint == "manage"


def test_a_journalctl_that_fails_is_an_error(fake_host):
    host = fake_host()
    host.expect(journal.unit_lines("jobrunner"), Reply(2, err="Bad message"))
    with pytest.raises(CommandFailed, match="exit code 2"):
        read(host, WantedLog())
    host.expect(RECORDS, ANY, failed("journalctl failed with exit code 2"))
    with pytest.raises(ProgramFailed):
        read(host, WantedLog(job="abc"))


@pytest.mark.parametrize(
    "answer", ['{"ok": {}}', '{"ok": {"lines": null}}', '{"ok": {"lines": [1]}}', "no", "[]"]
)
def test_an_invalid_answer_is_an_invalid_response(fake_host, answer):
    host = fake_host()
    host.expect(RECORDS, ANY, Reply(out=answer))
    with pytest.raises(InvalidResponse):
        read(host, WantedLog(job="abc"))


def test_following_a_job_passes_on_the_parts(fake_host):
    host = fake_host()
    request = journal.unit_records("jobrunner", "abc", follow=True)
    host.expect(RECORDS, request, answered(JournalAnswer(()), parts=["one", "two"]))
    lines = []
    follow(host, WantedLog(job="abc"), lines.append)
    assert lines == ["one", "two"]


def test_following_passes_on_whole_lines(fake_host):
    host = fake_host()
    host.expect(journal.unit_lines("jobrunner", lines=5, follow=True), "one\ntwo\nhal")
    lines = []
    follow(host, WantedLog(lines=5), lines.append)
    assert lines == ["one", "two"]


@pytest.mark.parametrize("job", ["", "abc"])
def test_an_exception_while_waiting_ends_following(fake_host, job):
    class Gone(Exception):
        pass

    def gone():
        raise Gone

    host = fake_host()
    if job:
        host.expect(RECORDS, ANY, JournalAnswer(()))
    else:
        host.expect(journal.unit_lines("jobrunner", follow=True), "")
    with pytest.raises(Gone):
        follow(host, WantedLog(job=job), lambda line: None, gone)


def test_the_request_has_journalctls_options_without_a_shell():
    request = journal.unit_records("jobrunner", "a b", since_time="1h30m", until_at=1e9)
    assert isinstance(request, JournalRequest)
    assert "--since=-5400s" in request.options
    assert "--until=@1000000000" in request.options
    assert isinstance(RECORDS.command(request), Command)
