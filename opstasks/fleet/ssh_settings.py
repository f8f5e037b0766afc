"""The settings that OpenSSH would use for one name: the answer of `ssh -G` (ssh_config(5)).

`ssh -G` prints most values before it replaces their tokens (``%h``, ``~``, ``${VAR}``); that is
done here, when a value is used.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word
from opstasks.fleet.config_files import ConfigFiles

_TOKEN = re.compile(r"%(.?)")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_JUMP = re.compile(
    r"(?:(?P<user>.+)@)?(?:\[(?P<bracketed>[^\]]+)\]|(?P<host>[^:@]+))(?::(?P<port>[0-9]{1,5}))?"
)
NONE = "none"


class Jump(msgspec.Struct, frozen=True):
    """One host of a ProxyJump; `user` is "" and `port` 0 for those of ssh_config."""

    host: str
    user: str = ""
    port: int = 0


class SSHSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What OpenSSH would use for `name`; `values` has the other keywords, in lower case."""

    name: str
    hostname: str
    port: int
    user: str
    values: Mapping[str, tuple[str, ...]]
    files: ConfigFiles

    def one(self, keyword: str) -> str:
        """The value of a keyword; "" when it has none."""
        (value, *_) = self.values.get(keyword, ("",))
        return "" if value.lower() == NONE else value

    def many(self, keyword: str) -> list[str]:
        """The values of a keyword that may be given several times."""
        return [value for value in self.values.get(keyword, ()) if value.lower() != NONE]

    def is_on(self, keyword: str) -> bool:
        """Whether a keyword is "yes"."""
        return self.one(keyword) in ("yes", "true")

    def algorithms(self, keyword: str) -> list[str]:
        """A list of algorithms, in order of preference."""
        return self.one(keyword).split(",")

    def paths(self, keyword: str) -> list[Path]:
        """The paths in a value that lists several, such as UserKnownHostsFile.

        `ssh -G` prints them with spaces between and no quotes, so a path with a space can only be
        recognized by its file.
        """
        found: list[Path] = []
        words = self.one(keyword).split(" ")
        while words:
            sizes = range(len(words), 1, -1)
            whole = [size for size in sizes if self.path(" ".join(words[:size])).is_file()]
            size = whole[0] if whole else 1
            found.append(self.path(" ".join(words[:size])))
            del words[:size]
        return [path for path in found if str(path) not in ("", ".", NONE)]

    def path(self, text: str) -> Path:
        """A file's path, with its tokens and variables replaced; raises Refused for a bad one."""
        return Path(expand_home(_VARIABLE.sub(self._variable, self.expand(text))))

    def expand(self, text: str) -> str:
        """A value with its ``%`` tokens replaced; raises Refused for an unknown token."""
        if "%" not in text:
            return text
        known = self._tokens()

        def value(match: re.Match[str]) -> str:
            if match[1] not in known:
                raise Refused(
                    f"{text!r} in ssh_config: %{match[1]} is not supported",
                    hint="write the value itself there",
                )
            return known[match[1]]

        return _TOKEN.sub(value, text)

    def _tokens(self) -> dict[str, str]:
        account = pwd.getpwuid(os.getuid())
        here = socket.gethostname()
        return {
            "%": "%",
            "d": account.pw_dir,
            "h": self.hostname,
            "i": str(os.getuid()),
            "j": self.one("proxyjump"),
            "k": self.one("hostkeyalias") or self.name,
            "L": here.partition(".")[0],
            "l": here,
            "n": self.name,
            "p": str(self.port),
            "r": self.user,
            "u": account.pw_name,
        }

    @staticmethod
    def _variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise Refused(
                f"ssh_config: the environment has no variable {match[1]!r}",
                hint=f"set {one_word(match[1])}, or write its value in ssh_config",
            )
        return os.environ[match[1]]

    def jumps(self) -> list[Jump]:
        """The hosts of ProxyJump, the first to connect to first."""
        found = []
        for word in filter(None, self.one("proxyjump").split(",")):
            match = _JUMP.fullmatch(word.removeprefix("ssh://"))
            if match is None:
                line = self.line_of("proxyjump")
                text = f"{line}: ProxyJump {word!r} is not a host"
                raise Refused(text, hint="write [USER@]HOST[:PORT] there")
            host = match["bracketed"] or match["host"]
            found.append(Jump(host, match["user"] or "", int(match["port"] or 0)))
        return found

    def line_of(self, keyword: str) -> str:
        """Where a keyword is set, for an error: ``~/.ssh/config, line 3``."""
        return self.files.line_of(self.name, keyword)

    def line_of_key(self, path: str) -> str:
        """The line of ssh_config that names the file of a key; "" if none does."""
        for text in self.many("identityfile"):
            if str(self.path(text)) == path:
                return self.files.line_with(self.name, "identityfile", text)
        return ""


def expand_home(text: str) -> str:
    """A path with ``~`` replaced; as in OpenSSH by the account's home, not by $HOME."""
    if not text.startswith("~"):
        return text
    name, _, rest = text[1:].partition("/")
    try:
        home = (pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())).pw_dir
    except KeyError:
        return text
    return f"{home}/{rest}"
