"""git: checking the names of refs, and naming the commit that is checked out."""

from __future__ import annotations

import re

from opstasks.core.command import Command, cmd
from opstasks.core.errors import Refused
from opstasks.core.hints import quoted
from opstasks.onhost.git_words import name_of

# No file system allows longer names.
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,999}")
# What git itself points elsewhere: HEAD, FETCH_HEAD, ORIG_HEAD.
_MOVING = re.compile(r"([A-Z]+_)*HEAD", re.IGNORECASE)


def valid_ref(ref: str) -> str:
    """A branch, tag or commit name that is safe on a command line; raises Refused."""
    if not _REF.fullmatch(ref) or ".." in ref or "//" in ref or ref.endswith((".lock", "/", ".")):
        raise Refused(f"{quoted(ref)} cannot be a branch, a tag or a commit")
    if _MOVING.fullmatch(ref):
        text = f"{quoted(ref)} is where git happens to be, not a branch, a tag or a commit"
        raise Refused(text, hint="name one, for example --ref main")
    return ref


def describe(path: str) -> Command:
    """Print the name of the commit that is checked out: the origin's nearest tag, or its hash."""
    return cmd(*name_of(path, "HEAD"))
