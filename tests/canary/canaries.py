"""Secrets that tests put on a host and search for everywhere else."""

import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HOST = "sandbox-1"
CONFIG = "/home/opensafely/config"
# systemd reads these.
COPIES = "/run/jobrunner-env"
CODE = "/home/opensafely/jobrunner/code"
LOGS = "/srv/high_privacy/logs"
SAMPLER = (Path(__file__).parent / "sampler.py").read_text()


def word(kind):
    """A secret that nothing else on a machine contains."""
    return f"kanarie{kind}{secrets.token_hex(8)}"


class Canaries:
    """The secrets on the host: words by kind, and for each file the kinds that it may contain.

    `control` is in every place on purpose: a search that does not find it there does not work.
    """

    def __init__(self):
        self.words = {}
        self.allowed = {}
        self.control = word("control")

    def new(self, kind, *paths):
        """One more word, which these files may contain."""
        self.words[kind] = word(kind)
        for path in paths:
            self.allowed.setdefault(path, set()).add(kind)
        return self.words[kind]

    @property
    def all_words(self):
        """Every word, in lines."""
        return "".join(f"{value}\n" for value in (*self.words.values(), self.control))

    def kind_of(self, value):
        """The kind of a word."""
        kinds = {value: kind for kind, value in self.words.items()} | {self.control: "control"}
        return kinds[value]

    def kinds_in(self, text):
        """The kinds of the words that a text contains."""
        return sorted(kind for kind, value in self.words.items() if value in text)


def secrets_file(canaries):
    """The contents of 02_secrets.env."""

    def new(kind):
        return canaries.new(kind, f"{CONFIG}/02_secrets.env", f"{COPIES}/02_secrets.env")

    def url(kind):
        return f"mssql://reader:{new(kind)}@127.0.0.1:1/db"

    return "".join(
        f"{key}={value}\n"
        for key, value in (
            ("JOB_SERVER_TOKEN", new("jobserver")),
            ("PRIVATE_REPO_ACCESS_TOKEN", new("repo")),
            ("DEFAULT_DATABASE_URL", url("database")),
            ("INCLUDE_T1OO_DATABASE_URL", url("t1oo")),
            ("STATA_LICENSE", new("stata")),
            ("OTEL_SERVICE_NAME", "canary"),
            ("OTEL_EXPORTER_OTLP_HEADERS", f"x-honeycomb-team={new('otel')}"),
        )
    )


def local_file(canaries):
    """The contents of 04_local.env: one key overrides 02, and one is in no other file."""
    paths = (f"{CONFIG}/04_local.env", f"{COPIES}/04_local.env")
    return (
        f"DEFAULT_DATABASE_URL=mssql://other:{canaries.new('override', *paths)}@127.0.0.1:1/db\n"
        f"EXTRA_API_KEY={canaries.new('extra', *paths)}\n"
    )


def plant(sandbox, canaries):
    """Put a secret into every place where a host has one; restarts the service with them."""
    owner = ["runuser", "-u", "opensafely", "--", "bash", "-c"]

    def write(path, text, extra=""):
        sandbox.must(HOST, [*owner, f"umask 077; cat {extra}>{path}"], stdin=text)

    write(f"{CONFIG}/02_secrets.env", secrets_file(canaries))
    write(f"{CONFIG}/04_local.env", local_file(canaries), extra=">")
    config = f"{CODE}/.git/config"
    token = canaries.new("git", config)
    write(config, f'[remote "mirror"]\n\turl = https://bot:{token}@127.0.0.1:1/x.git\n', extra=">")
    sandbox.must(HOST, ["chpasswd", "-c", "SHA512"], stdin=f"dev:{canaries.new('sudo')}\n")
    sandbox.must(HOST, ["systemctl", "restart", "jobrunner"])


def remove_remote(sandbox):
    """Remove the checkout's second remote: `deploy` refuses a checkout that has one."""
    git = ["runuser", "-u", "opensafely", "--", "git", "-C", CODE]
    sandbox.must(HOST, [*git, "remote", "remove", "mirror"])


def plant_in_job(sandbox, canaries, job):
    """Put a secret into a job's metadata, as the environment of its container."""
    script = (
        "import json, sys\n"
        "path, word = sys.argv[1], sys.stdin.readline().strip()\n"
        "data = json.load(open(path))\n"
        "config = data.setdefault('container_metadata', {}).setdefault('Config', {})\n"
        "config['Env'] = [*(config.get('Env') or []), f'DATABASE_URL=mssql://x:{word}@h/db']\n"
        "json.dump(data, open(path, 'w'))\n"
    )
    find = ["bash", "-c", f"ls {LOGS}/*/os-job-{job}/metadata.json"]
    path = sandbox.must(HOST, find).strip()
    stdin = canaries.new("metadata", path) + "\n"
    sandbox.must(HOST, ["python3", "-c", script, path], stdin=stdin)


def leak_on_purpose(sandbox, canaries):
    """Put the control word into places where no secret may be, while the samplers look."""
    script = (
        f'CONTROL={canaries.control} sh -c "sleep 2; :" {canaries.control}'
        f" & logger {canaries.control}; echo {canaries.control} >{CONTROL_FILE}; wait"
    )
    sandbox.must(HOST, ["bash", "-c", script])


STOP, CONTROL_FILE = "/tmp/canary.stop", "/var/tmp/canary.control"


class Samplers:
    """Look at all processes of the host, and at those of this machine, until `end`."""

    def __init__(self, sandbox, canaries, stop):
        self._sandbox, self._stop = sandbox, stop
        self._words = canaries.all_words.replace("\n", " ") + "\n"
        self._pool = ThreadPoolExecutor(2)
        self._runs = [self._pool.submit(self._there), self._pool.submit(self._here)]

    def _there(self):
        argv = ["python3", "-I", "-c", SAMPLER, STOP, "0.005"]
        return self._sandbox.must(HOST, argv, stdin=self._words, timeout_s=7200)

    def _here(self):
        # A workstation has many processes of other people.
        argv = [sys.executable, "-I", "-c", SAMPLER, str(self._stop), "0.2"]
        done = subprocess.run(argv, input=self._words, capture_output=True, text=True, check=True)
        return done.stdout

    def end(self):
        """Stop looking: for the host and for this machine, the rounds and the findings."""
        self._stop.touch()
        self._sandbox.must(HOST, ["touch", STOP])
        return [self._parsed(run.result()) for run in self._runs]

    @staticmethod
    def _parsed(text):
        first, *rest = [tuple(line.split(" ", 3)) for line in text.splitlines()]
        return int(first[1]), rest


# -- afterwards --------------------------------------------------------------------------------

# The words are in a file only during the search.
SEARCH = r"""
umask 077; cat >/root/canary.words
find / \( -path /proc -o -path /sys -o -path /dev -o -path /root/canary.words \) -prune \
    -o -type f -newer /root/canary.start -print0 2>/dev/null \
    | xargs -0r grep -aoHF -f /root/canary.words -- 2>/dev/null | sort -u
journalctl --no-pager --all -o export --since "@$(stat -c %Y /root/canary.start)" \
    | grep -aoF -f /root/canary.words | sort -u | sed 's/^/journal:/'
rm /root/canary.words
"""


def begin(sandbox):
    """Files that are written from now on are searched."""
    sandbox.must(HOST, ["rm", "-f", STOP, CONTROL_FILE])
    sandbox.must(HOST, ["touch", "/root/canary.start"])


def on_the_host(sandbox, canaries):
    """(place, kind) for the words in files and in the journal of the host."""
    out = sandbox.must(HOST, ["bash", "-c", SEARCH], stdin=canaries.all_words)
    pairs = [line.rpartition(":") for line in out.splitlines()]
    return {(place, canaries.kind_of(value)) for place, _, value in pairs}


def in_folder(folder, canaries, allowed=()):
    """Files below a folder of this machine that contain a word."""
    return [
        (str(path), kinds)
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path not in allowed
        if (kinds := canaries.kinds_in(path.read_text("utf-8", "replace")))
    ]
