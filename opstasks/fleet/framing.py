"""The shell text of the framed shell: its start, and one command as a frame.

A frame on the wire is a header, a NUL byte, and blocks of exactly as many bytes as the header
says: the command's standard input, if any, then shell text. `opstasks.fleet.session` says why.
"""

from __future__ import annotations

import shlex

from opstasks.core.command import Command, Raw, Secret
from opstasks.fleet import zone
from opstasks.fleet.heartbeat import SILENCE_S
from opstasks.fleet.marks import NOT_RUN
from opstasks.fleet.sudo import ASK

# The settings of every remote shell: predictable messages, no pagers, no git questions, and the
# same umask for all accounts, so an account's own umask does not affect the files that we make.
SHELL_SETTINGS = (
    "export LC_ALL=C.UTF-8 PAGER=cat SYSTEMD_PAGER= SYSTEMD_COLORS=0 GIT_TERMINAL_PROMPT=0"
    " PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; umask 027; cd /"
)
# How much of a block one `read` waits for. It has a time limit, so this sets a lowest speed.
PIECE_BYTES = 1 << 17

# The descriptor of standard error in the framed shell. Commands get it as their descriptor 2.
ERR = 8
TO_ERR = f"2>&{ERR} {ERR}>&-"

# `b COUNT` reads a block into $B. bash reads a header byte by byte, but a block in large pieces. In
# the C locale, -N counts bytes. A block that comes only in part ends the shell: it never runs.
# The account's own environment must not pass on our variables to commands.
# `w` tells whether a command may run: `opstasks.fleet.leftover` replaces it during a change.
FUNCTIONS = (
    "unset B F I r S T O D X; set --; w() { :; }\n"
    # bash reports a killed command with its whole text, so bash's own messages are discarded.
    f"exec {ERR}>&2 2>/dev/null\n"
    "b() { local n; B=; for n; do"
    f" LC_ALL=C read -r -N $n -t {SILENCE_S} F || exit; B+=$F; done; }}"
)
LOOP = f'while IFS= read -r -d "" -t {SILENCE_S} F; do eval "$F"; done'


def start_line(user: str, token: str, *, sudo: str) -> str:
    """The command line that starts the framed shell, for the login shell of the account.

    `user` is the account to become ("" for the login account); `sudo`: see `opstasks.fleet.sudo`.

    dash, bash, zsh, fish and tcsh all read it alike: plain words, and single quotes without a line
    end, a backslash or an exclamation mark. What our shell says differs from what is in the line,
    so a login shell that repeats the line (`set -x`) is not mistaken for sudo or our shell.

    With -p, bash reads no file that $BASH_ENV names. If a start-up file of the login shell has read
    from standard input, the token does not come first, and nothing is run.
    """
    check = f'IFS= read -r -d "" -t {SILENCE_S} F; [ "$F" = $1 ] || exec echo input:$1; {LOOP}'
    bash = ["bash", "--norc", "-p", "-c", f"echo ready:$1; {check}", "bash", token]
    if user:
        mode = ["-S", "-p", prompt_word(token)] if sudo == ASK else ["-n"]
        bash = ["sudo", *mode, "-u", user, "--", *bash]
    return "exec " + shlex.join(bash)


def prompt_word(token: str) -> str:
    """The prompt that sudo gets; it prints two percent signs as one."""
    return f"{token}%%password:"


def prompt_text(token: str) -> bytes:
    """What sudo prints when it asks."""
    return prompt_word(token).replace("%%", "%").encode()


def start_frames(token: str) -> bytes:
    """The first input of the framed shell; it answers with its time zone and the mark `token`.

    A client that has given up has closed the streams: then the shell ends here, and runs nothing.
    """
    text = f"{FUNCTIONS}\n{SHELL_SETTINGS}\n{zone.SAY}\n{_marks(token, '$$')} || exit"
    return f"{token}\0{text}\0".encode()


def frame(command: Command, mark: str, before: str = "", after: str = "") -> bytes:
    """The bytes that make the framed shell run one command.

    `before` and `after` are shell texts that run before and after the command; $r is then its exit
    code, or NOT_RUN if a process of an earlier step of the change still runs. Raises ValueError for
    a NUL byte.
    """
    line = command.line()
    if any(isinstance(arg, Raw) for arg in command.args):
        line = f"bash -c {shlex.quote(line)}"
    elif command.args[:1] == ("sudo",):  # it closes the descriptors of the lock
        line = f"sh -c '\"$@\"; exit $?' sh {line}"
    line = f"timeout -k 5 {command.timeout_s:g} {line}"
    text = f"if w; then {_run(line, command)}; else r={NOT_RUN}; fi; I=\n"
    return _ended(_quiet(before) + text + _quiet(after), mark, command.stdin)


def text_frame(text: str, mark: str) -> bytes:
    """The bytes that make the framed shell evaluate a text; its last exit code is the result."""
    return _ended(f"{{ {text}\n}} 2>&{ERR}\nr=$?\n", mark)


def background_frame(command: Command, mark: str) -> bytes:
    """The bytes that start a command without a time limit; it ends with the shell at the latest.

    It has a process group of its own.
    """
    text = f"{_run(command.line(), command)}; {_marks(mark, '$r')}"
    start = f"set -m; ( {text} ) </dev/null & trap 'kill -TERM -- -'$! EXIT HUP; I="
    return _wire(start, command.stdin)


def _run(line: str, command: Command) -> str:
    """Shell text that runs a command line; its input is in $I, its exit code then in $r."""
    if command.stdin is None:
        return f"{line} </dev/null {TO_ERR}\nr=$?"
    # A pipe, not a here-document: bash may write that to the disk.
    return f'printf %s "$I" | {line} {TO_ERR}\nr=${{PIPESTATUS[1]}}'


def _ended(text: str, mark: str, stdin: str | Secret | None = None) -> bytes:
    """The bytes for a text that leaves an exit code in $r."""
    return _wire(f"{text}{_marks(mark, '$r')}", stdin)


def _wire(text: str, stdin: str | Secret | None = None) -> bytes:
    """A frame: the header, and the input and the shell text as counted blocks."""
    whole = text.encode("utf-8", "surrogateescape")
    value = stdin.value if isinstance(stdin, Secret) else stdin or ""
    given = value.encode("utf-8", "surrogateescape")
    if b"\0" in whole or b"\0" in given:
        raise ValueError("a command or its input contains a NUL byte")
    before = f"b {_pieces(len(given))}; I=$B; " if given else ""
    header = f'{before}b {_pieces(len(whole))}; eval "$B"'
    return b"".join((header.encode(), b"\0", given, whole))


def _pieces(size: int) -> str:
    """The sizes of the pieces of a block, in bytes."""
    whole, rest = divmod(size, PIECE_BYTES)
    return " ".join([str(PIECE_BYTES)] * whole + ([str(rest)] if rest else []))


def _quiet(text: str) -> str:
    return f"{{ {text}\n}} >/dev/null 2>&1\n" if text else ""


def _marks(mark: str, number: str) -> str:
    """Shell text that marks the end of a command on both streams."""
    return f"printf '\\0{mark} %d\\0' {number} && printf '\\0{mark}\\0' >&{ERR}"
