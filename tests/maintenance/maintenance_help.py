"""A host under maintenance as root sees it from outside: none of our own readers."""

import contextlib
import json
from datetime import datetime

from tests import look
from tests.look import CODE, DB, SQLITE

RECORDS = "/var/lib/opstasks/scheduled"
HOST = "sandbox-1"
COMMAND = f"{CODE}/jobrunner/cli/prepare_for_reboot.py"


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def value(done, name=HOST):
    """What a `--json` run that succeeded says about a host."""
    return json.loads(good(done).stdout)["hosts"][name]


def status(inv):
    """What `status` says of the host, also if it needs a person."""
    found = json.loads(inv("-H", HOST, "--json", "status").stdout)["hosts"][HOST]["value"]
    return {**found, "texts": [concern["text"] for concern in found["concerns"]]}


def scheduled(inv):
    """What is scheduled on the host and what is past, as the task says it."""
    return value(inv("-H", HOST, "--json", "scheduled", "--all"))["value"]["items"]


def moment(text):
    """A moment of a document, in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def prepare(inv, *options, env=None):
    return inv("-H", HOST, "--json", "prepare-reboot", "--yes", *options, env=env)


class Disk:
    """A folder's own small disk."""

    def __init__(self, sh, folder):
        self.sh, self.file = sh, f"{folder}/.fill"

    def fill(self):
        self.sh(f"dd if=/dev/zero of={self.file} bs=4k 2>/dev/null; true")

    def free(self):
        self.sh(f"rm -f {self.file}")


@contextlib.contextmanager
def small_disk(sh, folder, size):
    """A folder on its own disk; afterwards on the host's disk again, with its new files."""
    sh(f"rm -rf /root/kept; cp -a {folder} /root/kept")
    sh(f"mount -t tmpfs -o size={size} tmpfs {folder} && cp -a /root/kept/. {folder}")
    sh(f"chown --reference=/root/kept {folder}; chmod --reference=/root/kept {folder}")
    disk = Disk(sh, folder)
    try:
        yield disk
    finally:
        disk.free()
        sh(f"rm -rf /root/kept; cp -a {folder} /root/kept; umount -l {folder}")
        sh(f"rsync -a --delete /root/kept/ {folder}/; rm -rf /root/kept")


class Look(look.Look):
    def __init__(self, sandbox, name=HOST):
        super().__init__(sandbox, name)

    def rows(self, query):
        return json.loads(self.sql(query))

    def write(self, query):
        self.sh(f'{SQLITE} {DB} "{query}"')

    @property
    def paused(self):
        found = self.rows("select value from flags where id = 'paused'")
        return bool(found) and found[0]["value"] == "true"

    @property
    def timers(self):
        return self.sh("systemctl list-units --no-legend --plain 'opstasks-*.timer'").splitlines()

    def jobs(self):
        return {
            row["id"]: (row["state"], row["status_code"])
            for row in self.rows("select id, state, status_code from job")
        }

    def outputs(self, *names):
        """The contents of files with these names, by path, anywhere in both workspaces."""
        named = " -o ".join(f"-name {name}" for name in names)
        found = self.sh(f"find /srv/*_privacy/workspaces \\( {named} \\) -type f").splitlines()
        return {path: self.sh(f"cat {path}") for path in found}

    def told(self, jobs):
        """The service's log lines about these jobs, for a failing test."""
        lines = self.sh("journalctl -u jobrunner -o short-precise --no-pager").splitlines()
        return "\n".join(line for line in lines if any(job in line for job in jobs))

    def docker(self):
        """Containers and volumes of jobs, by name."""
        names = self.sh("docker ps -a --format '{{.Names}}'; docker volume ls --format '{{.Name}}'")
        return sorted(n for n in set(names.split()) if n.startswith(("os-job-", "os-volume-")))

    def records(self):
        script = (
            "import glob, json, sys;"
            f" paths = sorted(glob.glob('{RECORDS}/*.json'));"
            " print(json.dumps([json.load(open(path)) for path in paths]))"
        )
        return json.loads(self.sandbox.must(self.name, ["python3", "-c", script]))

    def record(self, id):
        return json.loads(self.sh(f"cat {RECORDS}/{id}.json"))

    def audit(self, id):
        """The journal's lines on one run, by phase."""
        lines = self.sh("journalctl -t opstasks -o cat --no-pager").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [(e["phase"], e.get("outcome", "")) for e in found if e["run_id"] == id]

    def reset(self):
        """Make the host run, unpaused, with nothing scheduled and no job running."""
        self.sh(
            "systemctl stop 'opstasks-*.timer' 2>/dev/null;"
            " for u in $(systemctl list-units --no-legend --plain 'opstasks-2*.service'"
            " | cut -d' ' -f1); do systemctl kill -s KILL $u; done;"
            " systemctl stop jobrunner; systemctl disable -q opstasks-boot 2>/dev/null;"
            " rm -rf /etc/systemd/system/opstasks-boot.service /var/lib/opstasks/scheduled"
            " /var/lib/opstasks/scripts /home/opensafely/opstasks/pause.json;"
            " systemctl daemon-reload;"
            " docker ps -aq --filter name=^os- | xargs -r docker rm -f >/dev/null;"
            " docker volume ls -q --filter name=^os- | xargs -r docker volume rm >/dev/null; true"
        )
        self.write(
            "create table if not exists flags"
            " (id text primary key, value text, timestamp timestamp);"
            " update flags set value = null where id = 'paused';"
            " update job set state = 'failed', status_code = 'killed_by_admin'"
            " where state in ('pending', 'running')"
        )
        self.sh(
            f"cd {CODE} && git -c safe.directory={CODE} checkout -q -- . ;"
            f" chown -R opensafely:opensafely {CODE}/jobrunner/cli;"
            " systemctl reset-failed; systemctl start jobrunner"
        )
