"""The host's side of a deploy: a name means what it means at the origin, on real repositories."""

import subprocess

import pytest

from opstasks.deploy.onhost import origin
from opstasks.deploy.onhost.checkout_facts import checkout_facts
from opstasks.primitives.git import describe
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


# -- the names of commits --------------------------------------------------------------------


def shown(path):
    """The name that `status` shows."""
    done = subprocess.run(describe(str(path)).args, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.strip()


def names(path, ref="main"):
    """The names that a deploy and `status` show of a checkout, and the name of the target."""
    found = facts(path, ref)
    assert found["head_name"] == shown(path)
    return found["head_name"], found["target_name"]


FORGERIES = {
    "a tag on the target": ("tag", "v9-reviewed", "origin/main"),
    "a tag on the present commit": ("tag", "v9-reviewed", "HEAD"),
    "an annotated tag": ("tag", "-a", "-m", "x", "v9-reviewed", "origin/main"),
    "a tag like a description": ("tag", "v2-1-gabcdef0", "origin/main"),
    "a release elsewhere": ("tag", "-f", "v2", "origin/main"),
    "a release removed": ("tag", "-d", "v2"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_commits_are_named_by_the_tags_of_the_origin_only(checkout, upstream, forgery):
    commit_upstream(upstream, "second", "v2")
    facts(checkout, "v2")
    git("checkout", "-q", "--detach", "origin/main", cwd=checkout)
    tip = commit_upstream(upstream, "third")
    facts(checkout, "main")
    git(*FORGERIES[forgery], cwd=checkout)
    after = f"v2-1-g{tip[:7]}"
    # A fetch brings lost tags back, so without it first.
    assert shown(checkout) == "v2"
    assert names(checkout) == ("v2", after)
    git("checkout", "-q", "--detach", tip, cwd=checkout)
    assert names(checkout) == (after, after)


def test_a_tag_that_the_origin_withdrew_is_no_name(checkout, upstream):
    commit_upstream(upstream, "second", "v9")
    assert names(checkout) == ("v1", "v9")
    git("tag", "-d", "v9", cwd=upstream)
    head = git("rev-parse", "--short", "origin/main", cwd=checkout)
    assert names(checkout) == ("v1", f"v1-1-g{head}")


def test_the_highest_of_several_tags_is_the_name_also_an_annotated_one(checkout, upstream):
    commit_upstream(upstream, "second", "v1.9")
    git("tag", "-a", "-m", "x", "v1.10", cwd=upstream)
    git("tag", "v1.2", cwd=upstream)
    assert names(checkout) == ("v1", "v1.10")


def test_the_nearest_tag_counts_on_both_sides_of_a_merge(checkout, upstream):
    git("checkout", "-q", "-b", "fix", cwd=upstream)
    commit_upstream(upstream, "fix")
    git("checkout", "-q", "main", cwd=upstream)
    commit_upstream(upstream, "second", "v2")
    git("merge", "-q", "--no-ff", "-m", "merge", "fix", cwd=upstream)
    expected = git("describe", "--tags", cwd=upstream)
    assert expected.startswith("v2-2-g")
    assert names(checkout) == ("v1", expected)


def test_a_commit_without_a_tag_of_the_origin_has_its_hash(checkout, upstream):
    git("tag", "-d", "v1", cwd=upstream)
    git("tag", "v9-reviewed", cwd=checkout)
    assert facts(checkout, "main")["head_name"] == git("rev-parse", "--short", "v1", cwd=checkout)


def test_before_the_first_fetch_a_clone_has_the_names_of_its_tags(checkout):
    assert shown(checkout) == "v1"
    assert facts(checkout, "v1", fetches=False)["head_name"] == "v1"


def test_settings_of_the_log_do_not_change_a_name(checkout, upstream):
    tip = commit_upstream(upstream, "second")
    facts(checkout, "main")
    git("checkout", "-q", "--detach", "origin/main", cwd=checkout)
    for key, value in (("excludeDecoration", "refs/opstasks/*"), ("showSignature", "true")):
        git("config", f"log.{key}", value, cwd=checkout)
    assert names(checkout) == (f"v1-1-g{tip[:7]}",) * 2


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
