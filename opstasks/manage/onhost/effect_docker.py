"""Runs on the host as root: who else can give docker commands; changes nothing.

Whoever can is root: ``docker run -v /:/host``. The members of the group docker are compared with
the description elsewhere.
"""

import grp
import json
import os
import pwd
import re
import stat
from contextlib import suppress
from pathlib import Path

from opstasks.manage.onhost.account_facts import name_of
from opstasks.onhost.plain_text import names_in, text_for_root

SOCKETS = ("/run/docker.sock", "/run/containerd/containerd.sock")
DAEMON = "/etc/docker/daemon.json"
# Groups that may own docker's socket.
GROUPS = ("root", "docker")
ACL = "system.posix_acl_access"
# The options of dockerd, in each form in which it takes them.
_HOST = re.compile(r"(?:--host(?=\Z|=)|-[Dv]*H)=?(.*)", re.DOTALL)
_FILE = re.compile(r"--config-file(?=\Z|=)=?(.*)", re.DOTALL)


def docker_ways() -> list[str]:
    """Each way, as text for people."""
    commands = daemons()
    files = [name for words in commands for name in values_of(_FILE, words)]
    told = [address for words in commands for address in addresses_of(words)]
    unknown = []
    for path in dict.fromkeys((DAEMON, *files)):
        text, is_whole = text_for_root(str(Path("/", path)))
        found = configured(text)
        told += found or []
        if found is None or not is_whole:
            unknown.append(f"{path[:200]} cannot be read: where docker listens is not known")
    return [*listeners(told), *open_sockets([*SOCKETS, *sockets_of(told)]), *unknown]


def daemons() -> list[list[str]]:
    """The words of the command lines of all processes of dockerd that run as root."""
    found = []
    for pid in filter(str.isdigit, names_in("/proc")):
        place = Path("/proc", pid)
        try:
            is_roots = place.stat().st_uid == 0
            words = place.joinpath("cmdline").read_bytes().split(b"\0") if is_roots else [b""]
        except OSError:
            continue
        if words[0].rpartition(b"/")[2] == b"dockerd":
            found.append([word.decode("utf-8", "replace") for word in words])
    return found


def values_of(option: re.Pattern[str], words: list[str]) -> list[str]:
    """The values of an option: in the same word, or in the next one."""
    pairs = zip(words, [*words[1:], ""], strict=True)
    found = [(match[1], after) for word, after in pairs if (match := option.fullmatch(word))]
    return [value or after for value, after in found]


def addresses_of(words: list[str]) -> list[str]:
    """The addresses in a command line of dockerd."""
    return values_of(_HOST, words)


def configured(text: str) -> list[str] | None:
    """The addresses in a configuration of dockerd; None if it is not valid."""
    try:
        found = json.loads(text.lstrip("\ufeff").strip() or "{}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    # Go does not distinguish between letters of either case in keys.
    values = [value for key, value in found.items() if key.lower() == "hosts"]
    lists = [value if isinstance(value, list) else [value] for value in values]
    texts = [each for entries in lists for each in entries if isinstance(each, str)]
    # JSON can have half a letter, which no answer can.
    return [each.encode("utf-8", "replace").decode() for each in texts]


def parts_of(address: str) -> tuple[str, str]:
    """The scheme of an address, in lower case, and the rest; for docker, no scheme means tcp."""
    scheme, sign, rest = address.strip().partition("://")
    return (scheme.lower(), rest) if sign else ("tcp" if scheme else "unix", scheme)


def listeners(addresses: list[str]) -> list[str]:
    """Addresses where a file system's rights keep nobody away."""
    # A socket of systemd (fd) is one of a unit; a name that begins with @ is not a file.
    found = [
        address
        for address in sorted(set(addresses))
        for scheme, rest in [parts_of(address)]
        if scheme not in ("unix", "fd") or (scheme == "unix" and rest[:1] == "@")
    ]
    return [f"docker listens at {address[:200]}: who reaches it is root" for address in found]


def sockets_of(addresses: list[str]) -> list[str]:
    """The paths of the sockets among addresses."""
    found = [rest for scheme, rest in map(parts_of, addresses) if scheme == "unix"]
    return [str(Path("/", rest)) for rest in found if rest and rest[0] != "@"]


def open_sockets(paths: list[str]) -> list[str]:
    """Sockets of docker that others than root and the group docker may use."""
    found = []
    for path in paths:
        with suppress(OSError, ValueError):
            place = os.path.realpath(path)
            found += openings(place, Path(place).stat())
    return list(dict.fromkeys(found))


def openings(path: str, info: os.stat_result) -> list[str]:
    """Who may use a socket: everyone, its owner, its group, and those in its list of rights."""
    mode = stat.S_IMODE(info.st_mode)
    found = []
    if mode & 0o006:
        found.append(f"{path} has mode {mode:04o}: every account can be root")
    if info.st_uid != 0:
        found.append(f"{path} belongs to {name_of(info.st_uid, pwd.getpwuid)}, who can be root")
    if mode & 0o060 and info.st_gid not in usual_groups():
        group = name_of(info.st_gid, grp.getgrgid)
        found.append(f"{path} belongs to the group {group}: its members can be root")
    if has_acl(path):
        found.append(f"{path} has an ACL: who is in it can be root")
    return found


def usual_groups() -> set[int]:
    """The ids of the groups that may own docker's socket."""
    found = {0}
    for name in GROUPS:
        with suppress(KeyError):
            found.add(grp.getgrnam(name).gr_gid)
    return found


def has_acl(path: str) -> bool:
    """Whether a path has rights beyond its mode."""
    try:
        return bool(os.getxattr(path, ACL))
    except OSError:
        return False
