"""Root uses no folder of its own that another account could change."""

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from opstasks.maintenance.onhost.site import RECORDS, SCRIPTS, site_of
from opstasks.onhost import safe_files
from opstasks.onhost.protocol import HostRefusal


@pytest.mark.parametrize("name", ["", RECORDS, SCRIPTS])
def test_root_refuses_a_folder_of_another_account(site, monkeypatch, name):
    folder = Path(site.lock_dir, name)
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    number = folder.stat().st_ino
    monkeypatch.setattr(safe_files, "is_open_folder", lambda info: info.st_ino == number)
    with pytest.raises(HostRefusal, match=f"root does not use {site.lock_dir}: {folder}"):
        site_of({"site": asdict(site)})
