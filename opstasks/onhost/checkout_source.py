"""Runs on the host: where a checkout's commits come from, and what runs when git works in it.

It may run as root. So git never runs in the checkout here, because the checkout's settings can run
programs. Git only gets the text of the configuration files on its standard input.
"""

import os
import re
import stat
from typing import Any

from opstasks.onhost.accounts import account_name
from opstasks.onhost.commands import attempt
from opstasks.onhost.masking import without_credentials
from opstasks.onhost.plain_text import MOST_BYTES, mode_of, names_in, text_of
from opstasks.onhost.safe_files import is_too_deep, look

# What a clone fetches: all branches.
FETCH = "+refs/heads/*:refs/remotes/origin/*"
TIMEOUT_S = 20.0
MOST_SETTINGS = 300
# Only these values are returned: others may be secrets.
SHOWN = re.compile(r"remote\.[^\n]*\.(url|fetch|pushurl)")
# Files of a checkout that hide changes, or replace what a commit contains.
EXTRAS = (
    "info/exclude",
    "info/attributes",
    "info/sparse-checkout",
    "info/grafts",
    "objects/info/alternates",
    "commondir",
)
# Folders of a checkout. Git follows a link in place of one, and we may not.
FOLDERS = ("hooks", "info", "objects", "objects/info", "refs", "refs/replace")
# Files in an account's home that apply to all its checkouts, and to a clone.
HOME_SETTINGS = (".gitconfig", ".config/git/config")
HOME_EXTRAS = (".config/git/ignore", ".config/git/attributes")
HOME_SSH = ".ssh/config"
# The first word of a line for ssh: it may be quoted, and end at a "=".
KEYWORD = re.compile(r"""[\s="]*([^\s="]+)""")
LENGTH = 1000
BYTE_CODE = "__pycache__"
MOST_FOREIGN = 20


def source(path: str, home: str) -> dict[str, Any]:
    """Settings, hooks and extras of a checkout; `home` is the home of the account that uses it.

    Settings of the system (/etc/gitconfig) are root's, and are not read.
    """
    git_dir = f"{path}/.git"
    settings, of_home = settings_in([f"{home}/{name}" for name in HOME_SETTINGS])
    problem, running = f"{git_dir} is not a folder", []
    if stat.S_ISDIR(mode_of(git_dir)):
        config = f"{git_dir}/config"
        own, problem = settings_in([config, f"{git_dir}/config.worktree"], needed=config)
        settings, running = own + settings, hooks(git_dir)
    many = "too many settings" if len(settings) > MOST_SETTINGS else ""
    return {
        "settings": settings[:MOST_SETTINGS],
        "hooks": running,
        "extras": extras(git_dir, home),
        "foreign": foreign(path, home),
        "ssh": ssh_keywords(f"{home}/{HOME_SSH}"),
        "problem": problem or of_home or many,
        "home_problem": of_home or many,
    }


def settings_in(files: list[str], needed: str = "") -> tuple[list[dict[str, str]], str]:
    """The settings in files of git, and why they are not all; `needed` is one that must exist."""
    settings: list[dict[str, str]] = []
    problem = ""
    for name in files:
        text = text_of(name)
        # Git would follow a link, and read the whole of a large file.
        if not is_whole(name) or (text is None and name == needed):
            problem = problem or f"cannot read {name}: it is no plain file, or too large"
        if text is None:
            continue
        done = attempt(
            "git", "config", "-z", "--list", "--file", "-", timeout_s=TIMEOUT_S, input=text
        )
        if done.returncode:
            problem = problem or f"git does not accept {name}"
        settings += [{"file": name, **entry} for entry in settings_of(done.stdout)]
    return settings, problem


def ssh_keywords(file: str) -> list[str]:
    """The kinds of settings that ssh finds in an account's file; "" for what only ssh can read."""
    found = keywords_of(text_of(file) or "")
    return found if is_whole(file) else ["", *found]


def keywords_of(text: str) -> list[str]:
    """The first words of the lines of ssh's settings, each once, in lower case."""
    lines = (line for line in text.split("\n") if not line.lstrip().startswith("#"))
    found = {match[1].lower()[:LENGTH] for line in lines if (match := KEYWORD.match(line))}
    return sorted(found)[:MOST_SETTINGS]


def foreign(path: str, home: str) -> list[str]:
    """What the account of a home cannot change in its checkout: ``/x/.git belongs to root``.

    These are folders, and files of git that the account may not read, or that git writes in place.
    Git replaces all other files: root may have run `git status` there. Folders of byte code do not
    matter.
    """
    found: list[str] = []
    try:
        account = os.stat(home)  # noqa: PTH116
        note_foreign(found, path, os.lstat(path), account.st_uid)
        for folder, folders, files, fd in os.fwalk(path):
            is_git = folder.startswith(f"{path}/.git") and not folder.startswith(f"{path}/.git/obj")
            for name in (*folders, *(files if is_git else ())):
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                place = f"{folder}/{name}"
                if name in folders or is_in_place(path, place) or not is_readable(info, account):
                    note_foreign(found, place, info, account.st_uid)
            if len(found) >= MOST_FOREIGN:
                break
            kept = [name for name in folders if name != BYTE_CODE]
            folders[:] = [] if is_too_deep(folder) else kept
    except OSError:
        pass  # a checkout that is not there, or that changes meanwhile
    return found[:MOST_FOREIGN]


def is_in_place(path: str, place: str) -> bool:
    """Whether git writes into a file of a checkout, and does not replace it."""
    return place == f"{path}/.git/FETCH_HEAD" or place.startswith(f"{path}/.git/logs/")


def is_readable(info: os.stat_result, account: os.stat_result) -> bool:
    """Whether the account of a home may read a file of somebody else."""
    is_in_group = info.st_gid == account.st_gid and info.st_mode & stat.S_IRGRP
    return bool(info.st_mode & stat.S_IROTH or is_in_group)


def note_foreign(found: list[str], place: str, info: os.stat_result, account: int) -> None:
    """Add a place that belongs to another account than the expected one, with its owner."""
    if info.st_uid == account or info.st_mode & stat.S_IWOTH or place.endswith(f"/{BYTE_CODE}"):
        return
    found.append(f"{place} belongs to {account_name(info.st_uid)}")


def is_whole(path: str) -> bool:
    """Whether `text_of` reads all that git would; true if the file does not exist."""
    try:
        info = look(path)
    except OSError:
        return False
    return info is None or (stat.S_ISREG(info.st_mode) and info.st_size <= MOST_BYTES)


def settings_of(text: str) -> list[dict[str, str]]:
    """The settings that ``git config -z --list`` printed; credentials in addresses are masked."""
    found = []
    for entry in text.split("\0"):
        key, _, value = entry.partition("\n")
        if key:
            shown = value if SHOWN.fullmatch(key) else ""
            found.append({"key": masked(key), "value": masked(shown)})
    return found


def masked(text: str) -> str:
    """A text without credentials in addresses, of a limited length."""
    return without_credentials(text)[:LENGTH]


def hooks(git_dir: str) -> list[str]:
    """The hooks that git would run; a link counts, wherever it leads."""
    place = f"{git_dir}/hooks"
    names = [name for name in names_in(place) if not name.endswith(".sample")]
    modes = ((name, mode_of(f"{place}/{name}")) for name in names)
    return [name for name, mode in modes if stat.S_ISLNK(mode) or mode & 0o111][:20]


def extras(git_dir: str, home: str) -> list[str]:
    """The files that hide changes or replace what a commit contains, if they have an effect."""
    paths = [f"{git_dir}/{name}" for name in EXTRAS] + [f"{home}/{name}" for name in HOME_EXTRAS]
    links = [f"{git_dir}/{name}" for name in FOLDERS]
    found = [path for path in links if stat.S_ISLNK(mode_of(path))]
    found += [path for path in paths if says_something(path)]
    packed = text_of(f"{git_dir}/packed-refs") or ""
    if names_in(f"{git_dir}/refs/replace") or " refs/replace/" in packed:
        found.append(f"{git_dir}/refs/replace")
    return found


def says_something(path: str) -> bool:
    """Whether a file has a line that is not empty and not a comment; true for a link."""
    if not is_whole(path):
        return True
    lines = [line.strip() for line in (text_of(path) or "").split("\n")]
    return any(line and not line.startswith("#") for line in lines)
