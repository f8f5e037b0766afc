"""config: the host's side on real files, and what is made of its answers."""

import json
import os
import stat
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opstasks.config import act as workflow
from opstasks.config import keys as config
from opstasks.config.keys import CodeKeys, Config, EnvFile, Key, Value
from opstasks.config.onhost import config as remote_config
from opstasks.config.onhost.envfile import systemd
from opstasks.core.command import Secret
from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec
from opstasks.primitives.systemd import UnitState

SPEC = HostSpec(name="h", backend="test")
TOKEN = "s3cr3t-of-the-backend"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A host's config directory, and code that reads some keys."""
    texts = {
        "01_defaults.env": "POLL_INTERVAL=15\nMAX_WORKERS=4\n",
        "02_secrets.env": f"JOB_SERVER_TOKEN={TOKEN}\nPLAIN_LOOKING=pl41n\n",
        "03_backend.env": "MAX_WORKERS=10\nDB=mssql://user:pw9@host/x\n",
        "04_local.env": "# mine\nMAX_WORKERS=2 # for now\nPLAIN_LOOKING=0ther\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    code = tmp_path / "code" / "jobrunner"
    code.mkdir(parents=True)
    (code / "__init__.py").write_text("")
    (code / "config.py").write_text(
        "import os\nMAX = int(os.environ.get('MAX_WORKERS', 1))\nB = os.environ['BACKEND']\n"
        "if 'OTEL' in os.environ: pass\ndef f(env, n): return env.get(f'{n}_DATABASE_URL')\n"
    )
    monkeypatch.setattr(remote_config, "service_process", lambda unit: (0, ""))
    return tmp_path


def request(folder, **over):
    files = [str(folder / name) for name in config.FILES]
    return {
        "do": "show",
        "files": files,
        "ours": [files[0], files[2]],
        "secret_file": files[1],
        "secret_keys": [],
        "watched": [],
        "unit": "jobrunner",
        "code": str(folder / "code"),
        "lib": str(folder),
        "with_code": True,
        **over,
    }


def ask(asked, capsys):
    remote_config.main(json.dumps(asked))
    return capsys.readouterr().out


def stamp(path):
    return remote_config.read_file(str(path))["stamp"]


def change(folder, capsys, wanted, **over):
    asked = request(folder, do="change", wanted=wanted, dry=False, **over)
    asked.setdefault("stamp", None)
    if asked["stamp"] is None:
        asked["stamp"] = stamp(folder / "04_local.env")
    return json.loads(ask(asked, capsys))


# -- showing ---------------------------------------------------------------------------------


def test_the_last_file_wins_and_the_others_are_named(folder, capsys):
    found = config.parse("h", ask(request(folder), capsys))
    key = found.get("MAX_WORKERS")
    assert key.value == Value(True, "2 # for now")
    assert (key.source, key.over) == ("04_local.env", ("01_defaults.env", "03_backend.env"))
    assert (key.shell, key.shell_text) == ("other", "2")
    assert "a shell reads '2'" in key.note()
    assert found.value("POLL_INTERVAL") == "15"


def test_no_secret_leaves_the_host_whatever_makes_it_one(folder, capsys):
    text = ask(request(folder, secret_keys=["POLL_INTERVAL"]), capsys)
    for secret in (TOKEN, "pl41n", "0ther", "pw9", "15"):
        assert f'"{secret}' not in text
    assert TOKEN not in text
    found = config.parse("h", text)
    secrets = {key.name for key in found.keys if key.secret}
    assert secrets == {"JOB_SERVER_TOKEN", "PLAIN_LOOKING", "DB", "POLL_INTERVAL"}
    assert found.get("JOB_SERVER_TOKEN").value.describe().startswith("secret, fingerprint ")
    # A hash of a file of secrets would let short ones be guessed.
    assert [bool(item.sha256) for item in found.files] == [True, False, True, False]


def test_fingerprints_tell_values_and_keys_apart_and_are_the_same_everywhere():
    one = remote_config.fingerprint("A", "x")
    assert one == remote_config.fingerprint("A", "x")
    assert len({one, remote_config.fingerprint("A", "y"), remote_config.fingerprint("B", "x")}) == 3
    assert len(one) == 8


def test_what_the_service_runs_with_is_compared_with_the_files(folder, capsys, monkeypatch):
    running = {"MAX_WORKERS": "10", "POLL_INTERVAL": "15", "JOB_SERVER_TOKEN": "old", "GONE": "1"}
    monkeypatch.setattr(remote_config, "environment", lambda pid, group: running)
    text = ask(request(folder, watched=["GONE"]), capsys)
    found = config.parse("h", text)
    assert found.get("MAX_WORKERS").running == Value(True, "10")
    assert found.get("POLL_INTERVAL").running is None
    assert found.get("JOB_SERVER_TOKEN").running.fingerprint
    assert found.get("GONE").running == Value(True, "1")
    assert found.get("DB").running == Value(False)
    assert '"old"' not in text


def test_which_keys_the_code_reads(folder):
    found = CodeKeys(**remote_config.keys_of_code(str(folder / "code")))
    assert found.required == ["BACKEND"]
    assert found.optional == ["MAX_WORKERS", "OTEL"]
    for key in ("BACKEND", "MAX_WORKERS", "DEFAULT_DATABASE_URL", "OTEL_EXPORTER_OTLP_HEADERS"):
        assert found.reads(key)
    assert not found.reads("MAX_WORKER")
    assert found.nearest("MAX_WORKER") == "MAX_WORKERS"


# -- changing --------------------------------------------------------------------------------


def test_a_key_is_replaced_where_it_stands_and_the_old_file_kept(folder, capsys):
    local = folder / "04_local.env"
    local.chmod(0o640)
    before = local.read_text()
    assert change(folder, capsys, {"MAX_WORKERS": "3", "NEW": "a b"}) == {"changed": True}
    assert local.read_text() == "# mine\nMAX_WORKERS=3\nPLAIN_LOOKING=0ther\nNEW='a b'\n"
    assert (folder / "04_local.env.bak").read_text() == before
    assert stat.S_IMODE(local.stat().st_mode) == 0o640
    assert change(folder, capsys, {"MAX_WORKERS": "3", "NEW": "a b"}) == {"changed": False}
    assert (folder / "04_local.env.bak").read_text() == before
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".04")]


def test_a_key_is_taken_away_with_its_line_and_comments_stay(folder, capsys):
    change(folder, capsys, {"MAX_WORKERS": None})
    assert (folder / "04_local.env").read_text() == "# mine\nPLAIN_LOOKING=0ther\n"
    assert change(folder, capsys, {"MAX_WORKERS": None}) == {"changed": False}


def test_only_the_local_file_is_ever_written(folder, capsys):
    before = {name: (folder / name).read_bytes() for name in config.FILES[:3]}
    change(folder, capsys, {"POLL_INTERVAL": "1", "JOB_SERVER_TOKEN": "x"})
    assert before == {name: (folder / name).read_bytes() for name in config.FILES[:3]}


def test_a_file_that_changed_meanwhile_is_left_alone(folder, capsys):
    old = stamp(folder / "04_local.env")
    with (folder / "04_local.env").open("a") as file:
        file.write("X=1\n")
    answer = change(folder, capsys, {"Y": "1"}, stamp=old)
    assert "changed since" in answer["error"]
    assert "Y" not in (folder / "04_local.env").read_text()


def test_a_value_that_job_runner_would_not_start_with_is_refused(folder, capsys):
    with (folder / "03_backend.env").open("a") as file:
        file.write("BACKEND=test\n")
    before = (folder / "04_local.env").read_text().replace("2 # for now", "2")
    (folder / "04_local.env").write_text(before)
    answer = change(folder, capsys, {"MAX_WORKERS": "many-hunter2"})
    assert answer["error"].startswith("job-runner would not start with it: ValueError")
    assert "hunter2" not in answer["error"]
    assert (folder / "04_local.env").read_text() == before


def test_a_link_is_not_replaced(folder, capsys):
    local = folder / "04_local.env"
    local.rename(folder / "elsewhere")
    local.symlink_to(folder / "elsewhere")
    assert "is a link" in change(folder, capsys, {"X": "1"})["error"]
    assert local.is_symlink()


def test_a_file_that_is_not_there_is_made(folder, capsys):
    (folder / "04_local.env").unlink()
    assert change(folder, capsys, {"X": "1"}, stamp="") == {"changed": True}
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
def test_an_edit_that_a_reader_would_not_see_is_refused(text, wanted):
    with pytest.raises(remote_config.ConfigError):
        remote_config.edited(text, wanted)


def test_a_disk_that_is_full_leaves_the_old_file(folder, capsys, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    before = (folder / "04_local.env").read_text()
    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in change(folder, capsys, {"X": "1"})["error"]
    assert (folder / "04_local.env").read_text() == before
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".04")]


KEYS = st.from_regex(r"[A-Z_][A-Z0-9_]{0,6}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)
LINE = st.one_of(
    st.builds(lambda k, v: f"{k}={remote_config.quoted(v)}", KEYS, VALUES),
    VALUES.map(lambda text: "# " + text.replace("\\", "")),
    st.just(""),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINE, max_size=6), KEYS, st.one_of(VALUES, st.none()), st.booleans())
def test_an_edit_changes_its_key_and_nothing_else(lines, key, value, ended):
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    new = remote_config.edited(text, {key: value})
    before, after = systemd(text).values(), systemd(new).values()
    assert after.pop(key, None) == value
    before.pop(key, None)
    assert after == before
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in new.splitlines() if line.startswith("#")] == comments
    assert remote_config.edited(new, {key: value}) == new


# -- what is typed ---------------------------------------------------------------------------

HOSTILE = (
    *("", " ", "-", "--", "=", "a b", "a;b", "$(id)", "`id`", "A\n", "A\nB", "A\0", "1A", "é"),
    *("A-B", "A.B", "../x", "A=", "%s", "A'", 'A"', "A\\", "A\x1b[31m", "export A", "A" * 200),
)


@pytest.mark.parametrize("key", [*HOSTILE, "PATH", "IFS", "BASH_ENV", "LD_PRELOAD", "PYTHONPATH"])
def test_what_is_no_key_of_ours_is_refused(key):
    with pytest.raises(Refused):
        config.valid_key(key)


@settings(deadline=None)
@given(st.text(max_size=20))
@example("A\n")
def test_a_key_that_passes_is_a_plain_name(text):
    try:
        config.valid_key(text)
    except Refused:
        return
    assert text.isascii()
    assert text.isidentifier()


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\0", "\x1b", "\x9b", "\ud800", "x" * 9000])
def test_a_value_that_no_line_can_hold_is_refused_without_being_shown(value):
    with pytest.raises(Refused) as caught:
        config.valid_value("KEY", value)
    assert value not in str(caught.value)


def test_what_is_to_be_written_is_no_part_of_the_command_line():
    command = config.change_command(SPEC, {"A": TOKEN}, "", dry=False)
    assert isinstance(command.stdin, Secret)
    assert TOKEN not in command.line()
    assert TOKEN not in repr(command)
    assert command.mutates


# -- checking --------------------------------------------------------------------------------

GOOD = tuple(EnvFile(name, mode="0600", sha256="x") for name in config.FILES)
SERVING = UnitState("jobrunner", "loaded", "active", "running", since=datetime.now(UTC))


def findings(*keys, files=GOOD, code=None, wanted=None, unit=SERVING, seen=True):
    found = Config(keys, files, code, seen)
    return {
        (item.what, item.file, item.key): (item.is_problem, item.text)
        for item in workflow.judge(found, wanted or {}, unit)
    }


def test_a_configuration_in_order_has_no_findings():
    assert findings(Key("A", Value(True, "1"), "03_backend.env")) == {}


def test_each_kind_of_finding():
    keys = (
        Key("A", Value(True, "1"), "04_local.env", over=("01_defaults.env",)),
        Key("MAX_WORKER", Value(True, "1"), "03_backend.env"),
        Key("B", Value(True, "1 # x"), "03_backend.env", shell="other", shell_text="1"),
        Key("C", Value(True, "1"), "03_backend.env", twice=("03_backend.env",)),
        Key("D", Value(True, "1"), "03_backend.env", running=Value(True, "2")),
    )
    code = CodeKeys(required=("NEEDED", "A"), optional=("MAX_WORKERS", "B", "C", "D"))
    files = (
        EnvFile("01_defaults.env", sha256="other", mode="0640"),
        EnvFile("02_secrets.env", mode="0640"),
        EnvFile("03_backend.env", error="No such file or directory"),
        EnvFile("04_local.env", mode="0640", problems=((3, "there is no equals sign"),)),
    )
    wanted = {"01_defaults.env": "A=1\nX=2\n", "02_secrets.env": "#TOKEN=\n"}
    found = findings(*keys, files=files, code=code, wanted=wanted)
    problems = {what for (what, _, _), (is_problem, _) in found.items() if is_problem}
    assert problems == {"file", "drift", "readers", "unknown", "missing", "restart"}
    assert "lacks X" in found["drift", "01_defaults.env", ""][1]
    assert "did you mean MAX_WORKERS?" in found["unknown", "03_backend.env", "MAX_WORKER"][1]
    assert "chmod 600" in found["file", "02_secrets.env", ""][1]
    assert found["local", "04_local.env", "A"][0] is False
    assert found["secrets", "02_secrets.env", ""] == (False, "not filled in: TOKEN")
    assert found["readers", "04_local.env", ""][1] == "line 3: there is no equals sign"
    assert {key for what, _, key in found if what == "missing"} == {"NEEDED"}


@pytest.mark.parametrize("seen", [True, False])
def test_a_file_newer_than_the_service_matters_only_where_nothing_better_is_known(seen):
    files = (*GOOD[:3], EnvFile("04_local.env", mode="0640", changed=SERVING.since.timestamp() + 9))
    found = findings(files=files, seen=seen)
    assert found["restart", "04_local.env", ""][0] is not seen


def test_secrets_typed_on_the_command_line_are_refused():
    from opstasks.config import tasks

    listed = workflow.secret_keys(SPEC)
    for text in (
        "JOB_SERVER_TOKEN=abc",
        "X_PASSWORD=1",
        "ANY=mssql://u:p@h/d",
        "STATA_LICENSE=abc",
    ):
        with pytest.raises(Refused) as caught:
            tasks._assignment(None, text, listed)
        assert "abc" not in str(caught.value)
    assert tasks._assignment(None, "MAX_WORKERS=3", listed) == ("MAX_WORKERS", "3")
    with pytest.raises(Refused):
        tasks._assignment(None, "MAX_WORKERS", listed)


def test_a_key_to_be_unset_that_nothing_sets_is_told_with_the_nearest():
    found = Config(keys=(Key("MAX_WORKERS", Value(True, "3"), source="03_backend.env"),))
    assert workflow._notes(found, {"MAX_WORKER": None}) == [
        "nothing sets MAX_WORKER; did you mean MAX_WORKERS?"
    ]
    assert workflow._notes(found, {"OTHER": None}) == ["nothing sets OTHER"]
