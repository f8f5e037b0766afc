"""Compare where a checkout's commits come from with where they should come from: pure.

Settings of a checkout can fetch from elsewhere, run programs and hide changes. So only harmless
settings and those that `git clone` writes are accepted. The same goes for the account's own
settings, where people also keep their habits, and how to reach the origin. Settings of the system
(/etc/gitconfig) are root's, and may redirect addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from opstasks.core.fields import Line
from opstasks.core.hints import one_word
from opstasks.onhost.checkout_source import FETCH

_HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode"
    r"|symlinks|quotepath|abbrev|sharedrepository|compression)"
    r"|branch\.[^\n]*\.(remote|merge|rebase|description)"
    r"|(user|advice|color|maintenance|pull|push|pack)\.[^\n]*|gc\.(?!recentobjectshook)[^\n]*"
    r"|init\.defaultbranch"
    r"|fetch\.(prune|prunetags|parallel|writecommitgraph)"
    r"|extensions\.objectformat|http\.(proxy|postbuffer|lowspeedlimit|lowspeedtime)"
    r"|safe\.directory|submodule\.active",
    re.IGNORECASE,
)
# Other ways to clone write these, into the checkout only.
_CLONED = re.compile(r"remote\.origin\.(tagopt|promisor|partialclonefilter)", re.IGNORECASE)
# An account may have these as well: none changes what our commands fetch, write or compare: for
# some they have values of their own (`opstasks.onhost.git_words`). A proxy sees only what the
# origin's certificate protects.
_HABITS = re.compile(
    r"(alias|author|blame|column|commit|committer|credential|difftool|format|github|grep|help"
    r"|mergetool|pager|rebase|rerere|stash|status|tag)\.[^\n]*"
    r"|branch\.(sort|autosetupmerge|autosetuprebase)"
    r"|core\.(askpass|autocrlf|commentchar|editor|eol|pager|untrackedcache|whitespace)"
    r"|merge\.(conflictstyle|ff|tool)"
    r"|diff\.(algorithm|colormoved|colormovedws|context|guitool|renames|tool)|gpg\.format"
    r"|log\.(abbrevcommit|date|decorate|follow)"
    r"|http\.([^\n]*\.)?(proxy|proxyauthmethod|useragent|version)",
    re.IGNORECASE,
)
# What ssh may be told in the account's home: how to log in, not where, and not whom to trust.
_SSH_HABITS = re.compile(
    "addkeystoagent|addressfamily|batchmode|compression|connectionattempts|connecttimeout|host"
    "|identitiesonly|identityagent|identityfile|loglevel|preferredauthentications"
    "|pubkeyacceptedalgorithms|serveralivecountmax|serveraliveinterval|tcpkeepalive|user"
)
# ssh://..., or user@host:path.
_BY_SSH = re.compile(r"ssh://.*|[^/:]+:[^/].*", re.DOTALL)

# They make git compare a file again. Git does only one of the two in one command.
_SEEN_AGAIN = ("--no-assume-unchanged", "--no-skip-worktree")


class GitSetting(msgspec.Struct, frozen=True):
    """A setting and its file; it has a value for addresses only, without credentials."""

    file: Line
    key: Line
    value: Line = ""


class CheckoutSource(msgspec.Struct, frozen=True):
    """The settings of a checkout and its account, the hooks that run, and files that hide changes.

    `extras` are paths of files that hide changes or replace content. `hidden` are files that git
    was told not to compare. `foreign` are folders and files of other
    accounts. `ssh` are the kinds of settings for ssh in the account's home, "" for a file that
    cannot be read. `problem` says why this is not complete, and `home_problem` only if that is so
    because of the account's home.
    """

    settings: tuple[GitSetting, ...] = ()
    hooks: tuple[Line, ...] = ()
    extras: tuple[Line, ...] = ()
    hidden: tuple[Line, ...] = ()
    foreign: tuple[Line, ...] = ()
    ssh: tuple[Line, ...] = ()
    problem: Line = ""
    home_problem: Line = ""


@dataclass(frozen=True)
class SourceProblem:
    """Something in a checkout that is not as described; `is_origin`: the address itself."""

    text: str
    hint: str
    is_origin: bool = False


def foreign_problems(path: str, found: CheckoutSource, owner: str) -> Iterator[SourceProblem]:
    """What belongs to others than `owner`, the account that uses a checkout: git cannot move it."""
    if found.foreign:
        more = len(found.foreign) - 1
        text = found.foreign[0] + (f" (and {more} more)" if more else "")
        yield SourceProblem(text, owner_hint(path, owner))


def owner_hint(path: str, owner: str) -> str:
    """How to give a checkout back to the account that uses it."""
    return f"as root: chown -R {one_word(f'{owner}:')} {one_word(path)}"


def problems(path: str, found: CheckoutSource, url: str, owner: str) -> Iterator[SourceProblem]:
    """What is wrong with a checkout's source; `url` is where its commits should come from.

    `owner` is the account that uses it.
    """
    yield from foreign_problems(path, found, owner)
    if found.problem:
        yield SourceProblem(found.problem, f"look at it (checkout {one_word(path)})")
        return
    config = f"{path}/.git/config"
    own = [entry for entry in found.settings if entry.file == config]
    urls = [entry.value for entry in own if entry.key == "remote.origin.url"]
    if not (urls and all(is_same_url(value, url) for value in urls)):
        shown = ", ".join(urls) or "not set"
        hint = f"git -C {one_word(path)} remote set-url origin {one_word(url)}"
        yield SourceProblem(f"origin is {shown}, not {url}", hint, is_origin=True)
    if urls and not any(entry.key == "remote.origin.fetch" for entry in own):
        text = "remote.origin.fetch is not set: no branch would be fetched"
        yield SourceProblem(text, _fetch_hint(config))
    for entry in found.settings:
        if entry.key == "remote.origin.url" and entry.file == config:
            continue
        if not _is_harmless(entry, is_own=entry.file.startswith(f"{path}/.git/")):
            yield _setting(entry)
    yield from _ssh(found, url, owner)
    for name in found.hooks:
        place = f"{path}/.git/hooks/{name}"
        yield SourceProblem(f"git runs the hook {name}", f"look at {one_word(place)}, then rm it")
    for place in found.extras:
        yield _extra(path, place)
    if found.hidden:
        shown = ", ".join(found.hidden[:3]) + (", ..." if len(found.hidden) > 3 else "")
        hints = (_update_index(path, flag, found.hidden[0]) for flag in _SEEN_AGAIN)
        yield SourceProblem(f"git ignores changes of {shown}", "; ".join(hints))


def home_problems(
    path: str, found: CheckoutSource, url: str, owner: str
) -> Iterator[SourceProblem]:
    """What in the home of `owner` would mislead a clone of `url` to `path`, where none is yet."""
    if found.home_problem:
        yield SourceProblem(found.home_problem, f"look at it (the home of {owner})")
    for entry in found.settings:
        if not (entry.file.startswith(f"{path}/.git/") or _is_harmless(entry, is_own=False)):
            yield _setting(entry)
    yield from _ssh(found, url, owner)
    for place in found.extras:
        if not place.startswith(f"{path}/.git/"):
            yield _extra(path, place)


def _ssh(found: CheckoutSource, url: str, owner: str) -> Iterator[SourceProblem]:
    """What could lead ssh to another server than the one of `url`."""
    if not _BY_SSH.fullmatch(url):
        return
    file = f"~{owner}/.ssh/config"
    for keyword in found.ssh:
        text = f"{file} sets {keyword}" if keyword else f"cannot read all of {file}"
        if not _SSH_HABITS.fullmatch(keyword):
            yield SourceProblem(text, "look at it; root can set it in /etc/ssh/ssh_config.d")


def _update_index(path: str, flag: str, name: str) -> str:
    return f"git -C {one_word(path)} update-index {flag} {one_word(name)}"


def _extra(path: str, place: str) -> SourceProblem:
    return SourceProblem(f"{place} hides or replaces content", _removal(path, place))


def _removal(path: str, place: str) -> str:
    """How to remove a file that hides or replaces content."""
    if place.endswith("/objects/info/alternates"):
        # Without this file the checkout lacks objects, unless they are copied first.
        return f"git -C {one_word(path)} repack -a -d, then rm {one_word(place)}"
    return f"look at it, then rm -r {one_word(place)}"


def _is_harmless(entry: GitSetting, *, is_own: bool) -> bool:
    if not is_own:
        return bool(_HARMLESS.fullmatch(entry.key) or _HABITS.fullmatch(entry.key))
    if entry.key == "remote.origin.fetch":
        return entry.value == FETCH
    return bool(_HARMLESS.fullmatch(entry.key) or _CLONED.fullmatch(entry.key))


def _setting(entry: GitSetting) -> SourceProblem:
    value = f" = {entry.value}" if entry.value else ""
    if entry.key == "remote.origin.fetch":
        return SourceProblem(f"{entry.file} sets {entry.key}{value}", _fetch_hint(entry.file))
    hint = f"git config --file {one_word(entry.file)} --unset-all {one_word(entry.key)}"
    return SourceProblem(f"{entry.file} sets {entry.key}{value}", hint)


def _fetch_hint(file: str) -> str:
    """Set what a clone sets: without it, nothing that a deploy looks at is fetched."""
    words = f"git config --file {one_word(file)} --replace-all"
    return f"{words} remote.origin.fetch {one_word(FETCH)}"


def is_same_url(one: str, other: str) -> bool:
    """Whether two addresses are the same, apart from a final slash or .git."""
    return _plain(one) == _plain(other)


def _plain(url: str) -> str:
    return url.rstrip("/").removesuffix(".git")
