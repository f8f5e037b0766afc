"""Updating images, on a strict fake host."""

import json
from dataclasses import replace

import msgspec
import pytest

from opstasks.core.errors import (
    CommandFailed,
    Interrupted,
    InvalidResponse,
    OpsError,
    Refused,
    Unreachable,
    VerifyFailed,
)
from opstasks.core.events import StepUpdated
from opstasks.core.result import Result
from opstasks.fleet.program import Reader
from opstasks.images import act
from opstasks.images.act import (
    PULL,
    SWITCH,
    ImagesResult,
    PullAnswer,
    PullProgress,
    PullRequest,
    SwitchAnswer,
    SwitchRequest,
)
from opstasks.images.names import ImageRef
from opstasks.images.plan import ImagesPlan, ImagesStep
from tests.fake_host import Reply, answered, failed, refused

PROXY = "proxy.example:5000/core"
DIGEST = "sha256:" + "a" * 64
NAMES = ("ghcr.io/opensafely-core/ehrql:v1", f"{PROXY}/ehrql:v1")
STEP = ImagesStep(
    ImageRef("ehrql", "v1"), f"{PROXY}/ehrql", DIGEST, NAMES, ("o1", "o2"), ("o1",), ()
)
PLAN = ImagesPlan((STEP,), 1)
ASKED = PullRequest(f"{PROXY}/ehrql", DIGEST, NAMES, ("o1", "o2"), ())
MOVE = SwitchRequest(f"{PROXY}/ehrql", DIGEST, "new", NAMES, ("o1", "o2"), ())


def test_a_plan_without_steps_touches_nothing(fake_host):
    assert act.apply(fake_host(), ImagesPlan((), 1)) == ImagesResult(False, free_bytes=1)


def test_content_is_pulled_before_names_move(fake_host):
    host = fake_host()
    host.expect_lock("images.update")
    half = PullProgress(2, 1, 5 << 20, 10 << 20)
    parts = [PullProgress(2, 0, 0, 0), half, half]
    host.expect(PULL, ASKED, answered(PullAnswer("new"), parts), user="opensafely")
    host.expect(SWITCH, MOVE, SwitchAnswer(("o1",)), user="opensafely")
    assert act.apply(host, PLAN) == ImagesResult(True, PLAN.steps, ("ehrql:v1",), ("o1",), ("o2",))
    assert host.steps == [
        f"pull {PROXY}/ehrql@{'a' * 12}",
        f"name it {NAMES[0]}, {NAMES[1]}",
    ]
    updates = [event for event in host.told if isinstance(event, StepUpdated)]
    assert [(event.text, event.brief) for event in updates[:2]] == [
        ("pull ehrql:v1: 0 of 2 layers", "pulled ehrql:v1"),
        ("pull ehrql:v1: 1 of 2 layers, 5 MiB of 10 MiB", "pulled ehrql:v1 (10 MiB)"),
    ]


def line_of(reply):
    """A reply of a stream: a whole line."""
    return Reply(out=reply.out + "\n")


@pytest.mark.parametrize(
    ("reply", "words", "code"),
    [
        (line_of(failed("unexpected EOF")), "unexpected EOF", 1),
        (Reply(137, err="Killed\n"), "Killed", 137),
    ],
)
def test_a_failed_pull_moves_no_name_and_says_why(fake_host, reply, words, code):
    host = fake_host()
    host.expect_lock("images.update")
    host.expect(PULL, ASKED, reply)
    with pytest.raises(CommandFailed, match="cannot pull ehrql:v1: no name was moved") as caught:
        act.apply(host, PLAN)
    assert words in caught.value.tail
    assert (caught.value.returned, "images.update ehrql:v1" in caught.value.hint) == (code, True)


def test_names_that_were_not_moved_are_a_failure_with_the_reason(fake_host):
    host = fake_host()
    host.expect_lock("images.update")
    host.expect(PULL, ASKED, PullAnswer("new"))
    host.expect(SWITCH, MOVE, failed("x is not the image that was pulled", "", "Traceback"))
    with pytest.raises(VerifyFailed, match="is not the image that was pulled") as caught:
        act.apply(host, PLAN)
    assert caught.value.__cause__.traceback == "Traceback"


def test_a_name_that_was_moved_before_the_pull_is_a_refusal(fake_host):
    host = fake_host()
    host.expect_lock("images.update")
    host.expect(PULL, ASKED, line_of(refused("x was moved since the plan was shown")))
    with pytest.raises(Refused, match="x was moved since the plan was shown") as caught:
        act.apply(host, PLAN)
    assert caught.value.hint == "inv -H tpp images.update ehrql:v1"


def test_a_name_that_was_moved_during_the_pull_is_a_failure(fake_host):
    host = fake_host()
    host.expect_lock("images.update")
    host.expect(PULL, ASKED, PullAnswer("new"))
    host.expect(SWITCH, MOVE, refused("x was moved since the plan was shown"))
    with pytest.raises(VerifyFailed, match="of ehrql:v1: x was moved since the plan") as caught:
        act.apply(host, PLAN)
    assert caught.value.hint == "inv -H tpp images.update ehrql:v1"


def step_of(name):
    """The step of an image, and the requests for it."""
    ref = ImageRef(name, "v1")
    step = replace(STEP, ref=ref, repository=f"{PROXY}/{name}", names=(f"ghcr.io/{name}:v1",))
    rest = (step.repository, step.digest)
    pull = PullRequest(*rest, step.names, step.replaced, ())
    return step, pull, SwitchRequest(*rest, f"id-{name}", step.names, step.replaced, ())


THREE = [step_of(name) for name in ("a", "b", "c")]
ALL = ImagesPlan(tuple(step for step, _, _ in THREE), 1)


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("stops", [failed("why"), refused("why")], ids=["failure", "refusal"])
def test_a_pull_that_fails_leaves_all_images_to_be_updated(fake_host, number, stops):
    host = fake_host()
    host.expect_lock("images.update")
    for step, pull, _ in THREE[:number]:
        host.expect(PULL, pull, PullAnswer(f"id-{step.ref.name}"))
    host.expect(PULL, THREE[number][1], line_of(stops))
    with pytest.raises(OpsError) as caught:
        act.apply(host, ALL)
    assert caught.value.hint.startswith("inv -H tpp images.update a:v1 b:v1 c:v1")


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(
    "stops",
    [failed("why"), refused("why"), Reply(137, err="why"), Unreachable("why"), Reply(out="why")],
    ids=["failure", "refusal", "killed", "lost", "nonsense"],
)
def test_names_that_were_not_moved_are_told_from_those_that_were(fake_host, number, stops):
    host = fake_host()
    host.expect_lock("images.update")
    for step, pull, _ in THREE:
        host.expect(PULL, pull, PullAnswer(f"id-{step.ref.name}"))
    for _, _, move in THREE[:number]:
        host.expect(SWITCH, move, SwitchAnswer(()))
    host.expect(SWITCH, THREE[number][2], stops)
    with pytest.raises(OpsError) as caught:
        act.apply(host, ALL)
    message, refs = caught.value.message, ["a:v1", "b:v1", "c:v1"]
    done, left = refs[:number], refs[number + 1 :]
    count = f"{number} of 3 updated ({', '.join(done)}); "
    assert message.startswith(count) == bool(done)
    assert message.endswith(f"; not updated: {', '.join(left)}") == bool(left)
    assert "updated" not in message.removeprefix(count).partition("; not updated")[0]
    if isinstance(caught.value, VerifyFailed):
        assert caught.value.hint == f"inv -H tpp images.update {' '.join(refs[number:])}"
    assert caught.value.hint


def test_the_next_command_keeps_the_digest_that_was_typed(fake_host):
    """Without it, the host would get whatever the registry has then."""
    (step,) = PLAN.steps
    host = fake_host()
    host.expect_lock("images.update")
    host.expect(PULL, ASKED, line_of(refused("x was moved since the plan was shown")))
    with pytest.raises(Refused) as caught:
        act.apply(host, replace(PLAN, steps=(replace(step, is_pinned=True),)))
    assert caught.value.hint == f"inv -H tpp images.update ehrql:v1 --digest {step.digest}"


def test_ctrl_c_stops_a_pull_with_or_without_progress(fake_host):
    for parts in ([], [PullProgress(1, 0, 0, 0)]):
        host = fake_host()
        host.expect_lock("images.update")
        host.expect(PULL, ASKED, answered(PullAnswer("new"), parts))
        host.stop.set()
        with pytest.raises(Interrupted, match="no name was moved; run it again"):
            act.apply(host, PLAN)


@pytest.mark.parametrize("size", [1, 7, 200])
def test_progress_in_any_pieces_is_read_line_by_line(size):
    part = PullProgress(2, 1, 5, 10)
    text = json.dumps({"part": msgspec.to_builtins(part)}) + '\n{"ok": {"id": "sha256:1"}}\n'
    seen = []
    reader = Reader(PULL, "tpp", seen.append)
    for start in range(0, len(text), size):
        reader.take(text[start : start + size].encode())
    assert reader.end(Result("x", 0, "", "")) == PullAnswer("sha256:1")
    assert seen == [part]


@pytest.mark.parametrize(
    "line",
    [
        b"Killed\n",
        b'{"part": {"layers": -1, "done": 0, "current_bytes": 0, "total_bytes": 0}}\n',
        b'{"part": {"layers": 1, "done": 0, "current_bytes": null, "total_bytes": 0}}\n',
        b'{"part": "half"}\n',
    ],
)
def test_invalid_progress_is_an_invalid_response(line):
    with pytest.raises(InvalidResponse):
        Reader(PULL, "tpp", print).take(line)


@pytest.mark.parametrize("value", [{}, {"removed": "x"}, {"removed": [None]}, []])
def test_an_invalid_list_of_removed_images_is_an_invalid_response(value):
    with pytest.raises(InvalidResponse):
        SWITCH.decode(Result("x", 0, json.dumps({"ok": value}), ""), "tpp")


def test_the_pull_is_not_in_a_process_list():
    command = PULL.stream_command(ASKED)
    assert len(command.line()) < 150
    assert len(command.stdin.value) > 1000
