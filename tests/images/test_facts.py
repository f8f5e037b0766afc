"""The images of a host: the request, the rows, and invalid answers."""

import json

import msgspec
import pytest

from opstasks.config.inspect import paths
from opstasks.config.values import VALUES, ValuesAnswer, ValuesRequest
from opstasks.core.command import Secret
from opstasks.core.errors import InvalidResponse, Refused
from opstasks.core.result import Result
from opstasks.images import facts
from opstasks.images.facts import (
    INSPECT,
    HostImage,
    ImagesAnswer,
    ImagesRequest,
    RegistryOffer,
)
from opstasks.images.names import ImageRef
from tests.fake_host import refused

OURS, PROXY = "ghcr.io/opensafely-core", "proxy.example:5000/core"
DIGEST = "sha256:" + "a" * 64
USED = HostImage("sha256:1", (), (f"{PROXY}/ehrql@{DIGEST}",), 5.0, 6, ("os-job-x",))
NAMED = HostImage("sha256:2", (f"{OURS}/ehrql:v1", "mine:v1"), (), 0, 6, ())
UNUSED = HostImage("sha256:3", (), (f"{PROXY}/r@{DIGEST}",), 5.0, 6, ())


@pytest.fixture
def host(fake_host):
    return fake_host(registry=OURS, registry_proxy=PROXY)


def has_setting(host, value=None):
    """Expect the request for the host's own registry."""
    values = {} if value is None else {facts.REGISTRY_KEY: Secret(value)}
    request = ValuesRequest(paths(host.spec), (facts.REGISTRY_KEY,))
    host.expect(VALUES, request, ValuesAnswer(values), user="opensafely")


def test_images_of_every_registry_for_job_runner_are_requested(host):
    has_setting(host, "other.example/core/")
    prefixes = (f"{OURS}/", "other.example/core/", f"{PROXY}/")
    request = ImagesRequest(prefixes, (f"{PROXY}/ehrql:v1",))
    offers = {f"{PROXY}/ehrql:v1": RegistryOffer(DIGEST)}
    host.expect(INSPECT, request, ImagesAnswer((NAMED,), 7, offers), user="opensafely")
    found = facts.inspect(host, [ImageRef("ehrql", "v1")])
    assert (found.registries, found.source) == ((OURS, "other.example/core"), PROXY)
    assert (found.free_bytes, found.named("mine:v1"), found.named("x")) == (7, NAMED, None)
    assert found.offer(f"{PROXY}/ehrql:v1").digest == DIGEST
    assert found.offer("never asked").error


def test_images_without_a_name_come_last_and_show_their_use(host):
    has_setting(host)
    request = ImagesRequest((f"{OURS}/", f"{PROXY}/"), ())
    host.expect(INSPECT, request, ImagesAnswer((USED, UNUSED, NAMED), 7, {}))
    rows = facts.ls(host)
    assert [(row.name, row.digest, row.users) for row in rows] == [
        (f"{OURS}/ehrql:v1", None, ()),
        (None, DIGEST, ("os-job-x",)),
        (None, DIGEST, ()),
    ]


def test_a_docker_that_does_not_answer_is_refused_with_a_hint(host):
    has_setting(host)
    request = ImagesRequest((f"{OURS}/", f"{PROXY}/"), ())
    host.expect(INSPECT, request, refused("docker does not answer: No such file"))
    with pytest.raises(Refused, match="docker does not answer: No such file") as caught:
        facts.ls(host)
    assert caught.value.hint == "inv -H tpp doctor"


def told(**over):
    good = {"images": [msgspec.to_builtins(USED)], "free_bytes": 7, "offers": {}}
    return Result("x", 0, json.dumps({"ok": {**good, **over}}), "")


@pytest.mark.parametrize(
    "over",
    [
        {"free_bytes": -1},
        {"free_bytes": None},
        {"images": [{}]},
        {"images": [{**msgspec.to_builtins(USED), "size_bytes": -1}]},
        {"images": [{**msgspec.to_builtins(USED), "created_at": 1e12}]},
        {"images": [{**msgspec.to_builtins(USED), "tags": None}]},
        {"offers": {"x": {"digest": "sha256:$(id)"}}},
        {"offers": {"x": {"digest": DIGEST + "\n"}}},
        {"offers": {"x": {"digest": None}}},
    ],
)
def test_an_invalid_answer_names_the_host(over):
    INSPECT.decode(told(), "tpp")
    with pytest.raises(InvalidResponse) as caught:
        INSPECT.decode(told(**over), "tpp")
    assert caught.value.host == "tpp"
