"""git: which names are safe, and exact commands."""

import pytest

from opstasks.core.errors import Refused
from opstasks.primitives import git


@pytest.mark.parametrize(
    "ref", ["", "-x", "--upload-pack=evil", "a..b", "a b", "a;b", "$(x)", "a.lock", "x/", "a\nb"]
)
def test_hostile_refs_are_refused(ref):
    with pytest.raises(Refused):
        git.valid_ref(ref)


@pytest.mark.parametrize("ref", ["HEAD", "FETCH_HEAD", "ORIG_HEAD", "head"])
def test_names_that_git_itself_points_elsewhere_are_refused(ref):
    with pytest.raises(Refused, match="is where git happens to be"):
        git.valid_ref(ref)


@pytest.mark.parametrize("ref", ["main", "v2.73.0", "feature/a-b", "0a1b2c3"])
def test_ordinary_refs_pass(ref):
    assert git.valid_ref(ref) == ref


def test_the_name_of_a_checkout_is_read_without_a_lock():
    args = git.describe("/srv/code").args
    words = args[args.index("git") :]
    assert words[:4] == ("git", "--no-optional-locks", "-c", "gc.auto=0")
    assert words[-2:] == ("-C", "/srv/code")
