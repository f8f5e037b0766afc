"""Keys, certificates and agents on this machine, made once for the whole table."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path

# The person's keys. The servers know the first group only.
AUTHORIZED = ("ed", "rsa", "ecdsa", "locked", "sixth", "second", "touchy", "bound")
STRANGERS = ("s1", "s2", "s3", "s4", "s5", "certified", "expiredcert")
AUTHORITIES = ("userca", "hostca", "otherca")
TYPES = {"rsa": "rsa", "ecdsa": "ecdsa"}
PASSPHRASE = "correct horse"


def keygen(*argv: str) -> None:
    """Run ssh-keygen, which must succeed."""
    quiet = subprocess.DEVNULL
    subprocess.run(["ssh-keygen", "-q", *argv], check=True, stdin=quiet, stdout=quiet)


def listens(path: Path) -> bool:
    """Whether an agent answers at its socket."""
    with socket.socket(socket.AF_UNIX) as agent:
        return agent.connect_ex(str(path)) == 0


class Material:
    """A folder of keys, and the agents that hold some of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._agents: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        for name in (*AUTHORIZED, *STRANGERS, *AUTHORITIES):
            self.make(name, TYPES.get(name, "ed25519"))
        (folder / "locked.plain").write_bytes((folder / "locked").read_bytes())
        (folder / "locked.plain").chmod(0o600)
        keygen("-p", "-N", PASSPHRASE, "-f", str(folder / "locked"))
        for name, form in {"pem": "PEM", "pkcs8": "PKCS8"}.items():
            (folder / name).write_text(self.private("rsa"))
            (folder / name).chmod(0o600)
            keygen("-p", "-N", "", "-m", form, "-f", str(folder / name))
        self._certify()

    def make(self, name: str, kind: str) -> Path:
        """A new key."""
        size = ["-b", "2048"] if kind == "rsa" else []
        path = self.folder / name
        keygen("-t", kind, *size, "-N", "", "-C", name, "-f", str(path))
        return path

    def _certify(self) -> None:
        authority = ["-s", str(self.folder / "userca"), "-I", "someone"]
        users = ["-n", "root,carol"]
        keygen(*authority, *users, str(self.folder / "certified.pub"))
        past = ["-V", "20200101:20200102"]
        keygen(*authority, *users, *past, str(self.folder / "expiredcert.pub"))

    def private(self, name: str) -> str:
        """A private key as it is on disk: `locked` has a passphrase."""
        return (self.folder / name).read_text()

    def crlf(self, name: str) -> str:
        """A private key whose lines end as on Windows."""
        return self.private(name).replace("\n", "\r\n")

    def endless(self, name: str) -> str:
        """A private key whose last line has no end."""
        return self.private(name).rstrip("\n")

    def public(self, name: str) -> str:
        """A public key with its comment; `NAME-cert` is a certificate."""
        return (self.folder / f"{name}.pub").read_text().strip()

    def fingerprints(self) -> dict[str, str]:
        """The name of each key by its SHA256 fingerprint."""
        found = {}
        for path in self.folder.glob("*.pub"):
            if not path.stem.endswith("-cert"):
                argv = ["ssh-keygen", "-lf", str(path)]
                done = subprocess.run(argv, check=True, capture_output=True, text=True)
                found[done.stdout.split()[1]] = path.stem
        return found

    def agent(self, names: str) -> str:
        """The socket of an agent with these keys, `a.b.c`, in this order."""
        with self._lock:
            path = self.folder / f"agent-{len(self._agents)}"
            for number, known in enumerate(self._agents):
                if known == names:
                    return str(self.folder / f"agent-{number}")
            self._agents[names] = subprocess.Popen(
                ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL
            )
            while not listens(path):
                time.sleep(0.01)
            for name in filter(None, names.split(".")):
                self._add(path, name)
            return str(path)

    def _add(self, agent: Path, name: str) -> None:
        private = self.folder / name
        if name == "locked":
            private = self.folder / "locked.plain"
        limits = {
            "touchy": ["-c"],  # it asks a person, who does not answer
            "bound": ["-h", "alpha", "-H", str(self.folder / "known_hosts")],
        }
        env = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
        subprocess.run(["ssh-add", "-q", *limits.get(name, ()), str(private)], check=True, env=env)

    def close(self) -> None:
        """End the agents."""
        for agent in self._agents.values():
            agent.terminate()
            agent.wait()
