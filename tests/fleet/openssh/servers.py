"""The servers of the table: real sshds on one sandbox host, each with its own address.

Rows run side by side in lanes; a lane has its own set of servers, so that a log belongs to one row.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import re
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.fleet.openssh.material import AUTHORIZED, Material, keygen
from tests.fleet.openssh.relay import Relay

HERE = "/srv/table"
# How many addresses each lane has.
LANE_ADDRESSES = 128
# Each server's own lines of sshd_config; the common ones follow (the first value counts).
SERVERS = {
    "alpha": "Port 22\nPort 2222",
    "beta": "Port 22\nPort 2222",
    "jump": "",
    "leap": "",
    "stuck": "AllowTcpForwarding no",
    "tries4": "MaxAuthTries 4",
    "two": "AuthenticationMethods publickey,publickey",
    "sha256": "PubkeyAcceptedAlgorithms rsa-sha2-256,rsa-sha2-256-cert-v01@openssh.com",
    "sha1": "PubkeyAcceptedAlgorithms ssh-rsa",
    "rsahost": f"HostKey {HERE}/rsahost-rsa",
    "rsa256": f"HostKey {HERE}/rsa256-rsa\nHostKeyAlgorithms rsa-sha2-256",
    "sshrsa": f"HostKey {HERE}/sshrsa-rsa\nHostKeyAlgorithms ssh-rsa",
    "cbc": "Ciphers aes128-cbc,3des-cbc",
    "md5": "Ciphers aes128-ctr\nMACs hmac-md5,hmac-sha1-96",
    "sha1kex": "KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1",
    "ctr": "Ciphers aes256-ctr\nMACs hmac-sha2-512-etm@openssh.com",
    "sha1mac": "Ciphers aes128-ctr\nMACs hmac-sha1",
    "chacha": "Ciphers chacha20-poly1305@openssh.com",
    "umac": "Ciphers aes128-ctr\nMACs umac-64@openssh.com",
    "sntrup": "KexAlgorithms sntrup761x25519-sha512@openssh.com",
    "nistkex": "KexAlgorithms ecdh-sha2-nistp256",
    "bannered": f"Banner {HERE}/banner",
    "allow": f"AllowUsers carol\nBanner {HERE}/banner",
    "noroot": "PermitRootLogin no",
    "nologin": "UsePAM yes",
    "expired": "UsePAM yes",
    "password": f"PasswordAuthentication yes\nAuthorizedKeysFile {HERE}/nobody",
    "keyboard": f"UsePAM yes\nKbdInteractiveAuthentication yes\nAuthorizedKeysFile {HERE}/nobody",
    "userca": f"TrustedUserCAKeys {HERE}/userca.pub\nAuthorizedKeysFile {HERE}/nobody",
    "hostcert": f"Port 22\nPort 2222\nHostKey {HERE}/hostcert-ed\n"
    f"HostCertificate {HERE}/hostcert-ed-cert.pub",
    "oldcert": f"HostKey {HERE}/oldcert-ed\nHostCertificate {HERE}/oldcert-ed-cert.pub",
    "anycert": f"HostKey {HERE}/anycert-ed\nHostCertificate {HERE}/anycert-ed-cert.pub",
    "otherca": f"HostKey {HERE}/otherca-ed\nHostCertificate {HERE}/otherca-ed-cert.pub",
    "wrongcert": f"HostKey {HERE}/wrongcert-ed\nHostCertificate {HERE}/wrongcert-ed-cert.pub",
}
# Servers that are not sshd (keeper.py), and an address without a machine.
RUDE = ("closes", "talks", "busy", "silent", "hangsup", "ancient")
NOWHERE = "nowhere"
# Which host keys a server has besides its ed25519 one.
MORE_KEYS = {"alpha": ("ecdsa", "rsa")}
RSA_ONLY = ("rsahost", "rsa256", "sshrsa")
PAM = {
    "nologin": f"account requisite pam_nologin.so file={HERE}/nologin\n",
    "expired": "account required pam_unix.so\n",
    "keyboard": "",
}
COMMON = f"""
ListenAddress %s
LogLevel VERBOSE
PidFile none
UsePAM no
StrictModes no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile {HERE}/authorized
LoginGraceTime 30
"""
SET_UP = r"""
set -e
cd /srv/table
for user in carol dave eve; do
  id $user >/dev/null 2>&1 || useradd --create-home --shell /bin/bash --password '*' $user
done
chage -E 1 eve
systemctl stop ssh
mkdir -p /run/sshd
for name in nologin expired keyboard; do ln -sf /usr/sbin/sshd sshd-$name; done
"""


class Farm:
    """The keys of the servers and what they have in common, put on a sandbox host."""

    def __init__(self, sandbox: Any, host: str, material: Material) -> None:
        self.machine = sandbox.find(host)
        self._sandbox, self._host, self.material = sandbox, host, material
        self.host_keys = {name: self._make(name) for name in SERVERS}
        self._lock = threading.Lock()
        self._certify()
        self._install()

    def _make(self, name: str) -> dict[str, Path]:
        kinds = ("rsa",) if name in RSA_ONLY else ("ed", *MORE_KEYS.get(name, ()))
        return {
            kind: self.material.make(f"{name}-{kind}", {"ed": "ed25519"}.get(kind, kind))
            for kind in kinds
        }

    def _certify(self) -> None:
        folder = self.material.folder
        limits = {
            "hostcert": ["-n", "hostcert"],
            "otherca": ["-n", "otherca"],
            "wrongcert": ["-n", "somewhere.else"],
            "oldcert": ["-n", "oldcert", "-V", "20200101:20200102"],
            "anycert": [],
        }
        for name, limit in limits.items():
            authority = "otherca" if name == "otherca" else "hostca"
            argv = ["-s", str(folder / authority), "-I", name, "-h", *limit]
            keygen(*argv, str(folder / f"{name}-ed.pub"))
        known = f"alpha {self.host_key('alpha', 'ed')}\n"
        (folder / "known_hosts").write_text(known)  # for keys that an agent uses for one host only

    def _install(self) -> None:
        folder = self.material.folder
        files = {
            f"{HERE}/{path.name}": path.read_text() for path in folder.glob("*-*") if path.is_file()
        }
        files[f"{HERE}/userca.pub"] = self.material.public("userca") + "\n"
        files[f"{HERE}/authorized"] = "".join(
            f"{self.material.public(name)}\n" for name in AUTHORIZED
        )
        files[f"{HERE}/nobody"] = ""
        files[f"{HERE}/banner"] = "((authorised people only))\n"
        files[f"{HERE}/nologin"] = "((down for repairs until noon))\n"
        for name, account in PAM.items():
            files[f"/etc/pam.d/sshd-{name}"] = (
                "auth required pam_unix.so\n" + account + "account required pam_permit.so\n"
                "session required pam_permit.so\n"
            )
        write = (
            "import json,sys,os\n"
            "for path, text in json.load(sys.stdin).items():\n"
            "    os.makedirs(os.path.dirname(path), exist_ok=True)\n"
            "    open(path, 'w').write(text); os.chmod(path, 0o600)\n"
            f"for name in ('', '/authorized', '/nobody', '/userca.pub'):"
            f" os.chmod('{HERE}' + name, 0o755)\n"
        )
        self._sandbox.must(self._host, ["python3", "-c", write], stdin=json.dumps(files))
        self._sandbox.must(self._host, ["bash", "-c", SET_UP])

    def network(self) -> ipaddress.IPv4Network:
        """The network of the machine: its size differs between engines, and with their age."""
        shown = self._sandbox.must(self._host, ["ip", "-o", "-4", "address", "show", "dev", "eth0"])
        return ipaddress.ip_interface(shown.split()[3]).network

    def host_key(self, name: str, kind: str) -> str:
        """A host key as known_hosts has it: type and base64."""
        path = self.host_keys[name][kind].with_suffix(".pub")
        return " ".join(path.read_text().split()[:2])

    def revocation(self, name: str) -> str:
        """A file of `ssh-keygen -k` that revokes a server's ed25519 key."""
        path = self.material.folder / f"{name}.krl"
        with self._lock:
            if not path.exists():
                keygen("-k", "-f", str(path), str(self.host_keys[name]["ed"].with_suffix(".pub")))
        return str(path)

    def fingerprint(self, name: str) -> str:
        """The fingerprint of a server's ed25519 key."""
        digest = hashlib.sha256(base64.b64decode(self.host_key(name, "ed").split()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def close(self) -> None:
        """Start the sandbox host's own sshd again."""
        self._sandbox.must(self._host, ["systemctl", "start", "ssh"])


class Lane:
    """One set of running servers."""

    def __init__(self, farm: Farm, number: int) -> None:
        network = self._network = farm.network()
        # Docker gives out addresses from the beginning of its network.
        first = network[network.num_addresses // 2] + number * LANE_ADDRESSES
        everyone = (*SERVERS, *RUDE, NOWHERE)
        self.farm = farm
        self.addresses = {name: str(first + index) for index, name in enumerate(everyone, 1)}
        argv = ["docker", "exec", "-i", farm.machine.container, "unshare", "--mount"]
        source = Path(__file__).with_name("keeper.py").read_text()
        self._keeper = subprocess.Popen(
            [*argv, "python3", "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._relays: dict[str, Relay] = {}
        plan = {"folder": f"/run/table-{number}", "hosts": self.hosts_file()}
        self._tell(json.dumps({**plan, "servers": self._servers()}), "ready")

    def _servers(self) -> dict[str, Any]:
        found = {
            name: {
                **self._place(name),
                "config": self._config(name, own),
                "program": f"{HERE}/sshd-{name}" if name in PAM else "/usr/sbin/sshd",
            }
            for name, own in SERVERS.items()
        }
        return found | {name: {**self._place(name), "config": ""} for name in RUDE}

    def _place(self, name: str) -> dict[str, str]:
        """A server's address, alone and as `ip` adds it."""
        address = self.addresses[name]
        return {"address": address, "place": f"{address}/{self._network.prefixlen}"}

    def _config(self, name: str, own: str) -> str:
        keys = (
            ""
            if "HostKey " in own
            else "".join(f"HostKey {HERE}/{name}-{kind}\n" for kind in self.farm.host_keys[name])
        )
        return f"{own}\n{keys}{COMMON % self.addresses[name]}"

    def hosts_file(self) -> str:
        """/etc/hosts: every server by name; the longer name is for canonical names."""
        lines = [
            f"{address} {name} {name}.example.test {name}.example.test. {name}.localhost"
            for name, address in self.addresses.items()
        ]
        return "\n".join(["127.0.0.1 localhost", "::1 localhost", *lines, ""])

    def known_hosts(self) -> str:
        """A known_hosts file with every key of every server, for its name and its address."""
        lines = []
        for name, keys in self.farm.host_keys.items():
            places = f"{name},{self.addresses[name]},{name}.example.test"
            lines += [f"{places} {self.farm.host_key(name, kind)}\n" for kind in keys]
        return "".join(lines)

    def look_up(self, place: str) -> str:
        """What a place in a row's text stands for (see `Row`)."""
        name, _, detail = place.partition(":")
        material = self.farm.material
        makers: Mapping[str, Callable[[str], str]] = {
            "key": material.public,
            "private": material.private,
            "crlf": material.crlf,
            "endless": material.endless,
            "agent": material.agent,
            "authority": lambda one: " ".join(material.public(one).split()[:2]),
            "hash": lambda one: hashed_name(*one.split(".")),
            "bare": lambda one: self.farm.host_key(one, "ed").split()[1],
            "krl": self.farm.revocation,
            "hashof": self.farm.fingerprint,
            "six": self._relay,
        }
        if name in makers:
            return makers[name]("" if detail == "nothing" else detail)
        if name in self.addresses:
            return self.farm.host_key(name, detail) if detail else self.addresses[name]
        raise KeyError(f"<{place}>")

    def _relay(self, name: str) -> str:
        """The port of [::1] that leads to a server."""
        if name not in self._relays:
            self._relays[name] = Relay(self.addresses[name])
        return str(self._relays[name].port)

    def reset(self) -> None:
        """Forget what was logged."""
        self._tell("reset", "done")

    def visits(self) -> dict[str, Any]:
        """What each visited server saw of its last connection (see `visit`)."""
        answer = self._tell("read", "{")
        names = self.farm.material.fingerprints()
        found = {name: visit(log, names) for name, log in json.loads(answer).items()}
        return {name: seen for name, seen in sorted(found.items()) if seen}

    def _tell(self, line: str, expected: str) -> str:
        assert self._keeper.stdin and self._keeper.stdout
        self._keeper.stdin.write(line + "\n")
        self._keeper.stdin.flush()
        answer = self._keeper.stdout.readline()
        assert answer.startswith(expected), answer
        return answer

    def close(self) -> None:
        """End the servers."""
        for relay in self._relays.values():
            relay.close()
        self._keeper.communicate("", timeout=30)


def hashed_name(name: str, port: str = "22") -> str:
    """A name as known_hosts hides it."""
    place = name if port == "22" else f"[{name}]:{port}"
    salt = hashlib.sha1(place.encode()).digest()
    digest = hmac.new(salt, place.encode(), hashlib.sha1).digest()
    return "|1|{}|{}".format(*(base64.b64encode(part).decode() for part in (salt, digest)))


_CONNECTION = re.compile(r"^Connection from (\S+) port \d+ on \S+ port (\d+)", re.M)
_TRIED = re.compile(
    r"^(Accepted|Failed|Partial|Postponed) \w+ for (?:invalid user )?(\S*) from .* ssh2"
    r"(?:: (\S+) (SHA256:\S+))?|^Accepted key (\S+) (SHA256:\S+)",
    re.M,
)


def visit(log: str, names: Mapping[str, str]) -> dict[str, Any]:
    """The last connection in a log: its port, the user, and the keys in the order of trying.

    OpenSSH asks first whether a key would be accepted and paramiko signs at once, so a key that
    comes twice counts once.
    """
    starts = list(_CONNECTION.finditer(log))
    if not starts:
        return {}
    text = log[starts[-1].start() :]
    tries = list(_TRIED.finditer(text))
    if not tries:  # the log may miss it if the client left very soon
        return {}
    keys = [(found[3] or found[5], found[4] or found[6]) for found in tries]
    return {
        "port": int(starts[-1][2]),
        "users": sorted({found[2] for found in tries if found[2]}),
        "keys": list(
            dict.fromkeys(
                names.get(key, key) + ("-cert" if kind.endswith("-CERT") else "")
                for kind, key in keys
                if key
            )
        ),
        "accepted": any(found[1] == "Accepted" for found in tries),
    }
