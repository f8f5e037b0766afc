"""config on real hosts: how systemd itself reads a file, and changes that take effect."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from opstasks.config.onhost.edit import quoted
from opstasks.config.onhost.systemd_reader import read_systemd
from tests.config.test_readers import LINES

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
CONFIG = "/home/opensafely/config"
LOCAL = f"{CONFIG}/04_local.env"
HOST = "sandbox-1"
TOKEN = "t0ken of 'a' \"b\" $c `d`"
HOSTILE = [
    "$(touch /tmp/canary)",
    "`touch /tmp/canary`",
    "; touch /tmp/canary",
    "' touch /tmp/canary '",
]


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def config_files(managed):
    """The files as manage wrote them, restored afterwards, with the service running."""
    keep = f"rm -rf /tmp/config; cp -a {CONFIG} /tmp/config; rm -f /tmp/canary"
    managed.must(HOST, ["bash", "-c", keep])
    yield managed
    back = f"cp -a /tmp/config/. {CONFIG}/; rm -f {LOCAL}.bak-*; systemctl restart jobrunner"
    managed.must(HOST, ["bash", "-c", back])


def text(sandbox, path=LOCAL):
    return sandbox.must(HOST, ["cat", path])


def shown(inv, *names):
    done = good(inv("-H", HOST, "--json", "config.show", *names))
    value = json.loads(done.stdout)["hosts"][HOST]["value"]
    return {key["name"]: key for key in value["keys"]}


def in_service(sandbox, key):
    """The variable in the running process."""
    script = (
        "tr '\\0' '\\n' </proc/$(systemctl show jobrunner -p MainPID --value)/environ"
        f" | sed -n 's/^{key}=//p'"
    )
    return sandbox.must(HOST, ["bash", "-c", script]).removesuffix("\n")


def in_shell(sandbox, key):
    script = f'. {CONFIG}/load-env; printf %s "${key}"'
    return sandbox.must(HOST, ["bash", "-c", script], user="opensafely")


def test_systemd_itself_reads_each_line_like_our_reader(managed):
    """Every line of the list, and values as we write them, each in its own file."""
    texts = [f"{line}\n" for line in LINES]
    texts += [f"A={quoted(value)}\n" for value in [*HOSTILE, TOKEN, "ü", "~", "\\"]]
    texts += [
        "A='open\nB=1\n",
        "# c \\\nA=1\nB=2\n",
        "A=1\\",
        'A="x\\\ny"\nB=1\n',
        "A='x' 'y' z \n",
    ]
    texts += [
        "A='x '  \n",
        "A=\\ x\\ \n",
        'A="\\q\\$"\n',
        "A=1\rB=2\r",
        "A\t=\t1\t\n",
        "A=a\\\n\nB=1",
    ]
    script = ["rm -rf /tmp/env; mkdir /tmp/env; cd /tmp/env"]
    for number, content in enumerate(texts):
        script.append(f"printf %s {shlex.quote(content)} >{number}")
        script.append(
            f"systemd-run --quiet --pipe --wait -p EnvironmentFile=/tmp/env/{number}"
            " -- /usr/bin/python3 -c 'import json,os;print(json.dumps({k:os.environ.get(k)"
            ' for k in "AB"}))\''
        )
    lines = managed.must(HOST, ["bash"], stdin="\n".join(script)).splitlines()
    assert len(lines) == len(texts)
    for content, line in zip(texts, lines, strict=True):
        mine = read_systemd(content).values()
        assert {k: mine.get(k) for k in "AB"} == json.loads(line), content


def test_a_key_is_set_applies_at_the_restart_and_is_removed(config_files, inv):
    before = text(config_files)
    done = good(inv("-H", HOST, "config.set", "MAX_WORKERS=2", "--yes"))
    assert f"inv -H {HOST} service.restart" in done.stdout
    assert text(config_files) == before + "MAX_WORKERS=2\n"
    copies = config_files.must(HOST, ["bash", "-c", f"ls {LOCAL}.bak-*"]).split()
    assert [text(config_files, path) for path in copies] == [before]
    stat = config_files.must(HOST, ["stat", "-c", "%U:%G %a", LOCAL]).strip()
    assert stat == "opensafely:opensafely 640"
    assert in_service(config_files, "MAX_WORKERS") == "3"
    assert shown(inv, "MAX_WORKERS")["MAX_WORKERS"]["running"]["text"] == "3"
    checked = inv("-H", HOST, "config.check")
    assert checked.returncode == 1
    assert "the service runs with 3, the files say 2" in checked.stdout
    document = inv("-H", HOST, "--json", "config.check")
    assert (document.returncode, json.loads(document.stdout)["exit_code"]) == (1, 1)

    again = good(inv("-H", HOST, "config.set", "MAX_WORKERS=2", "--yes"))
    assert "nothing to do" in again.stdout
    good(inv("-H", HOST, "service.restart", "--watch", "1", "--yes"))
    assert in_service(config_files, "MAX_WORKERS") == in_shell(config_files, "MAX_WORKERS") == "2"
    document = good(inv("-H", HOST, "--json", "config.check"))
    assert json.loads(document.stdout)["exit_code"] == 0

    good(inv("-H", HOST, "config.unset", "MAX_WORKERS", "--yes"))
    assert text(config_files) == before
    assert "nothing to do" in good(inv("-H", HOST, "config.unset", "MAX_WORKERS", "--yes")).stdout
    journal = config_files.must(HOST, ["journalctl", "-t", "opstasks", "-o", "cat", "-n", "2"])
    assert "config.unset" in journal


def test_a_secret_is_set_from_standard_input_and_never_seen(config_files, inv, tmp_path):
    refused = inv("-H", HOST, "config.set", "JOB_SERVER_TOKEN=abc", "--yes")
    assert refused.returncode == 2
    inventory = Path(os.environ["OPSTASKS_SANDBOX_DIR"]) / "hosts.yaml"
    words = ["--inventory", str(inventory), "-H", HOST, "--echo", "--debug", "--yes"]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("inv")), *words, "config.set", "JOB_SERVER_TOKEN=-"],
        input=TOKEN + "\n",
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    good(done)
    audit = (tmp_path / "opstasks" / "audit.jsonl").read_text()
    journal = config_files.must(HOST, ["journalctl", "-o", "cat", "-n", "200"])
    for seen in (done.stdout, done.stderr, audit, journal):
        assert "t0ken" not in seen
    good(inv("-H", HOST, "service.restart", "--watch", "1", "--yes"))
    assert in_service(config_files, "JOB_SERVER_TOKEN") == TOKEN
    assert in_shell(config_files, "JOB_SERVER_TOKEN") == TOKEN
    for words in (["config.show"], ["config.check"], ["--json", "config.show"]):
        assert "t0ken" not in inv("-H", HOST, *words).stdout


def test_drift_typos_quoting_and_missing_files_are_found(config_files, inv):
    spoil = (
        f"cd {CONFIG}; sed -i 's/^MAX_WORKERS=.*/MAX_WORKERS=9/' 03_backend.env;"
        " echo 'MAX_WORKER=1' >>04_local.env; echo 'STATA_LICENSE=two words' >>02_secrets.env;"
        " echo 'RELEASE_HOST=x # why' >>04_local.env; chmod 644 02_secrets.env"
    )
    config_files.must(HOST, ["bash", "-c", spoil])
    done = inv("-H", HOST, "config.check", "--problems")
    assert done.returncode == 1, done.stdout
    for words in (
        "has another MAX_WORKERS",
        "did you mean MAX_WORKERS?",
        "a shell reads 'x'",
        "a shell does not set it",
        "chmod 600",
        "the service runs with 3, the files say 9",
    ):
        assert words in done.stdout, (words, done.stdout)
    assert "two words" not in done.stdout
    config_files.must(HOST, ["rm", f"{CONFIG}/03_backend.env"])
    assert "cannot be read" in inv("-H", HOST, "config.check").stdout


def test_nothing_that_is_typed_is_ever_run(config_files, inv):
    keys = {f"HOSTILE_{number}": value for number, value in enumerate(HOSTILE)}
    words = [f"{key}={value}" for key, value in keys.items()]
    good(inv("-H", HOST, "config.set", "--unknown", *words, "--yes"))
    for key, value in keys.items():
        assert in_shell(config_files, key) == value
        assert inv("-H", HOST, "config.set", f"{value}=1", "--yes").returncode == 2
        assert inv("-H", HOST, "config.unset", value, "--yes").returncode == 2
    # A file that was written by hand is read, not run.
    config_files.must(HOST, ["bash", "-c", f"echo 'RELEASE_HOST=$(touch /tmp/canary)' >>{LOCAL}"])
    inv("-H", HOST, "config.show")
    inv("-H", HOST, "config.check")
    inv("-H", HOST, "config.set", "RELEASE_HOST=x", "--yes")
    assert config_files.exec_(HOST, ["test", "-e", "/tmp/canary"]).returncode == 1


def test_a_value_that_would_not_start_and_an_unknown_key_are_refused(config_files, inv):
    before = text(config_files)
    done = inv("-H", HOST, "config.set", "MAX_WORKERS=many", "--yes")
    assert (done.returncode, "would not start" in done.stderr) == (2, True)
    done = inv("-H", HOST, "config.set", "MAX_WORKER=1", "--yes")
    assert (done.returncode, "did you mean MAX_WORKERS?" in done.stderr) == (2, True)
    good(inv("-H", HOST, "config.set", "MAX_WORKERS=1", "--dry"))
    assert text(config_files) == before


def test_a_new_override_needs_no_question_and_one_of_somebody_does(config_files, inv):
    before = text(config_files)
    done = good(inv("-H", HOST, "config.set", "MAX_WORKERS=1"))
    assert f"Undo: inv -H {HOST} config.unset MAX_WORKERS" in done.stdout
    mine = text(config_files)
    for words in (["config.set", "MAX_WORKERS=2"], ["config.unset", "MAX_WORKERS"]):
        done = inv("-H", HOST, *words)
        assert (done.returncode, "--yes" in done.stderr) == (2, True)
        assert "ends the present override of MAX_WORKERS (04_local.env, written " in done.stdout
        assert f"Undo: inv -H {HOST} config.set MAX_WORKERS=1" in done.stdout
    assert text(config_files) == mine
    done = good(inv("-H", HOST, "config.unset", "MAX_WORKERS", "--yes"))
    assert "MAX_WORKERS 1 -> 3" in done.stdout
    assert text(config_files) == before
