"""Names of workspaces and files: what may be asked for, and how they are shown."""

from __future__ import annotations

import re
import shlex

from opstasks.core.errors import Refused

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def workspace(name: str) -> str:
    """A workspace's name, one folder's; raises Refused."""
    if not name or "/" in name or name in (".", "..") or "\0" in name:
        raise Refused(f"{typed(name)} is no workspace", hint="see them with `outputs.ls`")
    return name


def file(name: str, workspace_name: str, root: str) -> str:
    """A file's path inside its workspace; raises Refused for any that could lead out.

    Taken as it is: a `*` is a star, a space is a space. The full path of the file is fine, too.
    """
    start = f"{root}/workspaces/{workspace_name}/"
    path = name.removeprefix(start)
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise Refused(
            f"{typed(name)} is no file's path inside the workspace",
            hint=f"give it as below {typed(start)}, without `..`, as `outputs.ls` shows it",
        )
    return path


def typed(name: str) -> str:
    """A name as it is typed in bash; control characters cannot reach the terminal."""
    if _PLAIN.fullmatch(name):
        return name
    if name.isprintable():
        return shlex.quote(name)
    return "$'" + "".join(map(_escaped, name)) + "'"


def _escaped(sign: str) -> str:
    if sign in "\\'":
        return f"\\{sign}"
    if sign.isprintable():
        return sign
    return "".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8", "surrogateescape"))


def manual_path(folder: str, workspace_name: str, path: str) -> str:
    """Where the partner's copy lies, in the style of its folder's own path."""
    slash = "\\" if "\\" in folder else "/"
    return slash.join([folder.rstrip("\\/"), workspace_name, *path.split("/")])
