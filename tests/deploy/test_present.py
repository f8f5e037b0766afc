"""The code that is checked out now: whether it can start, and whether git can change it."""

import json
import os
import sqlite3
from pathlib import Path

import pytest

from opstasks.core.result import Result
from opstasks.deploy.fit import FIT, FitFacts
from opstasks.deploy.onhost import fit, present
from opstasks.deploy.present import (
    PRESENT,
    PresentCheckout,
    PresentFacts,
    checkout_findings,
)
from opstasks.fleet.inventory import HostSpec
from opstasks.onhost.checkout_source import foreign
from opstasks.onhost.database_rights import not_writable
from tests.deploy.deploy_help import database

SPEC = HostSpec(name="tpp")
MODELS = (
    'class A:\n    migration(\n        1,\n        """\n        ALTER TABLE x;\n    """,\n    )\n'
)


def models(path, text):
    (path / "jobrunner").mkdir()
    (path / "jobrunner" / "models.py").write_text(text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (MODELS, 1),
        (MODELS + 'migration(3, "x")\nmigration(2, "x")\n', 3),
        ("# migration(9, x)\n", None),
        ("", None),
    ],
)
def test_the_version_that_code_needs_is_read_from_its_text(tmp_path, text, version):
    models(tmp_path, text)
    assert fit.code_version(str(tmp_path)) == version


@pytest.mark.parametrize(
    ("code", "base", "words"),
    [
        (1, 3, "the code needs database version 1, the database is at version 3"),
        (3, 1, "the code needs database version 3, the database is at version 1"),
        (3, 3, ""),
        (None, 3, ""),
        (3, None, ""),
    ],
)
def test_code_starts_only_with_a_database_of_exactly_its_version(code, base, words):
    assert FitFacts(code, base).misfit().startswith(words)
    assert bool(FitFacts(code, base).misfit()) == bool(words)


def answer_of(checkout, tmp_path):
    request = {
        "code_dir": str(checkout),
        "lib_dir": str(tmp_path / "none"),
        "database": str(tmp_path / "db.sqlite"),
        "home": str(tmp_path),
    }
    programs = ((PRESENT, present.main), (FIT, fit.main))
    texts = [json.dumps({"ok": main(request)}) for _, main in programs]
    pairs = zip(programs, texts, strict=True)
    return [program.decode(Result("", 0, text, ""), "tpp") for (program, _), text in pairs]


def test_the_facts_of_a_host_are_read_without_a_change(checkout, tmp_path):
    models(checkout, MODELS)
    database(tmp_path / "db.sqlite", [], version=3)
    before = (checkout / ".git" / "index").read_bytes()
    found, versions = answer_of(checkout, tmp_path)
    assert (versions, found.not_writable) == (FitFacts(1, 3), "")
    assert found.checkouts["code"] == PresentCheckout()
    assert found.checkouts["lib"] == PresentCheckout("there is no checkout", "missing")
    assert (checkout / ".git" / "index").read_bytes() == before


@pytest.mark.parametrize("fault", ["none", "damaged", "locked"])
def test_a_database_that_cannot_be_read_has_no_version(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(fit, "LOCKED_S", 0.05)
    path = tmp_path / "db.sqlite"
    if fault == "damaged":
        path.write_text("no database at all " * 500)
    elif fault == "locked":
        database(path, [])
    with sqlite3.connect(path if fault == "locked" else ":memory:") as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert fit.database_version(str(path)) is None
    connection.close()


def test_each_fault_of_a_checkout_has_a_hint_for_the_person():
    facts = PresentFacts(
        {
            "code": PresentCheckout(error="git cannot read it: fatal: x", fault="broken"),
            "lib": PresentCheckout(foreign=("/x belongs to root", "/y belongs to root")),
        }
    )
    (code, ((text, hint),)), (lib, ((other, way),)) = checkout_findings(SPEC, facts)
    assert (code, lib) == (SPEC.code_dir, SPEC.lib_dir)
    assert (text, other) == ("git cannot read it: fatal: x", "/x belongs to root (and 1 more)")
    assert hint.startswith(f"mv {SPEC.code_dir} {SPEC.code_dir}.broken")
    assert way == f"as root: chown -R opensafely: {SPEC.lib_dir}"


# -- what belongs to others ------------------------------------------------------------------

pytest_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another account")


@pytest_root
def test_what_git_could_not_change_is_listed_with_its_owner(checkout, tmp_path):
    (checkout / "folder" / "__pycache__").mkdir(parents=True)
    (checkout / "folder" / "__pycache__" / "x.pyc").write_text("")
    assert foreign(str(checkout), str(tmp_path)) == []
    # `git status` by root replaces the index.
    harmless = ("folder/__pycache__", "a", ".git/objects/pack", ".git/index")
    (checkout / ".git/index").chmod(0o644)
    (checkout / ".git/objects/pack").chmod(0o777)
    for name in harmless:
        os.chown(checkout / name, 1, 1)
    assert foreign(str(checkout), str(tmp_path)) == []
    blocking = (".git", ".git/logs/HEAD", ".git/FETCH_HEAD", ".git/objects/info", "folder")
    (checkout / ".git/FETCH_HEAD").write_text("")
    for name in blocking:
        os.chown(checkout / name, 1, 1)
    found = foreign(str(checkout), str(tmp_path))
    assert set(found) == {f"{checkout / name} belongs to daemon" for name in blocking}
    (checkout / ".git/index").chmod(0o600)
    assert f"{checkout}/.git/index belongs to daemon" in foreign(str(checkout), str(tmp_path))


@pytest_root
def test_a_link_in_a_checkout_is_not_followed(checkout, tmp_path):
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    os.chown(outside / "deep", 1, 1)
    (checkout / "link").symlink_to(outside)
    assert foreign(str(checkout), str(tmp_path)) == []
    assert foreign(str(tmp_path / "none"), str(tmp_path)) == []


def test_a_database_is_writable_only_with_its_folder_and_side_files(tmp_path, monkeypatch):
    path = tmp_path / "db.sqlite"
    database(path, [])
    assert not_writable(str(path)) == ""
    (tmp_path / "db.sqlite-wal").write_text("")
    for closed in (tmp_path, path, Path(f"{path}-wal")):
        allowed = lambda place, mode, closed=closed: str(place) != str(closed)  # noqa: E731
        monkeypatch.setattr(os, "access", allowed)
        assert not_writable(str(path)).startswith(f"{closed} belongs to ")
