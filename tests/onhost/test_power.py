"""Whether the host is going down is said with what fails there meanwhile."""

import pytest

from opstasks.onhost import power
from opstasks.onhost.protocol import HostFailure, answer_to


@pytest.fixture
def systemctl(monkeypatch, tmp_path):
    """What `systemctl is-system-running` prints, and an empty place for nologin."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(power, "NOLOGIN", tmp_path / "nologin")

    def prints(state):
        (folder / "systemctl").write_text(f"#!/bin/sh\necho {state}; exit 1\n")
        (folder / "systemctl").chmod(0o755)

    return prints


@pytest.mark.parametrize(
    ("state", "is_down"), [("running", False), ("degraded", False), ("stopping", True)]
)
def test_systemd_says_whether_the_host_is_going_down(systemctl, state, is_down):
    systemctl(state)
    assert power.is_going_down() is is_down


@pytest.mark.parametrize(
    ("text", "is_down"), [("System is going down.", True), ("maintenance by ann", False)]
)
def test_nologin_of_systemd_counts_also_without_an_answer(systemctl, tmp_path, text, is_down):
    systemctl("offline")
    (tmp_path / "nologin").write_text(text)
    assert power.is_going_down() is is_down


@pytest.mark.parametrize("error", [HostFailure("no unit"), OSError(5, "Input/output error")])
def test_a_failure_meanwhile_names_it(systemctl, error):
    systemctl("stopping")

    def main(request):
        raise error

    assert answer_to(main, {})["failed"]["reason"].endswith("(the host is going down)")
