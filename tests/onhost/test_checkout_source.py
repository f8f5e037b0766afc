"""Where a checkout's commits come from, read without running git in the checkout."""

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.onhost import checkout_source, plain_text
from opstasks.onhost.checkout_source import keywords_of, settings_of, source


@pytest.fixture
def checkout(tmp_path):
    """A checkout as `git init` makes it, with an origin."""
    place = tmp_path / "code"
    subprocess.run(["git", "init", "-q", place], check=True)
    config(place, "remote.origin.url", "https://x.example/job-runner")
    return place


def config(place, key, value):
    words = ["git", "config", "--file", place / ".git/config", "--add", key, value]
    subprocess.run(words, check=True)


def read(place):
    return source(str(place), str(place.parent))


def keys(found):
    return [entry["key"] for entry in found["settings"]]


def test_the_origin_and_the_names_of_all_settings_are_read(checkout):
    config(checkout, "http.extraheader", "Authorization: t0ken")
    found = read(checkout)
    values = {entry["key"]: entry["value"] for entry in found["settings"]}
    assert values["remote.origin.url"] == "https://x.example/job-runner"
    assert values["http.extraheader"] == ""
    assert (found["hooks"], found["extras"], found["problem"]) == ([], [], "")


def test_credentials_in_addresses_are_masked(checkout):
    config(checkout, "remote.origin.pushurl", "https://me:t0ken@x.example/a")
    config(checkout, "url.https://me:t0ken@x.example/.insteadof", "https://x.example/")
    assert "t0ken" not in str(read(checkout))
    assert "url.https://***@x.example/.insteadof" in keys(read(checkout))


def test_settings_of_the_accounts_home_are_read_as_well(checkout):
    (checkout.parent / ".gitconfig").write_text('[url "file:///evil/"]\ninsteadOf = https://x\n')
    (checkout.parent / ".config/git").mkdir(parents=True)
    (checkout.parent / ".config/git/config").write_text("[core]\nhooksPath = /evil\n")
    (checkout.parent / ".config/git/ignore").write_text("*\n")
    found = read(checkout)
    assert "url.file:///evil/.insteadof" in keys(found)
    assert "core.hookspath" in keys(found)
    assert found["extras"] == [f"{checkout.parent}/.config/git/ignore"]


def test_settings_of_the_home_are_read_before_there_is_a_checkout(tmp_path):
    (tmp_path / ".gitconfig").write_text('[url "file:///evil/"]\ninsteadOf = https://x\n')
    (tmp_path / ".config/git").mkdir(parents=True)
    (tmp_path / ".config/git/attributes").write_text("* filter=evil\n")
    found = read(tmp_path / "code")
    assert keys(found) == ["url.file:///evil/.insteadof"]
    assert found["extras"] == [f"{tmp_path}/.config/git/attributes"]
    assert (found["problem"], found["home_problem"]) == (
        f"{tmp_path}/code/.git is not a folder",
        "",
    )
    (tmp_path / ".gitconfig").write_text("[url\n")
    assert read(tmp_path / "code")["home_problem"] == f"git does not accept {tmp_path}/.gitconfig"


def test_the_settings_for_ssh_are_read_by_their_first_words(checkout):
    assert read(checkout)["ssh"] == []
    file = checkout.parent / ".ssh/config"
    file.parent.mkdir()
    lines = ("# ProxyJump x", "Host a", "  HostName b", "ProxyCommand=x", '"Match" exec y', "")
    file.write_text("\n".join(lines))
    assert read(checkout)["ssh"] == ["host", "hostname", "match", "proxycommand"]
    file.rename(checkout.parent / "other")
    file.symlink_to(checkout.parent / "other")
    assert "" in read(checkout)["ssh"]


@given(st.text())
def test_any_settings_for_ssh_are_read(text):
    assert all(keywords_of(text))


def test_no_program_of_the_checkout_runs(checkout, tmp_path):
    mark = tmp_path / "ran"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "core.sshcommand", "core.pager", "alias.config", "core.editor"):
        config(checkout, key, str(script))
    config(checkout, "include.path", str(tmp_path / "more"))
    (tmp_path / "more").write_text('[remote "origin"]\nurl = evil\n')
    hook = checkout / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    found = read(checkout)
    assert found["hooks"] == ["post-checkout"]
    assert "include.path" in keys(found)
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("info/exclude", "info/attributes", "info/sparse-checkout", "info/grafts"),
        *("objects/info/alternates", "commondir"),
    ],
)
def test_files_that_hide_or_replace_content_are_found(checkout, name):
    path = checkout / ".git" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("# only a comment\n")
    assert read(checkout)["extras"] == []
    path.write_text("# a comment\nsomething\n")
    assert read(checkout)["extras"] == [str(path)]
    path.unlink()
    path.symlink_to("/etc/hostname")
    assert read(checkout)["extras"] == [str(path)]


def test_replaced_commits_are_found_loose_and_packed(checkout):
    place = checkout / ".git/refs/replace"
    (checkout / ".git/packed-refs").write_text("abc refs/replace/def\n")
    assert read(checkout)["extras"] == [str(place)]
    (checkout / ".git/packed-refs").unlink()
    place.mkdir()
    assert read(checkout)["extras"] == []
    (place / "abc").write_text("def\n")
    assert read(checkout)["extras"] == [str(place)]


@pytest.mark.parametrize("name", [".gitconfig", ".config/git/config"])
@pytest.mark.parametrize("kind", ["link", "large", "folder"])
def test_settings_of_the_home_that_only_git_would_read_are_a_problem(checkout, name, kind):
    path = checkout.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    evil = '[url "file:///evil/"]\ninsteadOf = https://x\n'
    if kind == "link":
        (checkout.parent / "evil").write_text(evil)
        path.symlink_to(checkout.parent / "evil")
    elif kind == "large":
        path.write_text("#\n" * (plain_text.MOST_BYTES // 2) + evil)
    else:
        path.mkdir()
    assert f"cannot read {path}" in read(checkout)["problem"]


def test_a_file_that_hides_content_at_its_end_is_found(checkout):
    path = checkout / ".git/info/exclude"
    path.parent.mkdir(exist_ok=True)
    path.write_text("#\n" * (plain_text.MOST_BYTES // 2) + "*.py\n")
    assert read(checkout)["extras"] == [str(path)]


def test_a_configuration_that_is_no_plain_file_is_a_problem(checkout):
    path = checkout / ".git/config"
    path.unlink()
    assert "cannot read" in read(checkout)["problem"]
    os.mkfifo(path)
    assert "cannot read" in read(checkout)["problem"]
    path.unlink()
    path.symlink_to("/etc/hostname")
    assert "cannot read" in read(checkout)["problem"]
    path.unlink()
    path.write_text('[remote "origin\n')
    assert "git does not accept" in read(checkout)["problem"]


def test_a_git_folder_that_is_elsewhere_is_a_problem(checkout, tmp_path):
    (checkout / ".git").rename(tmp_path / "elsewhere")
    (checkout / ".git").write_text(f"gitdir: {tmp_path}/elsewhere\n")
    assert "is not a folder" in read(checkout)["problem"]
    (checkout / ".git").unlink()
    (checkout / ".git").symlink_to(tmp_path / "elsewhere")
    assert "is not a folder" in read(checkout)["problem"]


@pytest.mark.parametrize("name", checkout_source.FOLDERS)
def test_a_link_in_place_of_a_folder_is_named(checkout, tmp_path, name):
    """Git would follow it; root does not."""
    path = checkout / ".git" / name
    path.mkdir(parents=True, exist_ok=True)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert str(path) in read(checkout)["extras"]


def test_a_hook_that_is_a_link_counts_wherever_it_leads(checkout):
    (checkout / ".git/hooks/post-checkout").symlink_to("/no/such")
    assert read(checkout)["hooks"] == ["post-checkout"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root meets links of other accounts")
def test_root_does_not_follow_a_link_of_another_account(checkout, tmp_path):
    """In /sys, a device has a file `config`, and some devices stop when root reads all of it."""
    for place in (tmp_path, *tmp_path.rglob("*")):
        os.chown(place, 4711, 4711)
    link = tmp_path / "link"
    link.symlink_to(checkout)
    os.lchown(link, 4711, 4711)
    found = source(str(link), str(tmp_path))
    assert (found["settings"], found["problem"]) == ([], f"{link}/.git is not a folder")
    assert plain_text.text_of(f"{link}/.git/config") is None
    assert plain_text.names_in(f"{link}/.git") == []
    assert plain_text.text_of(f"{checkout}/.git/config")


def test_very_many_settings_are_a_problem_and_not_all_returned(checkout):
    count = checkout_source.MOST_SETTINGS + 1
    lines = "".join(f"k{number} = 1\n" for number in range(count))
    (checkout / ".git/config").write_text(f"[user]\n{lines}")
    found = read(checkout)
    assert len(found["settings"]) == checkout_source.MOST_SETTINGS
    assert found["problem"] == "too many settings"


@given(st.text())
def test_any_output_of_git_is_read(text):
    for entry in settings_of(text):
        assert entry["key"]
        assert len(entry["key"]) <= checkout_source.LENGTH


@given(
    st.lists(st.tuples(st.from_regex(r"[a-z]+\.[a-z]+", fullmatch=True), st.text(alphabet="ab\n=")))
)
def test_settings_arrive_in_order_with_values_of_many_lines(pairs):
    text = "".join(f"{key}\n{value}\0" for key, value in pairs)
    assert [entry["key"] for entry in settings_of(text)] == [key for key, _ in pairs]


def test_a_text_is_read_up_to_its_limit_and_with_invalid_bytes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"ab\xff" + b"c" * 100)
    assert plain_text.text_of(str(path), 5) == "ab\ufffdcc"
    assert plain_text.text_of("/dev/zero") is None
    assert plain_text.text_of(str(tmp_path)) is None
    assert plain_text.names_in(str(tmp_path)) == ["x"]
    assert plain_text.names_in("/no/such") == []


def test_only_so_many_names_of_a_folder_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_text, "MOST_NAMES", 3)
    for number in range(5):
        (tmp_path / str(number)).touch()
    assert len(plain_text.names_in(str(tmp_path))) == 3
