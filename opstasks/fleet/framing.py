"""The shell text of the framed shell: its start, and one command as a frame.

`opstasks.fleet.session` describes the frames.
"""

from __future__ import annotations

import shlex

from opstasks.core.command import Command, Raw, Secret
from opstasks.fleet.heartbeat import SILENCE_S

# What every remote shell starts with: predictable messages, no pagers, no git questions.
SHELL_SETTINGS = (
    "export LC_ALL=C.UTF-8 PAGER=cat SYSTEMD_PAGER= SYSTEMD_COLORS=0 GIT_TERMINAL_PROMPT=0"
    " PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; cd /"
)
LOOP = f'while IFS= read -r -d \'\' -t {SILENCE_S} F; do [ -z "$F" ] || eval "$F"; done'


def bootstrap_line(user: str, token: str, *, sudo: str) -> str:
    """The command line that starts the framed shell.

    `user` is the account to become ("" for the login account); `sudo` is "ask" or "nopasswd".
    """
    shell = f"{SHELL_SETTINGS}; printf '%s %s\\0' {token}:ready $$; {LOOP}"
    bash = ["bash", "--norc", "-c", shell]
    if user:
        mode = ["-n"] if sudo == "nopasswd" else ["-S", "-p", f"{token}:password\n"]
        bash = ["sudo", *mode, "-u", user, "--", *bash]
    return "exec " + shlex.join(bash)


def frame(command: Command, mark: str) -> bytes:
    """The bytes that make the framed shell run one command."""
    limit = f"timeout -k 5 {command.timeout_s:g} "
    line = command.line()
    if any(isinstance(arg, Raw) for arg in command.args):
        line = f"bash -c {shlex.quote(line)}"
    text = f"( {limit}{line} ) {_redirect(command.stdin, mark)}\n" + end_of(mark)
    data = text.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError("a command or its input contains a NUL byte")
    return data + b"\0"


def _redirect(stdin: str | Secret | None, mark: str) -> str:
    """A command's input; by default /dev/null, so that it cannot read the next frames."""
    if stdin is None:
        return "</dev/null"
    text = stdin.value if isinstance(stdin, Secret) else stdin
    ending = "" if text.endswith("\n") else "\n"
    return f"<<'{mark}'\n{text}{ending}{mark}"


def end_of(mark: str) -> str:
    """Shell text that marks the end of a command on both streams."""
    return f"r=$?; printf '\\0{mark} %d\\0' $r; printf '\\0{mark}\\0' >&2"
