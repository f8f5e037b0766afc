"""Files that a hostile service account, person or job leaves for root; watches root's programs."""

import contextlib
import threading
from pathlib import Path

HOME = "/home/opensafely"
STATE = f"{HOME}/opstasks"
WORD = "CANARY-3f9a1c"
CANARY = "/root/canary"
# Where the service account, and rosa, can put files that root's programs may open.
PATHS = (
    f"{STATE}/pause.json",
    f"{STATE}/releases/20990101T000000-aaaaaa.json",
    f"{STATE}/level3-sync.json",
    f"{STATE}/level3-sync.lock",
    "/home/rosa/.ssh/authorized_keys",
)
# The service account's own programs (bash, git, docker) read these: an endless file makes them
# wait until their limit, which root's programs then report.
ENV_PATHS = tuple(f"{HOME}/config/{name}.env" for name in ("01_defaults", "03_backend", "04_local"))
OWN_PATHS = (*ENV_PATHS, f"{HOME}/.gitconfig", f"{HOME}/.docker/config.json")
ENDLESS = ("pipe", "big", "device")
# What is planted at a path ($1).
KINDS = {
    "link": f"ln -s {CANARY}/file.json $1",
    "shadow": "ln -s /etc/shadow $1",
    # Here `$1` is the folder.
    "parent": f"ln -s {CANARY} $1",
    "pipe": "mkfifo $1",
    "big": "truncate -s 400M $1",
    "device": "mknod $1 c 1 5",
    "folder": "mkdir -p $1/file.json",
    "deep": "python3 -c 'print(\"[\" * 200000)' >$1",
}
# A job chooses the names in its outputs. Python, because a path this long has no name.
DEEP = "import os\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')"
JOB = (
    "rm -rf /srv/medium_privacy/workspaces/evil; mkdir /srv/medium_privacy/workspaces/evil;"
    f" cd /srv/medium_privacy/workspaces/evil; ln -s {CANARY} folder; ln -s /etc/shadow file;"
    " mkfifo pipe; truncate -s 400M big; mknod device c 1 5; printf x >$'two\\nlines';"
    f' python3 -c "{DEEP}"; chown -hR opensafely:reviewers .'
)


class Victim:
    """A managed host with canaries that only root may read."""

    def __init__(self, sandbox, name="sandbox-1"):
        self.sandbox, self.name = sandbox, name
        self.sh(
            f'mkdir -pm 700 {CANARY}; cd {CANARY}; printf \'{{"why": "{WORD}"}}\' >file.json;'
            " for f in pause.json authorized_keys config.json level3-sync.json; do"
            f" cp file.json $f; done; echo X={WORD} >01_defaults.env;"
            " cp 01_defaults.env 04_local.env; chmod 600 *;"
            " id gone >/dev/null 2>&1 || useradd -m gone; for d in opensafely rosa; do"
            " rm -rf /root/$d; cp -a /home/$d /root/$d; done"
        )
        self.sh(JOB)

    def sh(self, script, timeout_s=120):
        return self.sandbox.must(self.name, ["bash", "-c", script]).strip()

    def run(self, script):
        return self.sandbox.exec_(self.name, ["bash", "-c", script])

    def leave(self):
        """Remove what a job left: `manage` reports it until then."""
        self.sh("rm -rf /srv/medium_privacy/workspaces/evil")

    def plant(self, kind):
        """Put files of one kind at all paths, as the owner of each home would."""
        paths = PATHS if kind in ENDLESS else (*PATHS, *OWN_PATHS)
        # Inner folders first: a link must not be planted through another link.
        folders = sorted({path.rpartition("/")[0] for path in paths} - {HOME}, reverse=True)
        for path in folders if kind == "parent" else paths:
            self.sh(f"set -- {path}; mkdir -p $(dirname $1); rm -rf $1; {KINDS[kind]}")
        self.sh("chown -hR opensafely: /home/opensafely; chown -hR rosa: /home/rosa")

    def restore(self):
        for name in ("opensafely", "rosa"):
            self.sh(f"rsync -a --delete --force /root/{name}/ /home/{name}/")

    def state(self):
        """Content, owner and mode of files that only root may change."""
        rights = f"find /etc {CANARY} /root -maxdepth 3 -printf '%p %M %U:%G %l\\n'"
        skipped = "-e opstasks-boot -e 'sudoers.d$' -e /root/opensafely -e /root/rosa -e /root/[.]"
        sums = f"find /etc {CANARY} -type f -print0 | sort -z | xargs -0 sha256sum"
        times = f"stat -c '%n %Y' {CANARY} {CANARY}/* /etc/shadow /etc/passwd"
        more = "-e opstasks-boot -e sudoers.d/opstasks$ -e opstasks-level3 -e system$"
        whole = f"{{ {rights}; {sums}; {times}; }} | grep -v {skipped} {more} | sort"
        return self.sh(whole).splitlines()

    def leaked(self):
        """Files that others can read, and lines of the journal, with the canary's text."""
        folders = "/home /var/lib/opstasks/scheduled /tmp /srv/high_privacy"
        found = self.run(
            f"grep -rIls --devices=skip --max-count=1 {WORD} {folders} --exclude-dir=evil;"
            f" journalctl --no-pager -o cat | grep -F -m 3 {WORD}"
        )
        return found.stdout.strip()


class Memory(contextlib.AbstractContextManager):
    """The most memory (kB) of any Python of root's in a container, sampled from outside."""

    def __init__(self, container_id):
        self.id, self.most_kb, self.what = container_id, 0, ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.wait(0.1):
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError, ValueError, IndexError):
                    if self.id in (folder / "cgroup").read_text():
                        self._take(folder)

    def _take(self, folder):
        lines = (folder / "status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        size_kb = int(fields.get("VmHWM", "0 kB").split()[0])
        is_ours = fields["Name"].strip().startswith("python3")
        if is_ours and fields["Uid"].split()[0] == "0" and size_kb > self.most_kb:
            self.most_kb = size_kb
            self.what = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
