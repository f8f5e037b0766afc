"""The host's side of `images`, with engines of several releases behind a socket."""

import json
import os
from types import SimpleNamespace

import pytest

from opstasks.core.errors import CommandFailed, Refused
from opstasks.core.events import StepUpdated
from opstasks.fleet.inventory import HostSpec
from opstasks.images import act, facts
from opstasks.images.names import ImageRef
from opstasks.images.onhost import inspect as remote_inspect
from opstasks.images.onhost import pull as remote_pull
from opstasks.images.onhost import switch as remote_switch
from opstasks.images.plan import make_plan
from opstasks.onhost.engine import Engine
from opstasks.onhost.protocol import HostFailure, HostRefusal
from tests.fake_engine import (
    DOCKER_29,
    NEW_DIGEST,
    NEW_ID,
    OLD_DIGEST,
    OLD_ID,
    PROXY,
    REGISTRY,
)
from tests.images.images_help import ProgramHost

REPOSITORY = f"{PROXY}/ehrql"
NAME = f"{REGISTRY}/ehrql:v1"
SHOWN = {"names": [NAME], "replaced": [OLD_ID], "free": []}
PULL = {"repository": REPOSITORY, "digest": NEW_DIGEST, **SHOWN, "every_s": 0, "limit_s": 60}


@pytest.fixture
def host(monkeypatch):
    """A host whose programs use the engine of the test."""
    monkeypatch.setattr(facts, "registries", lambda host: (REGISTRY,))
    host = ProgramHost(registry=REGISTRY, registry_proxy=PROXY)
    yield host
    host.finish()


def parts(capsys):
    return [json.loads(line)["part"] for line in capsys.readouterr().out.splitlines()]


def switch(**over):
    words = {"id": NEW_ID, **SHOWN, **over}
    return remote_switch.main({"repository": REPOSITORY, "digest": NEW_DIGEST, **words})


# -- whole tasks, for every release of docker ------------------------------------------------


def test_images_ls_works_with_every_release(any_engine, host):
    any_engine.containers = [{"Names": ["/os-job-a"], "ImageID": OLD_ID}]
    named, replaced = facts.ls(host)
    assert (named.name, named.id, named.users) == (NAME, OLD_ID, ("os-job-a",))
    assert (named.size_bytes, named.created_at) == (3 << 20, 1_800_000_000)
    assert (replaced.name, replaced.users) == (None, ())


def test_images_update_works_with_every_release(any_engine, host):
    ref = ImageRef("ehrql", "v1")
    plan = make_plan(facts.inspect(host, [ref]), [ref])
    host.expect_lock("images.update")
    assert act.apply(host, plan).removed == (OLD_ID,)
    assert any_engine.tags == {NAME: NEW_ID}
    assert list(any_engine.digests) == [NEW_ID]
    updates = [event.text for event in host.told if isinstance(event, StepUpdated)]
    assert "pull ehrql:v1: 2 of 2 layers, 10 B of 10 B" in updates
    assert not make_plan(facts.inspect(host, [ref]), [ref]).changed
    asked = {version for version, _, path in any_engine.log if path != "/_ping"}
    assert asked == {any_engine.release.newest}


def test_a_failed_pull_says_why_with_every_release(any_engine, host):
    any_engine.break_pull("unexpected EOF")
    ref = ImageRef("ehrql", "v1")
    plan = make_plan(facts.inspect(host, [ref]), [ref])
    host.expect_lock("images.update")
    with pytest.raises(CommandFailed) as caught:
        act.apply(host, plan)
    assert caught.value.tail == "unexpected EOF"
    assert any_engine.tags == {NAME: OLD_ID}


# -- inspecting ------------------------------------------------------------------------------


def test_a_missing_engine_is_refused(monkeypatch, tmp_path, host):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing")
    with pytest.raises(HostRefusal, match=r"docker does not answer: .*No such file"):
        remote_inspect.main({"prefixes": [], "sources": []})
    with pytest.raises(Refused, match=r"docker does not answer: .*No such file"):
        facts.ls(host)


def test_an_image_missing_in_the_registry_is_an_offer_with_an_error(start_engine):
    engine = start_engine()
    engine.answers["/distribution/h:5000/x:v1/json"] = (404, {"message": "manifest unknown"})
    found = remote_inspect.offered(Engine(), "h:5000/x:v1")
    assert found == {"digest": "", "error": "docker says: manifest unknown"}


def test_images_without_a_date_or_size_are_in_the_answer(start_engine):
    engine = start_engine(DOCKER_29)
    image = {"Id": "1", "RepoTags": None, "RepoDigests": [f"{REPOSITORY}@{OLD_DIGEST}"]}
    odd = {**image, "Created": -62135596800, "Size": -1}
    engine.answers["/images/json"] = (200, [odd, {**image, "Created": None}])
    engine.answers["/containers/json"] = (200, [{"Names": None, "ImageID": "1"}])
    found = remote_inspect.main({"prefixes": [f"{PROXY}/"], "sources": []})["images"]
    assert [(i["created_at"], i["size_bytes"], i["users"]) for i in found] == [(0, 0, ["?"])] * 2


# -- pulling ---------------------------------------------------------------------------------


def test_a_pull_sends_its_layers_and_ends_with_the_image(start_engine, capsys):
    start_engine()
    assert remote_pull.main(PULL) == {"id": NEW_ID}
    sent = parts(capsys)
    assert sent[-1] == {"layers": 2, "done": 2, "current_bytes": 10, "total_bytes": 10}
    assert {"layers": 2, "done": 1, "current_bytes": 5, "total_bytes": 10} in sent


def test_progress_is_sent_after_each_layer_and_at_intervals(start_engine, capsys):
    start_engine()
    remote_pull.main({**PULL, "every_s": 3600})
    assert [part["done"] for part in parts(capsys)] == [0, 1, 2]


def test_a_pull_that_takes_too_long_is_a_failure(start_engine):
    start_engine()
    with pytest.raises(HostFailure, match="not complete after 0 hours"):
        remote_pull.main({**PULL, "limit_s": 0})


def test_a_busy_docker_has_the_same_time_for_every_question_of_a_pull(start_engine, monkeypatch):
    start_engine()
    limits = []

    def engine(path="", timeout_s=0.0):
        limits.append(timeout_s)
        return Engine(path, timeout_s)

    monkeypatch.setattr(remote_pull, "Engine", engine)
    remote_pull.main(PULL)
    assert limits == [remote_pull.SILENCE_S] * 2


@pytest.mark.parametrize(("free", "begins"), [(1 << 29, False), ((1 << 30) + 14, True)])
def test_a_pull_stops_if_it_would_fill_the_disk(start_engine, monkeypatch, free, begins):
    engine = start_engine()
    disk = SimpleNamespace(f_bavail=free, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    with pytest.raises(HostFailure, match=r"the disk would fill: .* free, 1 GiB needed"):
        remote_pull.main(PULL)
    assert ("/images/create" in engine.requests("POST")) is begins
    assert engine.tags == {NAME: OLD_ID}


# -- switching -------------------------------------------------------------------------------


def test_names_move_and_the_old_image_is_removed(start_engine):
    engine = start_engine()
    assert switch() == {"removed": [OLD_ID]}
    assert engine.tags == {NAME: NEW_ID}
    assert list(engine.digests) == [NEW_ID]


def test_names_that_another_operator_moved_meanwhile_stay(any_engine, host):
    ref = ImageRef("ehrql", "v1")
    shown = make_plan(facts.inspect(host, [ref]), [ref])
    any_engine.digests["newer"] = [f"{REPOSITORY}@sha256:{'c' * 64}"]
    any_engine.tags[NAME] = "newer"
    host.expect_lock("images.update")
    with pytest.raises(Refused, match=f"{NAME} was moved since the plan was shown"):
        act.apply(host, shown)
    assert any_engine.tags == {NAME: "newer"}
    assert not any_engine.requests("POST")


def test_a_name_that_was_moved_during_the_pull_stays(start_engine):
    engine = start_engine()
    engine.digests["newer"] = [f"{REPOSITORY}@sha256:{'c' * 64}"]
    engine.tags["second:v1"] = "newer"
    with pytest.raises(HostRefusal, match="second:v1 was moved since the plan was shown"):
        switch(names=[NAME, "second:v1"])
    assert engine.tags == {NAME: OLD_ID, "second:v1": "newer"}


def test_a_name_that_was_removed_meanwhile_stays_removed(start_engine):
    engine = start_engine()
    del engine.tags[NAME]
    with pytest.raises(HostRefusal, match="was moved since the plan was shown"):
        switch()
    assert engine.tags == {}
    assert switch(free=[NAME]) == {"removed": [OLD_ID]}


def test_the_same_update_by_another_operator_is_no_reason_to_refuse(start_engine):
    engine = start_engine()
    engine.tags[NAME] = NEW_ID
    del engine.digests[OLD_ID]
    assert switch() == {"removed": [OLD_ID]}
    assert engine.tags == {NAME: NEW_ID}


def test_the_port_of_a_registry_is_not_a_tag(start_engine):
    engine = start_engine()
    switch(names=["h:5000/a/b:v1"], replaced=[], free=["h:5000/a/b:v1"])
    assert engine.tags["h:5000/a/b:v1"] == NEW_ID


def test_an_old_image_is_kept_if_a_container_or_name_uses_it(start_engine):
    engine = start_engine()
    engine.containers = [{"ImageID": OLD_ID}]
    assert switch() == {"removed": []}
    engine.containers, engine.tags["mine:v1"] = [], OLD_ID
    assert switch() == {"removed": []}
    assert OLD_ID in engine.digests


def test_an_image_with_other_content_than_pulled_is_a_failure(start_engine):
    engine = start_engine()
    engine.digests[NEW_ID] = [f"{REPOSITORY}@{OLD_DIGEST}"]
    with pytest.raises(HostFailure, match="is not the image that was pulled"):
        switch()
    assert OLD_ID in engine.digests


def test_the_source_is_the_proxy_if_there_is_one():
    assert facts.source(HostSpec(name="h", registry=REGISTRY)) == REGISTRY
    assert facts.source(HostSpec(name="h", registry=REGISTRY, registry_proxy=f"{PROXY}/")) == PROXY
