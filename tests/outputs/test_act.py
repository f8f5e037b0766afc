"""outputs.ls, outputs.rm and outputs.attest: the requests to the host, in order."""

import json
from dataclasses import replace

import pytest

from opstasks.core.errors import (
    Interrupted,
    InvalidResponse,
    OpsError,
    ProgramFailed,
    Refused,
    Unreachable,
    VerifyFailed,
)
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.lock import Owner
from opstasks.outputs import act, listing, removals
from opstasks.outputs.act import INSPECT, REMOVE, InspectAnswer, RemovalInspectRequest, RemoveAnswer
from opstasks.outputs.listing import FILES, WORKSPACES
from opstasks.outputs.onhost.records import Attestation, RemovalRecord
from opstasks.outputs.plan import (
    FoundOutput,
    InspectedOutput,
    OutputFacts,
    RemovalItem,
    RemovalPlan,
)
from opstasks.outputs.removals import ATTEST, RECORDS, RemovalsAnswer, records_request
from tests.fake_host import ANY, Reply, failed, refused

FACTS = OutputFacts(dev=1, ino=2, size_bytes=4, mtime_ns=5, owner="opensafely", sha256="ab")
THERE = replace(FACTS, dev=7, ino=8)
HERE = FoundOutput(FACTS)
NOW = 1_000_000.0
TO_WRITE = records_request(HostSpec(name="tpp"), to_write=True)
SOURCE = {"level3_source": "/e/source", "level4_folder": "D:\\ws"}
REMOVED = RemovalRecord("abc-1", "W", "a.csv", state="removed", who="alice@laptop")


def inspected(*files, away=False):
    return InspectAnswer(files, away, NOW)


def ask_about(host, *paths):
    return act.inspect_request(host.spec, "W", paths)


def expect_inspection(host, *files, records=()):
    request = ask_about(host, *(file.path for file in files))
    host.expect(INSPECT, request, inspected(*files))
    host.expect(RECORDS, TO_WRITE, RemovalsAnswer(tuple(records)))


# -- listing ---------------------------------------------------------------------------------


def test_files_are_listed_with_their_age(fake_host):
    host = fake_host()
    file = listing.ListedFile("out/a.csv", "file", 4, "opensafely", NOW - 60)
    later = listing.ListedFile("b.csv", "file", 4, "opensafely", NOW + 60)
    request = listing.FilesRequest("/srv/medium_privacy/workspaces", "W")
    host.expect(FILES, request, listing.FilesAnswer((file, later), NOW))
    (found,) = listing.listings(host, ["W", "W"])
    assert [(e.path, e.age_s) for e in found.entries] == [("out/a.csv", 60.0), ("b.csv", 0.0)]
    assert (found.files, found.size_bytes, found.newest_age_s) == (2, 8, 0.0)


def test_without_a_name_the_workspaces_are_listed(fake_host):
    host = fake_host()
    answer = listing.WorkspacesAnswer(
        (
            listing.ListedWorkspace("V", 2, 9, NOW - 5),
            listing.ListedWorkspace("W"),
            listing.ListedWorkspace("X", error="Permission denied"),
        ),
        NOW,
    )
    host.expect(WORKSPACES, ANY, answer)
    found = listing.listings(host, [])
    assert [(one.name, one.error, one.files, one.newest_age_s) for one in found] == [
        ("V", None, 2, 5.0),
        ("W", None, 0, None),
        ("X", "Permission denied", 0, None),
    ]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (("a", "my-study"), "no workspace my-stuy: there are my-study, a"),
        (("it's", "x\ny"), "no workspace my-stuy: there are \"it's\", $'x\\x0ay'"),
        (tuple("abcdefgh"), "no workspace my-stuy: there are a, b, c, d, e, f and 2 more"),
        ((), "no workspace my-stuy: there is none"),
    ],
)
def test_an_unknown_workspace_is_refused_with_those_that_exist(fake_host, known, said):
    host = fake_host()
    host.expect(FILES, ANY, listing.FilesAnswer((), NOW, known))
    with pytest.raises(Refused) as caught:
        listing.listings(host, ["my-stuy"])
    assert (caught.value.message, caught.value.hint) == (said, "inv -H tpp outputs.ls")


FILE = {"path": "a", "kind": "file", "size_bytes": 1, "owner": "o", "modified_at": 1.0}


@pytest.mark.parametrize(
    "over",
    [
        {"path": None},
        {"kind": "socket"},
        {"size_bytes": -1},
        {"size_bytes": 1.5},
        {"owner": 7},
        {"modified_at": 1e12},
        {"modified_at": "today"},
    ],
    ids=repr,
)
def test_a_nonsense_listing_is_an_invalid_response(fake_host, over):
    host = fake_host()
    answer = {"ok": {"files": [{**FILE, **over}], "now_at": NOW}}
    host.expect(FILES, ANY, Reply(out=json.dumps(answer)))
    with pytest.raises(InvalidResponse):
        listing.listings(host, ["W"])


# -- planning --------------------------------------------------------------------------------


def test_a_preview_inspects_files_and_records_in_one_round_trip(fake_host):
    host = fake_host(**SOURCE)
    expect_inspection(host, InspectedOutput("a.csv", HERE, FoundOutput(THERE)))
    full = "/srv/medium_privacy/workspaces/W/a.csv"
    plan = act.preview(host, "W", ["a.csv", full])
    assert plan == RemovalPlan("W", (RemovalItem("a.csv", FACTS, THERE),), (), NOW)
    assert plan.at_source == plan.items


def test_a_file_that_was_removed_before_has_nothing_to_remove(fake_host):
    host = fake_host()
    others = (replace(REMOVED, id="d-1", workspace="V"), replace(REMOVED, id="e-1", file="b"))
    older = replace(REMOVED, id="f-1", who="bob@laptop")
    expect_inspection(host, InspectedOutput("a.csv"), records=[*others, REMOVED, older])
    plan = act.preview(host, "W", ["a.csv"])
    assert (plan.items, plan.gone) == ((), (REMOVED,))


def test_an_interrupted_removal_is_planned_again(fake_host):
    host = fake_host()
    interrupted = replace(REMOVED, state="removing")
    expect_inspection(host, InspectedOutput("a.csv"), records=[interrupted])
    (item,) = act.preview(host, "W", ["a.csv"]).items
    assert item.is_interrupted
    assert item.here is None


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (InspectedOutput("a.csv"), "no file a.csv in W"),
        (InspectedOutput("a.csv", FoundOutput(error="'x' is a link")), "in the workspace: 'x' is"),
        (InspectedOutput("a.csv", HERE, FoundOutput(error="is bad")), "at the sync's source: is"),
    ],
    ids=["absent", "link", "error at the source"],
)
def test_a_file_that_cannot_be_removed_is_refused(fake_host, file, message):
    host = fake_host()
    expect_inspection(host, file)
    with pytest.raises(Refused, match=message) as caught:
        act.preview(host, "W", ["a.csv"])
    assert (caught.value.host, bool(caught.value.hint)) == ("tpp", True)


UNREADABLE = RemovalRecord("x-1", "", "", state="unreadable", error="permission denied")


def test_a_record_that_cannot_be_read_matters_only_for_an_absent_file(fake_host):
    host = fake_host()
    expect_inspection(host, InspectedOutput("a.csv", HERE), records=[UNREADABLE])
    assert len(act.preview(host, "W", ["a.csv"]).items) == 1
    expect_inspection(host, InspectedOutput("a.csv"), records=[UNREADABLE])
    text = r"no file a\.csv in W, but the record of x-1 cannot be read: permission denied"
    with pytest.raises(Refused, match=text):
        act.preview(host, "W", ["a.csv"])


def test_nothing_is_asked_if_a_removal_could_not_be_recorded(fake_host):
    host = fake_host()
    host.expect(INSPECT, ANY, inspected(InspectedOutput("a.csv", HERE)))
    closed = {"reason": "cannot write to /x: it belongs to root", "cause": "closed"}
    host.expect(RECORDS, TO_WRITE, Reply(out=json.dumps({"refused": closed})))
    with pytest.raises(Refused, match="cannot write to /x") as caught:
        act.preview(host, "W", ["a.csv"])
    assert "chown" in caught.value.hint


def test_an_answer_about_other_files_is_an_invalid_response(fake_host):
    host = fake_host()
    host.expect(INSPECT, ask_about(host, "a.csv"), inspected(InspectedOutput("b.csv", HERE)))
    host.expect(RECORDS, TO_WRITE, RemovalsAnswer(()))
    with pytest.raises(InvalidResponse, match="other files"):
        act.preview(host, "W", ["a.csv"])


GOOD = {"dev": 1, "ino": 2**64 - 1, "size_bytes": 4, "mtime_ns": 5, "owner": "o", "sha256": "ab"}


@pytest.mark.parametrize(
    "facts",
    [
        {**GOOD, "size_bytes": -1},
        {**GOOD, "ino": "2"},
        {**GOOD, "mtime_ns": 1 << 80},
        {**GOOD, "sha256": None},
        {"size_bytes": 4},
        "a file",
    ],
    ids=repr,
)
def test_nonsense_facts_are_an_invalid_response(fake_host, facts):
    host = fake_host()
    for here in (GOOD, facts):
        files = [{"path": "a.csv", "here": {"facts": here}, "source": {}}]
        answer = {"files": files, "source_away": False, "now_at": NOW}
        host.expect(INSPECT, ask_about(host, "a.csv"), Reply(out=json.dumps({"ok": answer})))
        host.expect(RECORDS, TO_WRITE, RemovalsAnswer(()))
    act.preview(host, "W", ["a.csv"])
    with pytest.raises(InvalidResponse):
        act.preview(host, "W", ["a.csv"])


# -- removing --------------------------------------------------------------------------------


def planned(*items):
    return RemovalPlan("W", items, (), NOW)


ITEM = RemovalItem("a.csv", FACTS, None)


def gone(host, path="a.csv"):
    """The inspection after a removal: of the workspace alone."""
    request = RemovalInspectRequest("/srv/medium_privacy/workspaces", "", "W", (path,))
    host.expect(INSPECT, request, inspected(InspectedOutput(path)))


ROOT = "/srv/medium_privacy/workspaces"


def asked(host):
    """The request for the removal."""
    (request,) = [c.request for c in host.seen if getattr(c, "module", "") == REMOVE.module]
    return request


def test_a_file_is_removed_under_the_lock_and_its_absence_is_verified(fake_host, monkeypatch):
    host = fake_host()
    monkeypatch.setattr("secrets.token_hex", lambda size: "abc")
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    gone(host)
    result = act.apply(host, planned(ITEM), source="keep", reason="why")
    assert (result.changed, result.now.removed) == (True, (f"{ROOT}/W/a.csv",))
    assert host.steps == ["remove a.csv"]
    request = asked(host)
    assert (request.record.file, request.record.reason) == ("a.csv", "why")
    assert (request.record.size_bytes, request.record.sha256) == (4, "ab")
    (place,) = request.places
    assert place.identity == {"dev": 1, "ino": 2, "size_bytes": 4, "mtime_ns": 5, "sha256": "ab"}
    assert (place.root, request.sync_lock) == ("/srv/medium_privacy/workspaces", "")


def test_the_copy_at_the_source_goes_first_and_without_numbers_of_the_drive(fake_host):
    host = fake_host(**SOURCE)
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    gone(host)
    act.apply(host, planned(replace(ITEM, source=THERE)), source="remove", reason="")
    request = asked(host)
    assert [place.root for place in request.places] == [
        "/e/source",
        "/srv/medium_privacy/workspaces",
    ]
    assert request.places[0].identity == {"size_bytes": 4, "mtime_ns": 5, "sha256": "ab"}
    assert request.record.source == "removed"
    assert request.record.partner_path == "D:\\ws\\W\\a.csv"
    assert request.sync_lock


def test_a_copy_that_is_kept_at_the_source_is_recorded_as_kept(fake_host):
    host = fake_host(**SOURCE)
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    gone(host)
    act.apply(host, planned(replace(ITEM, source=THERE)), source="keep", reason="")
    request = asked(host)
    assert (len(request.places), request.record.source) == (1, "kept")


def test_an_interrupted_removal_continues_with_its_own_record(fake_host):
    host = fake_host()
    record = replace(REMOVED, state="removing", sha256="ab")
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    gone(host)
    act.apply(host, planned(RemovalItem("a.csv", None, None, record)), source="keep", reason="")
    request = asked(host)
    assert request.record == record
    assert request.places[0].identity == {}


@pytest.mark.parametrize(
    ("choice", "source", "hash_"), [("remove", "removed", "ab"), ("keep", "kept", "")]
)
def test_an_interrupted_removal_decides_anew_about_the_source(fake_host, choice, source, hash_):
    host = fake_host(**SOURCE)
    record = replace(REMOVED, state="removing", source="removed" if choice == "keep" else "kept")
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    gone(host)
    act.apply(host, planned(RemovalItem("a.csv", FACTS, THERE, record)), source=choice, reason="")
    request = asked(host)
    assert (request.record.source, request.record.source_sha256) == (source, hash_)
    assert len(request.places) == (2 if choice == "remove" else 1)


@pytest.mark.parametrize("is_away", [True, False])
def test_a_copy_at_a_source_that_is_away_is_not_called_removed(fake_host, is_away):
    host = fake_host(**SOURCE)
    record = replace(REMOVED, state="removing", source="removed", source_sha256="ab")
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    gone(host)
    plan = replace(planned(RemovalItem("a.csv", FACTS, None, record)), source_away=is_away)
    act.apply(host, plan, source="keep", reason="")
    request = asked(host)
    assert request.record.source == ("kept" if is_away else "removed")
    assert len(request.places) == (1 if is_away else 2)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"failed": {"reason": "why"}}, "inv -H tpp outputs.ls W"),
        ({"failed": {"reason": "why", "cause": "unfinished"}}, "inv -H tpp outputs.pending"),
        ({"refused": {"reason": "why", "cause": "full"}}, "free some space there"),
        ({"refused": {"reason": "why"}}, "inv -H tpp doctor"),
    ],
)
def test_the_hint_of_a_failed_removal_depends_on_its_cause(fake_host, answer, hint):
    host = fake_host()
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, Reply(out=json.dumps(answer)))
    with pytest.raises(OpsError, match=r"a\.csv: why") as caught:
        act.apply(host, planned(ITEM), source="keep", reason="")
    assert caught.value.hint.startswith(hint)


def test_a_failed_removal_names_the_file_and_stops(fake_host):
    host = fake_host()
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, failed("changed since it was shown: size_bytes"))
    with pytest.raises(ProgramFailed, match="changed since it was shown") as caught:
        act.apply(host, planned(ITEM, replace(ITEM, path="b.csv")), source="keep", reason="")
    assert caught.value.message.startswith("a.csv: changed since")
    assert caught.value.hint == "inv -H tpp outputs.ls W"


def test_a_file_that_is_back_at_once_fails_the_removal(fake_host):
    host = fake_host()
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    host.expect(INSPECT, ANY, inspected(InspectedOutput("a.csv", HERE)))
    with pytest.raises(VerifyFailed, match=r"a\.csv is back"):
        act.apply(host, planned(ITEM), source="keep", reason="")


def test_an_entry_that_cannot_be_read_afterwards_is_not_called_the_file(fake_host):
    host = fake_host()
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    odd = FoundOutput(error="is not a regular file")
    host.expect(INSPECT, ANY, inspected(InspectedOutput("a.csv", odd)))
    with pytest.raises(VerifyFailed, match=r"a\.csv was removed; what is there now cannot be read"):
        act.apply(host, planned(ITEM), source="keep", reason="")


def test_ctrl_c_takes_effect_between_two_files(fake_host):
    host = fake_host()
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    gone(host)
    host.tell = lambda event: host.stop.set()
    with pytest.raises(Interrupted, match="1 of 2 removed"):
        act.apply(host, planned(ITEM, replace(ITEM, path="b.csv")), source="keep", reason="")


def test_nothing_to_remove_takes_no_lock(fake_host):
    assert not act.apply(fake_host(), planned(), source="keep", reason="").changed


def test_a_host_that_someone_else_changes_is_left_alone(fake_host):
    host = fake_host()
    host.expect_lock("outputs.rm", held_by=Owner("alice@laptop", "deploy", "", "r1"))
    with pytest.raises(Refused, match="alice@laptop"):
        act.apply(host, planned(ITEM), source="keep", reason="")


SECOND, THIRD = replace(ITEM, path="b.csv"), replace(ITEM, path="c.csv")


@pytest.mark.parametrize(
    "stops",
    [
        failed("changed since it was shown: size_bytes"),
        refused("it is refused"),
        Unreachable("connection lost"),
        Reply(137),
    ],
    ids=["failure", "refusal", "lost connection", "killed program"],
)
def test_an_error_after_some_files_says_what_was_removed_and_what_remains(fake_host, stops):
    """All under one lock: nobody else can change the host between two files."""
    host = fake_host(**SOURCE)
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(replace(REMOVED, partner_path="D:\\ws\\W\\a.csv")))
    gone(host)
    host.expect(REMOVE, ANY, stops)
    with pytest.raises(OpsError, match=r"1 of 3 removed; ") as caught:
        act.apply(host, planned(ITEM, SECOND, THIRD), source="keep", reason="")
    error = caught.value
    assert error.outcome in ("failed", "unknown")
    assert error.now.removed == (f"{ROOT}/W/a.csv",)
    assert "D:\\ws\\W\\a.csv" in error.tail
    assert "outputs.attest abc" in error.tail
    assert error.hint


LOST = Unreachable("connection lost")
IN_THE_WAY = inspected(InspectedOutput("b.csv", FoundOutput(error="is not a regular file")))


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize(
    ("read", "words"),
    [
        (LOST, "connection lost"),
        (failed("permission denied"), "permission denied"),
        (Reply(137), ""),
        (Reply(out="hello"), "invalid response"),
        (inspected(InspectedOutput("other", HERE)), "other files than"),
        (IN_THE_WAY, "b.csv was removed; what is there now cannot be read: is not a regular file"),
        (inspected(InspectedOutput("b.csv", HERE)), "b.csv is back"),
    ],
    ids=["lost", "failed", "killed", "nonsense", "others", "in the way", "back"],
)
def test_a_removed_file_counts_whatever_the_read_after_it_says(fake_host, before, read, words):
    """Its record is written on the host, and the partner still has the copy."""
    host = fake_host(**SOURCE)
    host.expect_lock("outputs.rm")
    paths = [*(f"{number}.csv" for number in range(before)), "b.csv"]
    for path in paths:
        removed = replace(REMOVED, file=path, partner_path=f"D:\\ws\\W\\{path}")
        host.expect(REMOVE, ANY, RemoveAnswer(removed))
        if path != "b.csv":
            gone(host, path)
    host.expect(INSPECT, ANY, read)
    items = [replace(ITEM, path=path) for path in (*paths, "never.csv")]
    with pytest.raises(OpsError) as caught:
        act.apply(host, planned(*items), source="keep", reason="")
    error, is_back = caught.value, words.endswith("is back")
    counted = paths[:-1] if is_back else paths
    assert error.now.removed == tuple(f"{ROOT}/W/{path}" for path in counted)
    count = f"{len(counted)} of {before + 2} removed; "
    assert error.message.startswith(count) == bool(counted)
    assert words in error.message
    assert all(f"D:\\ws\\W\\{path}" in error.tail for path in paths)
    assert "never.csv" not in error.tail
    assert error.hint


def test_a_file_that_somebody_else_removed_meanwhile_is_not_a_change(fake_host):
    host = fake_host()
    host.expect_lock("outputs.rm")
    host.expect(REMOVE, ANY, RemoveAnswer(REMOVED))
    gone(host)
    result = act.apply(host, planned(ITEM), source="keep", reason="")
    assert (result.changed, result.records, result.gone) == (False, (), (REMOVED,))
    assert result.now.removed == (f"{ROOT}/W/a.csv",)


# -- attesting -------------------------------------------------------------------------------

ATTESTED = replace(REMOVED, attested=Attestation("Alex", "a@b", NOW))


def test_only_removals_without_attestation_are_attested(fake_host):
    host = fake_host()
    other = replace(ATTESTED, id="abc-2")
    host.expect(RECORDS, TO_WRITE, RemovalsAnswer((REMOVED, other)))
    host.expect_lock("outputs.attest")
    host.expect(ATTEST, ANY, RemovalsAnswer((ATTESTED,)))
    result = removals.attest(host, ["abc"], "Alex", "by phone")
    assert result == removals.AttestResult(True, (ATTESTED,))
    request = host.seen[-1].request
    assert (request.ids, request.by, request.note) == (("abc-1",), "Alex", "by phone")


def test_attesting_again_changes_nothing(fake_host):
    host = fake_host()
    host.expect(RECORDS, TO_WRITE, RemovalsAnswer((ATTESTED,)))
    assert not removals.attest(host, ["abc-1"], "Eve", "").changed


def test_removals_that_another_person_attested_meanwhile_are_no_change(fake_host):
    host = fake_host()
    host.expect(RECORDS, TO_WRITE, RemovalsAnswer((REMOVED,)))
    host.expect_lock("outputs.attest")
    host.expect(ATTEST, ANY, RemovalsAnswer(()))
    host.expect(RECORDS, records_request(host.spec), RemovalsAnswer((ATTESTED,)))
    result = removals.attest(host, ["abc"], "Eve", "")
    assert result == removals.AttestResult(False, (ATTESTED,))


def test_a_removal_that_is_not_finished_cannot_be_attested(fake_host):
    host = fake_host()
    interrupted = replace(REMOVED, state="removing")
    host.expect(RECORDS, TO_WRITE, RemovalsAnswer((interrupted,)))
    with pytest.raises(Refused, match="not removed yet"):
        removals.attest(host, ["abc-1"], "Alex", "")
