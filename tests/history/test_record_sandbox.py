"""Accounts of a real host write false lines into its journal; and the umask of the login."""

import json
import shlex
import time

import pytest

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]

HERE = ("-H", "sandbox-1")
# Writes as sudo's prompt, into a stream and a socket that the caller opened.
AS_SUDO = """
import socket, subprocess, sys
text = sys.argv[1]
fields = f"MESSAGE={text}\\nSYSLOG_IDENTIFIER=opstasks\\nPRIORITY=6\\nOPSTASKS_LOGIN=ops\\n"
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("/run/systemd/journal/socket")
where = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
subprocess.run(["sudo", "-k", "-S", "-p", fields, "true"], stderr=s, **where)
ask = ["systemd-cat", "-t", "opstasks", "sudo", "-k", "-S", "-p", text + "\\n", "true"]
subprocess.run(ask, **where)
"""


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def history(inv, tmp_path):
    """The history that a colleague without a local record sees."""

    def read(*words):
        done = good(inv(*HERE, "--json", "history", *words, env={"XDG_STATE_HOME": str(tmp_path)}))
        return json.loads(done.stdout)["hosts"]["sandbox-1"]["value"], done.stderr

    return read


@pytest.fixture(scope="module")
def mallory(managed):
    """An account without any rights."""
    good(managed.exec_("sandbox-1", ["useradd", "--create-home", "mallory"]))
    yield "mallory"
    managed.exec_("sandbox-1", ["userdel", "--remove", "mallory"])


@pytest.fixture
def write(managed, mallory):
    """Write lines as an account: `write("nobody", "logger --journald", line)`."""

    def as_account(account, how, line):
        text = shlex.quote(line)
        fields = f"MESSAGE=%s\\nSYSLOG_IDENTIFIER=opstasks\\n_UID=0\\nOPSTASKS_LOGIN={account}\\n"
        script = {
            "logger": f"logger -t opstasks {text}",
            "systemd-cat": f"printf '%s\\n' {text} | systemd-cat -t opstasks",
            "journald": f"printf '{fields}' {text} | logger --journald",
            "a false login": f"printf '{fields}' {text} | sed s/{account}/ops/ | logger --journald",
            "sudo's prompt": f"python3 -c {shlex.quote(AS_SUDO)} {text}",
        }[how]
        managed.exec_("sandbox-1", ["runuser", "-u", account, "--", "sh", "-c", script])

    return as_account


def line(run_id, phase="end", **over):
    words = {"run_id": run_id, "task": "deploy", "phase": phase, "who": "alice@laptop"}
    words["time"] = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    return json.dumps({**words, "outcome": "changed" if phase == "end" else "", **over})


def ids(rows):
    return [row["run_id"] for row in rows]


@pytest.mark.parametrize("account", ["nobody", "mallory"])
@pytest.mark.parametrize(
    "how", ["logger", "systemd-cat", "a false login", "sudo's prompt", "journald"]
)
def test_other_accounts_cannot_write_the_record(history, write, observer, account, how):
    all_rows = ("--limit", "500")
    before = ids(history(*all_rows)[0])
    write(account, how, line("forged"))
    assert "forged" in observer("sandbox-1").check_output("journalctl --sync; journalctl -o cat")
    rows, notes = history(*all_rows)
    assert ids(rows) == before
    assert "of the journal ignored" in notes


def test_an_account_can_neither_end_nor_hide_the_runs_of_others(inv, history, write):
    good(inv(*HERE, "pause", "--reason", "upgrade", "--yes"))
    good(inv(*HERE, "unpause", "--yes"))
    before = [row for row in history("--task", "pause")[0] if row["login"] == "ops"]
    last = before[-1]
    assert (last["outcome"], last["who"] != "") == ("changed", True)
    for number in range(60):
        run_id = last["run_id"] if number % 2 else f"false-{number}"
        write("mallory", "journald", line(run_id, task="pause", outcome="failed"))
    rows, notes = history()
    assert not [row for row in rows if row["run_id"].startswith("false")]
    assert [row for row in rows if row["run_id"] == last["run_id"]] == [last]
    assert "ignored" in notes


def test_the_login_is_what_the_host_knows(inv, history, observer):
    good(inv(*HERE, "run", "--", "true"))
    good(inv(*HERE, "run", "--user", "root", "--", "true"))
    good(inv(*HERE, "run", "--user", "ops", "--", "true"))
    rows, _ = history("--task", "run")
    assert [(row["login"], row["written_by"]) for row in rows[-3:]] == [
        ("ops", "opensafely"),
        ("ops", "root"),
        ("ops", "ops"),
    ]
    seen = observer("sandbox-1").check_output(
        'journalctl -t opstasks -n 6 -o json | grep -c \'"OPSTASKS_LOGIN":"ops"\''
    )
    assert seen.strip() == "6"


def test_the_newest_lines_are_read_with_and_without_a_time(inv, history):
    for _ in range(3):
        good(inv(*HERE, "run", "--", "true"))
    rows, _ = history("--limit", "2")
    assert len(rows) == 2
    since, _ = history("--limit", "2", "--since", "1h")
    assert ids(since) == ids(rows)


COREDUMP = "fc2e22bc6ee647b6b90729ab34a250b1"


@pytest.mark.parametrize(
    "fields",
    [
        "_SYSTEMD_UNIT=jobrunner.service",
        "UNIT=jobrunner.service",
        "OBJECT_SYSTEMD_UNIT=jobrunner.service",
        f"COREDUMP_UNIT=jobrunner.service\\nMESSAGE_ID={COREDUMP}",
    ],
)
def test_other_accounts_cannot_write_into_the_services_log(inv, managed, mallory, observer, fields):
    text = f"MESSAGE=forged {fields[:9]}\\nSYSLOG_IDENTIFIER=python3\\n{fields}\\n"
    script = f"printf '{text}' | logger --journald"
    good(managed.exec_("sandbox-1", ["runuser", "-u", mallory, "--", "sh", "-c", script]))
    written = "journalctl --sync; journalctl -o cat"
    assert f"forged {fields[:9]}" in observer("sandbox-1").check_output(written)
    for words in ([], ["--job", "forged"], ["--since", "1h"]):
        assert "forged" not in good(inv(*HERE, "logs", *words)).stdout


# -- umask -------------------------------------------------------------------------------------


@pytest.fixture(params=["0000", "0777"])
def login_umask(managed, request):
    """The login of these tests has this umask, and so has what sudo starts for it."""
    setting = f"umask {request.param}"
    sudoers = "Defaults umask_override, umask=0777\n" if request.param == "0777" else ""
    managed.exec_("sandbox-1", ["sed", "-i", f"1i {setting}", "/home/ops/.bashrc"])
    put = f"printf %s {shlex.quote(sudoers)} >/etc/sudoers.d/zz-umask; chmod 440 /etc/sudoers.d/zz*"
    managed.exec_("sandbox-1", ["sh", "-c", put])
    yield
    managed.exec_("sandbox-1", ["sed", "-i", "1d", "/home/ops/.bashrc"])
    managed.exec_("sandbox-1", ["rm", "-f", "/etc/sudoers.d/zz-umask"])


def test_the_umask_of_a_login_decides_nothing(login_umask, inv, managed, observer):
    host = observer("sandbox-1")
    host.check_output("rm -f /home/opensafely/made; touch /tmp/before; sleep 1.1")
    good(inv(*HERE, "run", "--", "touch", "/home/opensafely/made"))
    assert host.file("/home/opensafely/made").mode == 0o640
    good(inv(*HERE, "pause", "--reason", "x", "--yes"))
    good(inv(*HERE, "config.set", f"OPSTASKS_TEST={time.time()}", "--unknown", "--yes"))
    good(inv(*HERE, "unpause", "--yes"))
    good(inv(*HERE, "prepare-reboot", "--delay", "4h", "--replace", "--yes"))
    good(inv(*HERE, "scheduled.cancel", "--yes"))
    good(inv(*HERE, "deploy", "--yes"))
    places = "/home/opensafely /var/lib/opstasks /srv /etc/systemd/system /usr/local"
    found = f"find {places} -newer /tmp/before -type f,d -printf '%m %u %p\\n'"
    new = host.check_output(found).splitlines()
    assert len(new) > 5
    bad = [text for text in new if text[-3:] != "/lock" and not is_safe(text.split(" ")[0])]
    assert not bad, bad


def is_safe(mode):
    """Others cannot write it, and its owner can read it."""
    return not int(mode, 8) & 0o002 and int(mode, 8) & 0o400
