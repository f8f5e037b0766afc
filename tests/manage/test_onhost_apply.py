"""The programs that change a host, run here."""

import os
import subprocess

import pytest

from opstasks.deploy import source
from opstasks.manage import actions
from opstasks.manage.facts import UnitFacts
from opstasks.manage.onhost import apply, system_actions, system_facts
from opstasks.onhost import checkout_source, protocol
from tests.manage.onhost_help import file_action


@pytest.fixture(autouse=True)
def the_mask_of_others():
    """The programs set their own file mode mask."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_every_action_has_its_function():
    tags = {kind.__struct_config__.tag for kind in actions.AnyAction.__args__}
    assert tags == set(apply.ACTIONS)


def test_actions_stop_at_the_first_failure_and_are_safe_to_repeat(tmp_path, capsys):
    steps = [
        {**file_action(tmp_path / "d"), "do": "directory", "mode": "0750"},
        file_action(tmp_path / "d" / "f"),
        file_action(tmp_path / "nowhere" / "f"),
        file_action(tmp_path / "never"),
    ]
    answer = protocol.answer_to(apply.main, {"actions": steps})
    assert "nowhere" in answer["failed"]["reason"]
    assert capsys.readouterr().out == '{"part": 1}\n{"part": 2}\n'
    assert not (tmp_path / "never").exists()
    (tmp_path / "nowhere").mkdir()
    assert protocol.answer_to(apply.main, {"actions": steps}) == {"ok": {"done": 4}}


def test_an_origin_that_was_removed_is_complete_again(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(
        system_actions, "as_user", lambda owner, *words: subprocess.run(words, check=True)
    )
    url = "https://x.example/code"
    system_actions.origin({"path": str(tmp_path), "url": url, "owner": "root"})
    found = source.CheckoutSource(
        tuple(
            source.GitSetting(**entry)
            for entry in checkout_source.source(str(tmp_path), str(tmp_path))["settings"]
        )
    )
    assert list(source.problems(str(tmp_path), found, url, "opensafely")) == []


def test_the_actions_continue_when_the_client_is_gone(tmp_path, monkeypatch):
    def gone(_):
        raise BrokenPipeError

    monkeypatch.setattr(apply, "send_part", gone)
    steps = [file_action(tmp_path / "a"), file_action(tmp_path / "b")]
    assert apply.main({"actions": steps}) == {"done": 2}
    assert (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("text", "states"),
    [
        (
            "UnitFileState=enabled\nActiveState=active\n\nUnitFileState=\nActiveState=inactive\n",
            [("enabled", "active"), ("", "inactive")],
        ),
        ("UnitFileState=enabled\nActiveState=active\n", [("", ""), ("", "")]),
        ("", [("", ""), ("", "")]),
        ("nonsense\n\nActiveState", [("", ""), ("", "")]),
    ],
)
def test_units_that_systemctl_does_not_describe_are_unknown(text, states):
    found = system_facts.units_of(["a", "b"], text)
    assert [UnitFacts(**found[name]) for name in "ab"] == [UnitFacts(*state) for state in states]
