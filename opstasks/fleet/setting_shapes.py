"""What text each setting in hosts.yaml may contain.

The values are written into shell text, unit files, sudoers, and env files that a shell and systemd
both read. So they contain only characters without a special meaning in all of these. Other values
are refused, and the error names the key. Settings that never leave this machine, or that are only
shown to a person, may be any text on one line.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from opstasks.core import durations
from opstasks.core.errors import Refused
from opstasks.fleet.inventory import ADDRESS, NAME, NEVER, USER
from opstasks.fleet.strict_yaml import YamlPath
from opstasks.fleet.struct_checks import shown


class Shape(NamedTuple):
    """The form of a value, and how an error describes it."""

    pattern: re.Pattern[str]
    expected: str

    def problem(self, text: str) -> str:
        """What is wrong with a text; "" for nothing."""
        if self.pattern.fullmatch(text):
            return ""
        plain = text.rstrip("/")
        if self.pattern.fullmatch(plain):
            return f"{shown(text)} ends with a slash: write {plain}"
        return f"{shown(text)} is not {self.expected}"


# Not "ALL" or another name in capitals: sudoers reads them as everyone, or as an alias.
_ACCOUNT = re.compile(r"(?!root$)[a-z_][a-z0-9_-]{0,31}")
# Without parts that are empty, "." or "..", so two different texts are never the same folder.
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._+-]+)+")
_NO_DOTS = r"(?!.*/\.{1,2}(/|$))"
_SERVER = r"[A-Za-z0-9][A-Za-z0-9.-]*"
_LOGIN = r"[A-Za-z0-9_][A-Za-z0-9._-]*@"
_LOCATION = r"(:[0-9]{1,5})?(/[A-Za-z0-9._+-]+)*/?"
_URL = re.compile(
    rf"{_NO_DOTS}("
    rf"https?://{_SERVER}{_LOCATION}"
    rf"|ssh://({_LOGIN})?{_SERVER}{_LOCATION}"
    rf"|{_LOGIN}{_SERVER}:[A-Za-z0-9._+/-]+"
    rf"|(file://)?{_PATH.pattern})"
)
# git's ".." and "@{" are ranges and other commits.
_REF = re.compile(r"(?!.*(\.\.|//|/\.|/$|\.lock$))[A-Za-z0-9][A-Za-z0-9._/+-]*")
_REGISTRY = re.compile(r"(?!.*(\.\.|//|/\.))[a-z0-9][a-z0-9._:/-]*")
_WORDS = "letters, digits and . _ + -"

ACCOUNT = Shape(_ACCOUNT, "an account name (lower-case letters, digits, _ and -; not root)")
USER_NAME = Shape(USER, "an account name")
PATH = Shape(_PATH, f"an absolute path of {_WORDS}, without . and .. as parts")
URL = Shape(_URL, "a git URL (https, ssh, user@host:path or an absolute path) without a password")
REF = Shape(_REF, "a git ref")
REGISTRY = Shape(_REGISTRY, "a registry and path")
# A value in a template: an env file is read by bash and by systemd.
VALUE = Shape(re.compile(r"[A-Za-z0-9_.,:/@+=-]*"), "letters, digits and _ . , : / @ + = -")
VARIABLE = Shape(re.compile(r"[A-Za-z0-9_]+"), "a name of letters, digits and _")
HOST_KEY = Shape(
    re.compile(
        r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9-]+@openssh\.com)"
        r" [A-Za-z0-9+/]+={0,3}( [ -~]*)?"
    ),
    "a key type and a base64 key",
)

# The settings that are one text, or whose items are one.
SHAPES = {
    "address": Shape(ADDRESS, "a host name or an IP address"),
    "hostname": Shape(NAME, "the host's own name"),
    "user": USER_NAME,
    "service_user": ACCOUNT,
    "home": PATH,
    "high_privacy": PATH,
    "medium_privacy": PATH,
    "level3_source": PATH,
    "lock_dir": PATH,
    "unit": Shape(NAME, "a systemd unit's name"),
    "backend": Shape(NAME, "a folder's name under backends/"),
    "host_keys": HOST_KEY,
    "host_key_checking": Shape(re.compile("strict|accept-new"), "'strict' or 'accept-new'"),
    "sudo": Shape(re.compile("ask|nopasswd"), "'ask' or 'nopasswd'"),
    "registry": REGISTRY,
    "registry_proxy": REGISTRY,
    "vars": VALUE,
    "deploy.code.url": URL,
    "deploy.code.ref": REF,
    "deploy.lib.url": URL,
    "deploy.lib.ref": REF,
}
# Any text on one line. A path on this machine must not look like an option of ssh.
LINES = ("level4_folder", "tools_run_args")
LOCAL_PATHS = ("identity_file", "ssh_config", "backends")
# Checked when all hosts are known.
_LATER = ("gateway", "include", "hosts", "children")


def problem(path: YamlPath, text: str) -> str:
    """What is wrong with the text of a setting; "" for nothing."""
    names = [part for part in path if isinstance(part, str)]
    key = "vars" if names[0] == "vars" else ".".join(names)
    if key in _LATER:
        return ""
    if key == "keep_connection":
        return _span_problem(text)
    return SHAPES[key].problem(text) if key in SHAPES else _line_problem(key, text)


def _span_problem(text: str) -> str:
    try:
        if text != NEVER:
            durations.parse(text)
    except Refused as error:
        return f"{error.message}; {error.hint}"
    return ""


def _line_problem(key: str, text: str) -> str:
    is_path = key in LOCAL_PATHS
    if not is_line(text) or (is_path and text.startswith("-")):
        return f"{shown(text)} is not {'a path' if is_path else 'one line of text'}"
    if key == "backends" and not text.startswith("/"):
        return f"{shown(text)} is not an absolute path"
    return ""


def is_line(text: str) -> bool:
    """Whether a text is one line without control characters and characters that change its look."""
    return text.isprintable()
