"""config: the programs on the host, run on real files."""

import json
import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.config.act import CHANGE
from opstasks.config.inspect import SHOW
from opstasks.config.keys import FILES, CodeKeys, ConfigValue
from opstasks.config.onhost import show, values
from opstasks.config.onhost.code_keys import keys_of_code
from opstasks.config.onhost.edit import edited, quoted
from opstasks.config.onhost.secrecy import fingerprint
from opstasks.config.onhost.systemd_reader import read_systemd
from opstasks.config.values import VALUES
from opstasks.core.command import Secret
from opstasks.core.errors import ProgramFailed, Refused
from opstasks.core.result import Result
from opstasks.onhost import backups
from opstasks.onhost.limits import moment
from opstasks.onhost.protocol import HostRefusal, answer_to
from tests.config.config_help import TOKEN, changed, copies, paths, previewed, shown, stamp


def decoded(program, answer):
    """A program's answer as the client decodes it."""
    return program.decode(Result("", 0, json.dumps({"ok": answer}), ""), "h")


# -- showing ---------------------------------------------------------------------------------


def test_the_last_file_wins_and_the_others_are_named(folder):
    found = decoded(SHOW, shown(folder))
    key = found.get("MAX_WORKERS")
    assert key.value == ConfigValue(True, "2 # for now")
    assert (key.source, key.over) == ("04_local.env", ("01_defaults.env", "03_backend.env"))
    assert (key.shell, key.shell_text) == ("other", "2")
    assert "a shell reads '2'" in key.note()
    assert found.get("POLL_INTERVAL").value.text == "15"


def test_no_secret_leaves_the_host_whatever_makes_it_one(folder):
    answer = shown(folder, secret_keys=["POLL_INTERVAL"])
    text = json.dumps(answer)
    for secret in (TOKEN, "pl41n", "0ther", "pw9", "15"):
        assert f'"{secret}' not in text
    assert TOKEN not in text
    found = decoded(SHOW, answer)
    secrets = {key.name for key in found.keys if key.secret}
    assert secrets == {"JOB_SERVER_TOKEN", "PLAIN_LOOKING", "DB", "POLL_INTERVAL"}
    assert found.get("JOB_SERVER_TOKEN").value.describe().startswith("secret, fingerprint ")
    # From a hash of a file of secrets, short secrets could be guessed.
    assert [bool(item.sha256) for item in found.files] == [True, False, True, False]


def test_a_fingerprint_depends_on_the_key_and_the_value_and_nothing_else():
    one = fingerprint("A", "x")
    assert one == fingerprint("A", "x")
    assert len({one, fingerprint("A", "y"), fingerprint("B", "x")}) == 3
    assert len(one) == 8


def test_running_values_are_compared_with_the_files(folder, monkeypatch):
    running = {"MAX_WORKERS": "10", "POLL_INTERVAL": "15", "JOB_SERVER_TOKEN": "old", "GONE": "1"}
    monkeypatch.setattr(show, "service_environment", lambda unit: running)
    answer = shown(folder, watched=["GONE"])
    found = decoded(SHOW, answer)
    assert found.seen_running
    assert found.get("MAX_WORKERS").running == ConfigValue(True, "10")
    assert found.get("POLL_INTERVAL").running is None
    assert found.get("JOB_SERVER_TOKEN").running.fingerprint
    assert found.get("GONE").running == ConfigValue(True, "1")
    assert found.get("DB").running == ConfigValue(False)
    assert '"old"' not in json.dumps(answer)


def test_a_key_that_is_set_twice_in_a_file_is_a_duplicate_there(folder):
    with (folder / "03_backend.env").open("a") as file:
        file.write("MAX_WORKERS=11\nexport ONLY=1\n")
    found = decoded(SHOW, shown(folder))
    assert found.get("MAX_WORKERS").duplicate_in == ("03_backend.env",)
    only = found.get("ONLY")
    assert (only.source, only.shell, only.note()) == (
        "",
        "other",
        "a shell reads '1'; only a shell sets it",
    )


def test_a_file_with_an_impossible_time_is_still_shown(folder):
    os.utime(folder / "01_defaults.env", (-1e9, -1e9))
    assert decoded(SHOW, shown(folder)).files[0].changed_at == 0.0
    assert moment(1e12) == 32_503_680_000.0


def test_which_keys_the_code_reads(folder):
    found = CodeKeys(**keys_of_code(str(folder / "code")))
    assert found.required == ["BACKEND"]
    assert found.optional == ["MAX_WORKERS", "OTEL"]
    for key in ("BACKEND", "MAX_WORKERS", "DEFAULT_DATABASE_URL", "OTEL_EXPORTER_OTLP_HEADERS"):
        assert found.reads(key)
    for key in ("MAX_WORKER", "_DATABASE_URL", "DEFAULT_DATABASE_URLS"):
        assert not found.reads(key)
    assert found.nearest("MAX_WORKER") == "MAX_WORKERS"


# -- values ----------------------------------------------------------------------------------


def test_values_are_those_of_the_service_and_the_answer_shows_none(folder):
    request = {"files": paths(folder), "keys": ["MAX_WORKERS", "JOB_SERVER_TOKEN", "NOT_SET"]}
    answer = decoded(VALUES, values.main(request))
    wanted = {"MAX_WORKERS": Secret("2 # for now"), "JOB_SERVER_TOKEN": Secret(TOKEN)}
    assert answer.values == wanted
    assert TOKEN not in repr(answer)
    assert TOKEN not in str(answer)


# -- changing --------------------------------------------------------------------------------


def test_a_key_is_replaced_in_place_and_the_old_file_is_kept(folder):
    local = folder / "04_local.env"
    local.chmod(0o640)
    before = local.read_text()
    assert changed(folder, {"MAX_WORKERS": "3", "NEW": "a b"}) == {"changed": True}
    assert local.read_text() == "# mine\nMAX_WORKERS=3\nPLAIN_LOOKING=0ther\nNEW='a b'\n"
    backup = before.replace("0ther", "***")  # its name is in the file of secrets
    assert [copy.read_text() for copy in copies(folder)] == [backup]
    assert stat.S_IMODE(local.stat().st_mode) == 0o640
    assert changed(folder, {"MAX_WORKERS": "3", "NEW": "a b"}) == {"changed": False}
    assert [copy.read_text() for copy in copies(folder)] == [backup]
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    "lines",
    [
        "JOB_SERVER_TOKEN={S}",
        "PLAIN_LOOKING={S}",
        "DATABASE='{S} x'",
        "X=mssql://me:{S}@host/db",
        'DB_PASSWORD="first\n{S}"',
        "#OLD_TOKEN={S}",
        "TOKEN=x\\\n{S}",
        "ARGS='--password {S}'",
    ],
)
@pytest.mark.parametrize("wanted", [{"MAX_WORKERS": "3"}, {"MAX_WORKERS": None}])
def test_a_backup_has_no_secret(folder, lines, wanted):
    secret = "opensesame7"
    (folder / "02_secrets.env").write_text("#DATABASE=\nPLAIN_LOOKING=1\n")
    local = folder / "04_local.env"
    local.write_text(f"# mine\nMAX_WORKERS=2\n{lines.format(S=secret)}\n")
    older = folder / "04_local.env.bak-20200101T000000Z-00"
    older.write_text(f"TOKEN={secret}")
    killed = folder / ".opstasks-04_local.env.0123456789ab"
    killed.write_text(f"TOKEN={secret}")
    changed(folder, wanted)
    others = [path for path in folder.iterdir() if path != local and path.is_file()]
    assert killed not in others
    assert [path.name for path in others if secret in path.read_text()] == []
    assert older.read_text() == "TOKEN=***"
    (_, newer) = copies(folder)
    assert "# mine\nMAX_WORKERS=2\n" in newer.read_text()
    assert stat.S_IMODE(newer.stat().st_mode) == stat.S_IMODE(local.stat().st_mode)


@pytest.mark.parametrize("new", ["other", None])
def test_a_secret_that_was_replaced_or_unset_is_gone(folder, new):
    changed(folder, {"JOB_SERVER_TOKEN": "opensesame7"})
    changed(folder, {"JOB_SERVER_TOKEN": new})
    changed(folder, {"MAX_WORKERS": "3"})
    texts = [path.read_text() for path in folder.iterdir() if path.is_file()]
    assert not [text for text in texts if "opensesame7" in text]


def test_a_typed_secret_is_remembered_and_hidden_from_then_on(folder, monkeypatch):
    secret = "correct horse"
    (folder / "04_local.env").write_text("FOO=correct horse\n")
    changed(folder, {"FOO": secret}, secret_keys=["FOO", "JOB_SERVER_TOKEN"])
    local = (folder / "04_local.env").read_text()
    # A name that says it needs no mark, and a value that was there in clear is in no backup.
    assert local == "FOO='correct horse'\n# FOO is a secret\n"
    assert secret not in json.dumps(shown(folder))
    assert decoded(SHOW, shown(folder)).marked == ("FOO",)
    changed(folder, {"MAX_WORKERS": "3"})
    assert not [p for p in folder.glob("*.bak") if secret in p.read_text()]
    changed(folder, {"FOO": None})
    monkeypatch.setattr(show, "service_environment", lambda unit: {"FOO": secret})
    found = decoded(SHOW, shown(folder))
    assert found.get("FOO").running.fingerprint == fingerprint("FOO", secret)
    assert secret not in "".join(p.read_text() for p in folder.iterdir() if p.is_file())
    before = (folder / "04_local.env").read_text()
    changed(folder, {"FOO": secret}, secret_keys=["FOO"])
    assert (folder / "04_local.env").read_text() == f"{before}FOO='correct horse'\n"


def test_a_mark_does_not_change_what_an_open_quote_contains(folder):
    with pytest.raises(HostRefusal, match="an open quote"):
        edited("A='open\n", {"FOO": "x"}, ["FOO"])


def test_a_key_is_removed_with_its_line_and_comments_stay(folder):
    changed(folder, {"MAX_WORKERS": None})
    assert (folder / "04_local.env").read_text() == "# mine\nPLAIN_LOOKING=0ther\n"
    assert changed(folder, {"MAX_WORKERS": None}) == {"changed": False}


def test_a_key_can_be_set_to_an_empty_value(folder):
    changed(folder, {"MAX_WORKERS": ""})
    assert read_systemd((folder / "04_local.env").read_text()).values()["MAX_WORKERS"] == ""


def test_only_the_local_file_is_ever_written(folder):
    before = {name: (folder / name).read_bytes() for name in FILES[:3]}
    changed(folder, {"POLL_INTERVAL": "1", "JOB_SERVER_TOKEN": "x"})
    assert before == {name: (folder / name).read_bytes() for name in FILES[:3]}


def test_a_preview_answers_like_a_change_and_writes_nothing(folder):
    before = (folder / "04_local.env").read_bytes()
    assert previewed(folder, {"MAX_WORKERS": "3"}) == {"changed": True}
    assert previewed(folder, {"PLAIN_LOOKING": "0ther"}) == {"changed": False}
    assert (folder / "04_local.env").read_bytes() == before
    assert not copies(folder)


@pytest.mark.parametrize(
    "name",
    [
        "04_local.env.bak",
        "04_local.env.bak-20261126",
        ".04_local.env.swp",
        ".04_local.env.original",
        ".04_local.env.20261126",
    ],
)
def test_a_file_that_a_person_put_beside_it_stays_as_it_is(folder, name):
    (folder / name).write_text("TOKEN=opensesame7\n")
    changed(folder, {"MAX_WORKERS": "3"})
    changed(folder, {"MAX_WORKERS": "4"})
    assert (folder / name).read_text() == "TOKEN=opensesame7\n"


def test_only_the_newest_copies_are_kept(folder, monkeypatch):
    monkeypatch.setattr(backups, "KEEP", 3)
    for number in range(10, 16):
        changed(folder, {"MAX_WORKERS": str(number)})
    kept = ["12", "13", "14"]
    assert [read_systemd(c.read_text()).values()["MAX_WORKERS"] for c in copies(folder)] == kept


def test_an_edit_during_the_trial_import_is_not_lost(folder):
    local = folder / "04_local.env"
    with (folder / "code" / "jobrunner" / "config.py").open("a") as code:
        code.write(f"\nwith open({str(local)!r}, 'a') as file: file.write('BY_HAND=1\\n')\n")
    with (folder / "03_backend.env").open("a") as file:
        file.write("BACKEND=test\n")
    local.write_text("# mine\n")
    with pytest.raises(HostRefusal, match=r"04_local\.env has changed since"):
        changed(folder, {"X": "1"})
    assert local.read_text() == "# mine\nBY_HAND=1\n"
    assert not copies(folder)
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_an_edit_at_the_last_moment_is_not_lost(folder, monkeypatch):
    local = folder / "04_local.env"
    monkeypatch.setattr(backups, "keep", lambda *_, **__: local.write_text("BY_HAND=1\n"))
    with pytest.raises(HostRefusal, match=r"04_local\.env has changed since"):
        changed(folder, {"X": "1"})
    assert local.read_text() == "BY_HAND=1\n"


def test_a_file_that_appears_during_the_trial_import_stays(folder):
    local = folder / "04_local.env"
    local.unlink()
    code = folder / "code" / "jobrunner" / "config.py"
    code.write_text(f"with open({str(local)!r}, 'a') as file: file.write('BY_HAND=1\\n')\n")
    with pytest.raises(HostRefusal, match=r"04_local\.env has changed since"):
        changed(folder, {"X": "1"}, at="")
    assert local.read_text() == "BY_HAND=1\n"


def test_a_file_that_changed_since_the_inspection_is_left_alone(folder):
    old = stamp(folder)
    with (folder / "04_local.env").open("a") as file:
        file.write("X=1\n")
    with pytest.raises(HostRefusal, match="changed since"):
        changed(folder, {"Y": "1"}, at=old)
    assert "Y" not in (folder / "04_local.env").read_text()


@pytest.mark.parametrize("ask", [changed, previewed])
def test_a_value_that_job_runner_would_not_start_with_is_refused(folder, ask):
    with (folder / "03_backend.env").open("a") as file:
        file.write("BACKEND=test\n")
    before = (folder / "04_local.env").read_text().replace("2 # for now", "2")
    (folder / "04_local.env").write_text(before)
    with pytest.raises(HostRefusal) as caught:
        ask(folder, {"MAX_WORKERS": "many-hunter2"})
    assert caught.value.reason.startswith("job-runner would not start with it: ValueError")
    assert "hunter2" not in str(caught.value.__dict__)
    assert (folder / "04_local.env").read_text() == before


@pytest.mark.parametrize("ask", [changed, previewed])
def test_a_value_that_cannot_be_tried_is_refused(folder, ask, monkeypatch):
    monkeypatch.setenv("PATH", "/no/such/path")
    before = (folder / "04_local.env").read_text()
    with pytest.raises(HostRefusal, match="cannot be tried"):
        ask(folder, {"MAX_WORKERS": "3"})
    assert (folder / "04_local.env").read_text() == before


def test_a_link_is_not_replaced(folder):
    local = folder / "04_local.env"
    local.rename(folder / "elsewhere")
    local.symlink_to(folder / "elsewhere")
    with pytest.raises(HostRefusal, match="is a link"):
        changed(folder, {"X": "1"})
    assert local.is_symlink()


def test_a_missing_local_file_is_created(folder):
    (folder / "04_local.env").unlink()
    assert changed(folder, {"X": "1"}, at="") == {"changed": True}
    assert (folder / "04_local.env").read_text() == "X=1\n"
    assert stat.S_IMODE((folder / "04_local.env").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A='open\n", {"B": "1"}),
        ("# comment \\\n", {"B": "1"}),
        ("B=1\nexport B=2\n", {"B": "3"}),
        ("export B=2\n", {"B": None}),
    ],
)
def test_an_edit_that_a_reader_would_ignore_is_refused(text, wanted):
    with pytest.raises(HostRefusal):
        edited(text, wanted)


def no_room(handle):
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_old_file(folder, monkeypatch):
    before = (folder / "04_local.env").read_text()
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(HostRefusal, match="o space left"):
        changed(folder, {"X": "1"})
    assert (folder / "04_local.env").read_text() == before
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_an_error_after_the_file_was_replaced_is_not_a_refusal(folder, monkeypatch):
    calls, real = [], os.fsync

    def third_fails(handle):  # after the new file and its backup
        calls.append(handle)
        real(handle) if len(calls) < 3 else no_room(handle)

    monkeypatch.setattr(os, "fsync", third_fails)
    answer = answer_to(lambda request: changed(folder, {"X": "1"}), {})
    with pytest.raises(ProgramFailed, match="no space left") as caught:
        CHANGE.decode(Result("", 0, json.dumps(answer), ""), "h")
    assert not isinstance(caught.value, Refused)
    assert "X=1" in (folder / "04_local.env").read_text()


@pytest.mark.parametrize("failing", [1, 2])
def test_a_full_disk_while_writing_leaves_file_and_backup_as_they_were(
    folder, monkeypatch, failing
):
    local, backup = folder / "04_local.env", folder / "04_local.env.bak-20200101T000000Z-00"
    backup.write_text("OLD=1\n")
    before, calls, real = local.read_text(), [], os.fsync

    def fails(handle):
        calls.append(handle)
        no_room(handle) if len(calls) == failing else real(handle)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(HostRefusal, match="o space left"):
        changed(folder, {"X": "1"})
    assert (local.read_text(), backup.read_text()) == (before, "OLD=1\n")
    assert copies(folder) == [backup]
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".")]


KEYS = st.from_regex(r"[A-Z_][A-Z0-9_]{0,6}", fullmatch=True)
VALUE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)
LINE = st.one_of(
    st.builds(lambda k, v: f"{k}={quoted(v)}", KEYS, VALUE),
    VALUE.map(lambda text: "# " + text.replace("\\", "")),
    st.just(""),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, max_size=6), KEYS, st.one_of(VALUE, st.none()), st.booleans())
def test_an_edit_changes_its_key_and_nothing_else(lines, key, value, ended):
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    new = edited(text, {key: value})
    before, after = read_systemd(text).values(), read_systemd(new).values()
    assert after.pop(key, None) == value
    before.pop(key, None)
    assert after == before
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in new.splitlines() if line.startswith("#")] == comments
    assert edited(new, {key: value}) == new
