"""Compare where a checkout's commits come from with where they should come from."""

import shlex
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.deploy.plan import make_plan
from opstasks.deploy.source import (
    FETCH,
    CheckoutSource,
    GitSetting,
    home_problems,
    is_same_url,
    problems,
)
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
    return list(problems(PATH, CheckoutSource((*CLONED, *settings), **more), URL, "opensafely"))


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
    (problem,) = problems(PATH, CheckoutSource(settings), URL, "opensafely")
    assert problem.is_origin
    assert f"not {URL}" in problem.text
    assert "remote set-url origin" in problem.hint


def test_no_origin_and_two_origins_are_problems():
    settings = tuple(entry for entry in CLONED if entry.key != "remote.origin.url")
    (problem,) = problems(PATH, CheckoutSource(settings), URL, "opensafely")
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
    "gc.recentobjectshook", "core.checkstat", "core.trustctime", "core.ignorestat",
    "core.sparsecheckout", "core.eol", "core.untrackedcache", "init.templatedir",
    "clone.defaultremotename", "diff.external", "diff.ignoresubmodules", "status.relativepaths",
    "feature.manyfiles", "index.sparse", "http.curloptresolve", "http.sslcainfo", "url.x.a",
    "transfer.fsckobjects", "fetch.fsck.skiplist", "a.setting.of.another.git",
]
# People keep these in their home. They change nothing that our commands fetch, write or compare.
HABITS = {
    "core.editor", "core.pager", "core.askpass", "credential.helper", "alias.x", "core.autocrlf",
    "core.eol", "core.untrackedcache", "status.showuntrackedfiles", "status.relativepaths",
}
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
        *("core.filemode", "core.sharedrepository", "gc.auto", "gc.pruneexpire", "pack.threads"),
        *("remote.origin.promisor", "remote.origin.partialclonefilter", "fetch.prune"),
        *("user.name", "safe.directory", "http.proxy", "init.defaultbranch"),
    ],
)
def test_a_setting_that_people_and_other_ways_to_clone_make_is_none(key):
    assert found(GitSetting(CONFIG, key)) == []


def run(hint):
    for command in hint.split("; "):
        subprocess.run(shlex.split(command), check=True)


@pytest.mark.parametrize("value", ["+refs/heads/a:refs/remotes/origin/a", ""])
def test_the_hint_for_other_branches_or_none_makes_the_checkout_as_cloned(tmp_path, value):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    file = str(tmp_path / ".git/config")
    key, at = "remote.origin.fetch", [GitSetting(file, "remote.origin.url", URL)]
    if value:
        subprocess.run(["git", "config", "--file", file, key, value], check=True)
        at.append(GitSetting(file, key, value))
    (problem,) = problems(str(tmp_path), CheckoutSource(tuple(at)), URL, "opensafely")
    run(problem.hint)
    done = subprocess.run(["git", "config", "-f", file, key], capture_output=True)
    assert done.stdout.decode().strip() == FETCH


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_the_hint_for_a_hidden_file_shows_it_to_git_again(tmp_path, flag):
    git = ["git", "-C", tmp_path]
    (tmp_path / "a b.py").write_text("")
    for words in (["init", "-q"], ["add", "."], ["update-index", flag, "a b.py"]):
        subprocess.run([*git, *words], check=True)
    config = GitSetting(f"{tmp_path}/.git/config", "remote.origin.url", URL)
    fetch = GitSetting(config.file, "remote.origin.fetch", FETCH)
    source = CheckoutSource((config, fetch), hidden=("a b.py",))
    (problem,) = problems(str(tmp_path), source, URL, "opensafely")
    run(problem.hint)
    listed = subprocess.run([*git, "ls-files", "-v"], capture_output=True, check=True)
    assert listed.stdout == b"H a b.py\n"


def test_borrowed_objects_are_copied_before_the_hint_removes_them():
    (problem,) = found(extras=(f"{PATH}/.git/objects/info/alternates",))
    assert problem.hint.startswith(f"git -C {PATH} repack")


@pytest.mark.parametrize(
    "key",
    [
        *("remote.origin.url", "remote.origin.promisor", "remote.origin.tagopt", "filter.x.clean"),
        *sorted({*RUNS_OR_REDIRECTS} - HABITS),
    ],
)
def test_the_accounts_own_settings_are_judged_like_those_of_the_checkout(key):
    (problem,) = found(GitSetting(HOME, key))
    assert HOME in problem.text
    (same,) = home_problems(PATH, CheckoutSource((GitSetting(HOME, key),)), URL, "opensafely")
    assert same == problem


@pytest.mark.parametrize(
    "key",
    [
        *("user.name", "safe.directory", "http.proxy", "http.https://github.com.proxy"),
        *("pull.rebase", "init.defaultbranch", "color.ui", "log.date", "merge.tool"),
        *sorted(HABITS),
    ],
)
def test_habits_and_ways_to_reach_the_origin_are_no_problem(key):
    assert found(GitSetting(HOME, key)) == []
    source = CheckoutSource((GitSetting(HOME, key),), problem="/code/.git is not a folder")
    assert list(home_problems(PATH, source, URL, "opensafely")) == []


def test_a_clone_is_judged_by_the_home_only():
    extras = (f"{PATH}/.git/info/exclude", "/home/opensafely/.config/git/attributes")
    own = GitSetting(CONFIG, "core.hookspath")
    source = CheckoutSource((own,), ("post-checkout",), extras, home_problem="no plain file")
    texts = [item.text for item in home_problems(PATH, source, URL, "opensafely")]
    assert texts == ["no plain file", f"{extras[1]} hides or replaces content"]


def by_ssh(keywords, url):
    source = CheckoutSource(ssh=keywords)
    return [item.text for item in home_problems(PATH, source, url, "opensafely")]


@pytest.mark.parametrize("url", ["ssh://git@github.com/a/b", "git@github.com:a/b", "ssh://x"])
@pytest.mark.parametrize(
    "keyword",
    [
        *("hostname", "proxycommand", "proxyjump", "include", "match", "port", "hostkeyalias"),
        *("userknownhostsfile", "stricthostkeychecking", "knownhostscommand", "anything"),
    ],
)
def test_a_setting_of_ssh_that_leads_elsewhere_is_a_problem_of_an_ssh_address(url, keyword):
    assert by_ssh((keyword,), url) == [f"~opensafely/.ssh/config sets {keyword}"]
    assert by_ssh((keyword,), URL) == by_ssh((keyword,), "/srv/git/a:b") == []
    settings = tuple(
        GitSetting(entry.file, entry.key, url if entry.key == "remote.origin.url" else entry.value)
        for entry in CLONED
    )
    (problem,) = problems(PATH, CheckoutSource(settings, ssh=(keyword,)), url, "opensafely")
    assert keyword in problem.text


def test_how_ssh_logs_in_is_no_problem_and_an_unread_file_is_one():
    url = "git@github.com:a/b"
    assert by_ssh(("host", "identitiesonly", "identityfile", "user"), url) == []
    assert by_ssh(("",), url) == ["cannot read all of ~opensafely/.ssh/config"]


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
    # A host that names no origin is not trusted either.
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
    # The host's own judgement says it, too.
    again = replace(facts, unit="x", unit_problem="x would run as root, not as opensafely")
    assert make_plan(again).problems == (problem,)
    other = replace(again, unit_user="opensafely", unit_problem="x would run ExecStart as root")
    (problem,) = make_plan(other).problems
    assert problem.hint.startswith("systemctl cat x shows the file that sets it")
    for user in ("", "opensafely"):
        assert make_plan(replace(facts, unit_user=user)).problems == ()
