"""The plan for an update of images."""

import pytest

from opstasks.core.errors import Refused
from opstasks.images.facts import HostImage, ImagesFacts, RegistryOffer
from opstasks.images.names import ImageRef
from opstasks.images.plan import make_plan

OURS, PROXY = "ghcr.io/opensafely-core", "proxy.example:5000/core"
NEW, OLD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
REF = ImageRef("ehrql", "v1")
OFFER = RegistryOffer(NEW)


def image(id, *tags, digest="", users=()):
    return HostImage(id, tags, (f"{PROXY}/ehrql@{digest}",) if digest else (), 0, 1, users)


def plan(*have, offer=OFFER, registries=(OURS,), source=PROXY, digest=""):
    offers = {REF.under(source): offer}
    return make_plan(ImagesFacts("h", registries, source, have, 1, offers), [REF], digest)


def step(*have, **over):
    (made,) = plan(*have, **over).steps
    return made


def test_an_image_that_has_the_content_is_not_changed():
    assert not plan(image("1", f"{OURS}/ehrql:v1", digest=NEW)).changed


def test_an_image_with_other_content_is_replaced():
    made = step(image("1", f"{OURS}/ehrql:v1", digest=OLD, users=("os-job-x",)))
    assert made.names == (f"{OURS}/ehrql:v1",)
    assert (made.replaced, made.users, made.digest) == (("1",), ("os-job-x",), NEW)


def test_all_names_for_job_runner_and_a_manual_one_are_moved():
    have = (
        image("1", f"{OURS}/ehrql:v1", digest=NEW),
        image("2", "other/ehrql:v1"),
        image("3", f"{PROXY}/ehrql:v1"),
    )
    made = step(*have, registries=(OURS, "other"))
    assert made.names == (f"{OURS}/ehrql:v1", "other/ehrql:v1", f"{PROXY}/ehrql:v1")
    assert set(made.replaced) == {"1", "2", "3"}


def test_a_registry_that_is_its_own_source_is_named_once():
    made = step(image("1", f"{OURS}/ehrql:v1"), source=OURS)
    assert made.names == (f"{OURS}/ehrql:v1",)


def test_a_missing_image_is_pulled():
    made = step()
    assert (made.replaced, made.free) == ((), made.names)


def test_a_name_that_no_image_has_yet_is_free():
    made = step(image("1", "other/ehrql:v1"), registries=(OURS, "other"))
    assert (made.names, made.free) == (
        (f"{OURS}/ehrql:v1", "other/ehrql:v1"),
        (f"{OURS}/ehrql:v1",),
    )


def test_an_image_missing_in_the_registry_is_refused():
    with pytest.raises(Refused, match=r"manifest unknown; nothing was changed"):
        plan(offer=RegistryOffer(error="manifest unknown"))
    with pytest.raises(Refused, match="nothing was changed"):
        plan(offer=RegistryOffer())


def test_another_digest_than_the_requested_one_is_refused():
    assert plan(digest=NEW).changed
    with pytest.raises(Refused, match="nothing was changed"):
        plan(digest=OLD)
