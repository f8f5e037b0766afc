"""The host's side of a deploy: a name means what it means at the origin, on real repositories."""

import pytest

from opstasks.deploy.onhost import origin
from opstasks.deploy.onhost.checkout_facts import checkout_facts
from tests.deploy.checkout_help import commit_upstream
from tests.deploy.deploy_help import git


def facts(path, ref, *, fetches=True):
    return checkout_facts(str(path), ref, fetches=fetches)


@pytest.fixture
def stale(checkout, upstream):
    """A clone with branches and tags of its own, after the origin lost some of them."""
    commit_upstream(upstream, "release", "v9")
    git("branch", "gone", cwd=upstream)
    for name in ("main", "v9", "gone"):
        assert facts(checkout, name)["error"] == ""
    for words in (("branch", "gone", "origin/gone"), ("branch", "local"), ("tag", "mine")):
        git(*words, cwd=checkout)
    git("branch", "-m", "main", "trunk", cwd=upstream)
    git("branch", "-D", "gone", cwd=upstream)
    git("tag", "-d", "v9", cwd=upstream)
    return checkout


GONE = [
    *(("main", "branch"), ("gone", "branch"), ("local", "branch"), ("v9", "tag"), ("mine", "tag")),
]


@pytest.mark.parametrize(("name", "kind"), GONE)
def test_a_name_that_only_the_checkout_has_is_refused_by_name(stale, name, kind):
    found = facts(stale, name)
    assert (found["target"], found["fault"]) == ("", "name")
    text = f"the origin has no {name!r} now, only this checkout has a {kind} of that name"
    assert found["error"] == text
    # The checkout keeps what a person made there, and what a rollback may need.
    assert git("rev-parse", "--verify", f"refs/{PLACES[kind]}/{name}", cwd=stale)


PLACES = {"branch": "heads", "tag": "tags"}


@pytest.mark.parametrize(
    "name", ["HEAD", "FETCH_HEAD", "origin/trunk", "heads/trunk", "tags/v1", "v1-0-g", "remotes"]
)
def test_a_name_of_another_form_is_not_one_of_the_origin(stale, name):
    facts(stale, "trunk")
    git("symbolic-ref", "-d", "refs/remotes/origin/HEAD", cwd=stale)
    found = facts(stale, name)
    assert (found["target"], found["fault"]) == ("", "name")


def test_names_of_the_origin_and_hashes_are_found(stale):
    (trunk, first) = (facts(stale, name)["target"] for name in ("trunk", "v1"))
    assert trunk != first
    assert git("log", "-1", "--format=%s", trunk, cwd=stale) == "release"
    for ref, commit in ((trunk, trunk), (trunk[:9], trunk), (first.upper(), first)):
        assert facts(stale, ref)["target"] == commit


def test_a_branch_of_the_checkout_cannot_take_the_place_of_a_short_hash(stale):
    first = facts(stale, "v1")["target"]
    git("branch", first[:8], "origin/trunk", cwd=stale)
    found = facts(stale, first[:8])
    assert found["target"] == ""
    assert "only this checkout has a branch of that name" in found["error"]


def test_a_tag_that_comes_back_is_found_again(stale, upstream):
    assert facts(stale, "v9")["target"] == ""
    git("tag", "v9", cwd=upstream)
    assert facts(stale, "v9")["target"] == git("rev-parse", "HEAD", cwd=upstream)


def test_a_name_that_nobody_has_is_refused(stale):
    reason = "'nobody' is not a branch or a tag of the origin, or a commit"
    assert origin.find(str(stale), "nobody") == ("", reason)


# -- checkouts that git cannot read or change ------------------------------------------------


def broken_refs(path):
    git("pack-refs", "--all", cwd=path)
    (path / ".git" / "packed-refs").write_text("no refs at all\n")


def no_head(path):
    (path / ".git" / "HEAD").write_text("")


def no_index(path):
    (path / ".git" / "index").write_text("no index")


def lost_object(path):
    commit = git("rev-parse", "HEAD", cwd=path)
    (path / ".git" / "objects" / commit[:2] / commit[2:]).unlink()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (broken_refs, "fatal: unexpected line in .git/packed-refs: no refs at all"),
        (no_head, "fatal: not a git repository"),
        (no_index, "fatal: .git/index: index file smaller than expected"),
    ],
)
def test_a_broken_checkout_is_reported_in_the_words_of_git(checkout, fault, words):
    fault(checkout)
    found = facts(checkout, "v1")
    assert found["fault"] == "broken"
    assert found["error"].startswith("git cannot read it: ")
    assert words in found["error"].replace(f"{checkout}/", "")


def test_a_commit_that_is_not_there_is_no_missing_checkout(checkout):
    lost_object(checkout)
    found = facts(checkout, "v1", fetches=False)
    assert found["fault"] == "broken"
    assert "bad object HEAD" in found["error"]


def test_dubious_ownership_is_reported_in_the_words_of_git(checkout, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = facts(checkout, "v1")
    assert found["fault"] == "owner"
    assert "detected dubious ownership" in found["error"]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("error: file write error: No space left on device", "space"),
        ("error: insufficient permission for adding an object to .git/objects", "owner"),
        ("error: cannot open '.git/FETCH_HEAD': Permission denied", "owner"),
        ("fatal: Unable to create '/x/.git/shallow.lock': File exists.", "locked"),
        ("remote: error: cannot open x: Permission denied", "fetch"),
        ("git@github.com: Permission denied (publickey).", "fetch"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "fetch"),
    ],
)
def test_a_fetch_that_fails_here_is_not_blamed_on_the_origin(checkout, monkeypatch, words, fault):
    script = checkout.parent / "bin" / "git"
    script.parent.mkdir()
    text = f'case "$*" in *" fetch "*) echo "{words}" >&2; exit 128;; esac; exec /usr/bin/git "$@"'
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    found = facts(checkout, "v1")
    assert (found["error"], found["fault"]) == (f"cannot fetch: {words}", fault)


def test_an_origin_that_is_gone_is_one_line_without_advice(checkout, upstream):
    upstream.rename(upstream.with_name("away"))
    reason = f"fatal: '{upstream}' does not appear to be a git repository"
    assert facts(checkout, "v1")["error"] == (
        f"cannot fetch: {reason}; fatal: Could not read from remote repository."
    )
