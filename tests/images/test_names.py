"""Valid names of images, tags and digests."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.images import names


@pytest.mark.parametrize(
    ("text", "ref"),
    [("ehrql", "ehrql:latest"), ("ehrql:v1", "ehrql:v1"), ("stata-mp", "stata-mp:latest")],
)
def test_an_image_is_named_by_its_last_part(text, ref):
    assert str(names.parse_ref(text)) == ref
    assert names.parse_ref(text).under("h:5000/core/") == f"h:5000/core/{ref}"


HOSTILE = (
    *("", ":", "a:", ":v1", "A", "a/b", "../a", "a b", "a;b", "$(id)", "`id`", "-a", "a\n", "a\0"),
    *("a:b:c", "a@sha256:00", "a:-x", "a:" + "x" * 200, "a?x=1", "a&b", "é", "a:v1/../..", "a%2f"),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_refused(text):
    with pytest.raises(Refused):
        names.parse_ref(text)


@settings(deadline=None)
@given(st.text(max_size=20))
@example("a:b\n")
def test_an_accepted_name_is_plain(text):
    try:
        ref = names.parse_ref(text)
    except Refused:
        return
    assert re.fullmatch(r"[a-z0-9._-]+:[A-Za-z0-9_.-]+", str(ref))
    assert not str(ref).endswith("\n")


@pytest.mark.parametrize("digest", ["x", "sha256:", "sha256:" + "G" * 64, "a" * 64, "sha256:$(id)"])
def test_an_invalid_digest_is_refused_before_any_round_trip(digest):
    with pytest.raises(Refused, match="is not a digest"):
        names.check_digest(digest)
    names.check_digest("sha256:" + "0" * 64)
    names.check_digest("")


@pytest.mark.parametrize("text", ["-x", "a b", "a\n", "$(id)", "http://a/b?c", "A.example"])
def test_an_invalid_registry_is_refused(text):
    with pytest.raises(Refused, match="cannot be a registry"):
        names.valid_registry(text)
    assert names.valid_registry("h:5000/core") == "h:5000/core"
