"""The files that the Level 3 sync installs on a host."""

import errno
import os
from pathlib import Path

import pytest

from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec
from opstasks.onhost import backups, safe_files
from opstasks.onhost.protocol import HostFailure
from opstasks.sync import units
from opstasks.sync.onhost import units as remote_units

SPEC = HostSpec(name="tpp", level3_source="/e/FILES FOR%L4/workspaces")


def test_a_per_cent_sign_in_the_source_is_escaped_in_unit_files():
    files = units.files(SPEC)
    service = files[f"{units.UNIT_DIR}/{units.SERVICE}"]
    assert "/e/FILES FOR%%L4/workspaces" in service
    assert "User=opensafely" in service
    timer = files[f"{units.UNIT_DIR}/opstasks-level3-sync.timer"]
    assert "OnUnitInactiveSec=120s" in timer


def test_the_installed_script_compiles_has_the_paths_and_never_varies():
    text = units.script(SPEC)
    compile(text, "level3-sync", "exec")
    assert text == units.script(SPEC)
    assert "/e/FILES FOR%L4/workspaces" in text


def test_start_is_refused_without_a_source():
    with pytest.raises(Refused, match="level3_source"):
        units.check_source(HostSpec(name="emis"))


def test_nothing_is_installed_if_a_script_does_not_compile(tmp_path):
    path = tmp_path / "lib" / "script"
    request = {"files": {str(path): "def ("}, "enable": [], "disable": [], "restart": False}
    with pytest.raises(HostFailure, match="does not compile"):
        remote_units.main(request)
    assert not path.exists()


def test_a_path_that_cannot_be_written_is_a_failure_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("")
    request = {"kept_in": str(tmp_path), "enable": [], "disable": [], "restart": False}
    with pytest.raises(HostFailure, match=r"^file exists: /"):
        remote_units.main({**request, "files": {f"{tmp_path}/file/script": "x = 1"}})


def test_an_edit_of_an_installed_file_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(remote_units, "systemctl", lambda *_: "")
    path = tmp_path / "lib" / "script"
    remote_units.put(str(path), "x = 2  # by hand")
    request = {"kept_in": str(tmp_path / "kept"), "enable": [], "disable": [], "restart": False}
    remote_units.main({**request, "files": {str(path): "x = 1"}})
    assert path.read_text() == "x = 1"
    (copy,) = (tmp_path / "kept").rglob("script.bak-*")
    assert copy.read_text() == "x = 2  # by hand"


@pytest.fixture
def said(monkeypatch):
    """What systemctl is asked; each unit is up and enabled."""
    asked = []
    state = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    monkeypatch.setattr(remote_units, "show", lambda unit, name: state[name])
    monkeypatch.setattr(remote_units, "systemctl", lambda *words: asked.append(words))
    monkeypatch.setattr(remote_units, "validate", lambda files: None)
    return asked


@pytest.mark.parametrize("kind", ["several hard links", "larger than", "full disk"])
@pytest.mark.parametrize("number", range(3))
def test_nothing_is_touched_if_the_old_content_of_a_file_cannot_be_kept(
    tmp_path, monkeypatch, said, number, kind
):
    files = {str(tmp_path / name): f"{name} = 1" for name in ("script", "a.service", "b.timer")}
    for path in files:
        remote_units.put(path, "x = 2  # by hand")
    bad = Path([*files][number])
    reason = f"the content of {bad} cannot be kept; move it away"
    if kind == "larger than":
        os.truncate(bad, safe_files.MAX_BYTES + 1)
    elif kind == "full disk":
        reason = "no space left on device"
        staged = backups.staged
        full = OSError(errno.ENOSPC, "No space left on device")

        def filled(folder, name, data):
            if bad.name in name:
                raise full
            return staged(folder, name, data)

        monkeypatch.setattr(backups, "staged", filled)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        (tmp_path / "other").hardlink_to(bad)
    before = {path: Path(path).stat().st_ino for path in files}
    request = {"kept_in": str(tmp_path / "kept"), "files": files, "restart": True}
    with pytest.raises(HostFailure, match=f"^{reason}"):
        remote_units.main({**request, "enable": ["b.timer"], "disable": ["b.timer"]})
    assert {path: Path(path).stat().st_ino for path in files} == before
    assert said == []


def test_a_failed_systemctl_is_a_failure_with_its_message():
    with pytest.raises(HostFailure, match="systemctl --no-such-option failed") as caught:
        remote_units.systemctl("--no-such-option")
    assert caught.value.detail


def test_a_file_differs_by_text_owner_or_mode(tmp_path):
    path = tmp_path / "unit"
    remote_units.put(str(path), "text")
    assert remote_units.differs(str(path), "text") == (os.getuid() != 0)
    assert remote_units.differs(str(path), "other")
    path.chmod(0o666)
    assert remote_units.differs(str(path), "text")
