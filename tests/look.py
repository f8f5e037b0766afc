"""A backend host as root sees it from outside: none of our own readers."""

import json
import time

HOME = "/home/opensafely"
CODE, LIB = f"{HOME}/jobrunner/code", f"{HOME}/jobrunner/lib"
DB = f"{HOME}/jobrunner/workdir/db.sqlite"
STATE = f"{HOME}/opstasks"
# The service may be writing: wait for locks.
SQLITE = 'sqlite3 -cmd ".timeout 20000"'


def until(true, what, timeout_s=60, every_s=0.3):
    """Wait until a condition is true; returns its value."""
    deadline = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(every_s)
    return found


class Look:
    """One host."""

    def __init__(self, sandbox, name):
        self.sandbox, self.name = sandbox, name

    def sh(self, script):
        return self.sandbox.must(self.name, ["bash", "-c", script]).strip()

    def sql(self, query):
        return self.sh(f'{SQLITE} -json {DB} "{query}"') or "[]"

    @property
    def code(self):
        return self.sh(f"git -C {CODE} describe --tags --always")

    @property
    def lib(self):
        return self.sh(f"git -C {LIB} describe --tags --always")

    @property
    def version(self):
        return int(self.sh(f"{SQLITE} {DB} 'pragma user_version'"))

    @property
    def serving(self):
        return self.sh("systemctl show -p SubState --value jobrunner") == "running"

    @property
    def main_pid(self):
        return self.sh("systemctl show -p MainPID --value jobrunner")

    def jobs(self):
        return {row["id"]: row for row in json.loads(self.sql("select * from job"))}

    @property
    def containers(self):
        return set(self.sh("docker ps -q --no-trunc --filter name=^os-job-").split())

    @property
    def records(self):
        files = self.sh(f"ls {STATE}/releases/*.json 2>/dev/null || true").split()
        return [json.loads(self.sh(f"cat {file}")) for file in files]

    @property
    def lock_is_free(self):
        return self.sh("flock -n /var/lib/opstasks/lock echo free || true") == "free"

    def whole(self):
        """The state that a failed deploy must not change."""
        return (self.code, self.lib, self.version, self.serving, sorted(self.jobs()))

    def back_to_the_old_release(self):
        """2.71.0, serving, with an empty database and no history."""
        as_service = "runuser -u opensafely --"
        self.sh("systemctl stop jobrunner; systemctl reset-failed jobrunner")
        self.sh("docker ps -aq --filter name=^os- | xargs -r docker rm -f")
        self.sh(f"rm -rf {STATE}/releases {STATE}/snapshots")
        for path in (CODE, LIB):
            self.sh(f"rm -f {path}/.git/index.lock")
            self.sh(f"{as_service} git -C {path} checkout -qf --detach v2.71.0")
            self.sh(f"{as_service} git -C {path} clean -qfd")
        migrate = f". {HOME}/config/load-env; cd {CODE}; python3 -m jobrunner.cli.migrate"
        self.sh(f"rm -f {DB}*; {as_service} bash -c '{migrate}'")
        self.sh("systemctl start jobrunner")
