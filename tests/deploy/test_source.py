"""Where a checkout's commits come from, against where they should come from."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.deploy.plan import make_plan
from opstasks.deploy.source import FETCH, CheckoutSource, GitSetting, is_same_url, problems
from tests.deploy.facts_help import CODE, FACTS, RECORD

URL = "https://github.com/opensafely-core/job-runner"
PATH = "/code"
CONFIG = f"{PATH}/.git/config"
HOME = "/home/opensafely/.gitconfig"
CLONED = (
    GitSetting(CONFIG, "core.bare"),
    GitSetting(CONFIG, "core.repositoryformatversion"),
    GitSetting(CONFIG, "remote.origin.url", URL),
    GitSetting(CONFIG, "remote.origin.fetch", FETCH),
    GitSetting(CONFIG, "branch.main.remote"),
    GitSetting(CONFIG, "branch.main.merge"),
)


def found(*settings, **more):
    return list(problems(PATH, CheckoutSource((*CLONED, *settings), **more), URL))


def test_a_fresh_clone_has_no_problem():
    assert found() == []
    assert found(GitSetting(HOME, "user.name"), GitSetting(HOME, "credential.helper")) == []


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}.git"])
def test_the_same_address_may_be_written_differently(url):
    assert is_same_url(url, URL)


@pytest.mark.parametrize(
    "url",
    ["", "https://evil.example/job-runner", f"{URL}s", "git@github.com:fork/job-runner", "***@x"],
)
def test_another_origin_is_a_problem_that_manage_can_correct(url):
    settings = tuple(
        GitSetting(entry.file, entry.key, url if entry.key == "remote.origin.url" else entry.value)
        for entry in CLONED
    )
    (problem,) = problems(PATH, CheckoutSource(settings), URL)
    assert problem.is_origin
    assert f"not {URL}" in problem.text
    assert "remote set-url origin" in problem.hint


def test_no_origin_and_two_origins_are_problems():
    settings = tuple(entry for entry in CLONED if entry.key != "remote.origin.url")
    (problem,) = problems(PATH, CheckoutSource(settings), URL)
    assert problem.text.startswith("origin is not set")
    (problem,) = found(GitSetting(CONFIG, "remote.origin.url", "https://evil.example"))
    assert problem.is_origin


# fmt: off
RUNS_OR_REDIRECTS = [
    "core.fsmonitor", "core.hookspath", "core.sshcommand", "core.gitproxy", "core.editor",
    "core.pager", "core.askpass", "core.worktree", "core.attributesfile", "core.excludesfile",
    "core.alternaterefscommand", "core.autocrlf", "credential.helper", "include.path",
    "includeif.gitdir:/.path", "url.https://evil/.insteadof", "url.https://evil/.pushinsteadof",
    "remote.origin.pushurl", "remote.origin.uploadpack", "remote.origin.vcs",
    "remote.origin.proxy", "remote.fork.url", "remote.fork.fetch", "filter.x.smudge",
    "filter.x.process", "diff.x.command", "diff.x.textconv", "merge.x.driver", "http.sslverify",
    "http.https://x.sslverify", "http.extraheader", "protocol.allow",
    "uploadpack.packobjectshook", "gpg.program", "sequence.editor", "interactive.difffilter",
    "extensions.worktreeconfig", "extensions.partialclone", "submodule.x.update",
    "submodule.x.url", "status.showuntrackedfiles", "alias.x", "log.showsignature",
    "gc.recentobjectshook",
]
# fmt: on


@pytest.mark.parametrize("key", RUNS_OR_REDIRECTS)
def test_a_setting_that_runs_redirects_or_hides_something_is_a_problem(key):
    (problem,) = found(GitSetting(CONFIG, key))
    assert key in problem.text
    assert "--unset-all" in problem.hint
    assert not problem.is_origin


@pytest.mark.parametrize(
    "key",
    [
        *("url.https://evil/.insteadof", "remote.origin.url", "include.path", "filter.x.clean"),
        *("core.hookspath", "core.fsmonitor", "core.sshcommand", "http.sslverify"),
        *("http.https://x.sslverify", "core.excludesfile", "includeif.gitdir:/.path"),
    ],
)
def test_a_redirect_in_the_accounts_own_settings_is_a_problem(key):
    (problem,) = found(GitSetting(HOME, key))
    assert HOME in problem.text


def test_branches_that_are_fetched_to_other_names_are_a_problem():
    value = "+refs/heads/evil:refs/remotes/origin/main"
    (problem,) = found(GitSetting(CONFIG, "remote.origin.fetch", value))
    assert value in problem.text


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"hooks": ("post-checkout",)}, "post-checkout"),
        ({"extras": ("/code/.git/info/exclude",)}, "info/exclude"),
        ({"hidden": ("a.py", "b.py", "c.py", "d.py")}, "a.py, b.py, c.py, ..."),
        ({"problem": "cannot read it"}, "cannot read it"),
    ],
)
def test_hooks_and_hidden_files_are_problems(more, word):
    (problem,) = found(**more)
    assert word in problem.text
    assert problem.hint


@given(st.lists(st.builds(GitSetting, st.sampled_from([CONFIG, HOME]), st.text(), st.text())))
def test_any_settings_are_judged(settings):
    assert all(problem.text and problem.hint for problem in found(*settings))


def plan_problems(**code):
    facts = replace(FACTS, code=replace(CODE, url=URL, path=PATH, **code))
    return [problem.text for problem in make_plan(facts).problems]


def test_a_deploy_from_another_origin_is_refused():
    assert plan_problems(source=CheckoutSource(CLONED)) == []
    (text,) = plan_problems(source=CheckoutSource(CLONED, hooks=("post-checkout",)))
    assert text == "/code: git runs the hook post-checkout"
    # A host that tells nothing is not trusted either.
    (text,) = plan_problems()
    assert "origin is not set" in text


def test_a_rollback_fetches_nothing_and_needs_no_origin():
    facts = replace(FACTS, code=replace(CODE, url=URL), releases=(RECORD,))
    assert make_plan(facts, restores=RECORD).problems == ()


def test_a_unit_that_runs_as_another_account_is_not_deployed_to():
    drop_in = "/run/x.conf"
    facts = replace(FACTS, unit_user="root", service_user="opensafely", unit_drop_ins=(drop_in,))
    (problem,) = make_plan(facts).problems
    assert problem.text == f"the unit would run as root, not as opensafely ({drop_in})"
    for user in ("", "opensafely"):
        assert make_plan(replace(facts, unit_user=user)).problems == ()
