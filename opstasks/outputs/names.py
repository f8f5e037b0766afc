"""Names of workspaces and files: which are valid, and how they are shown."""

from __future__ import annotations

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word, value_of


def workspace(name: str) -> str:
    """A workspace's name, which must be one folder's name; raises Refused for other names."""
    name = value_of(name)
    if not name or "/" in name or name in (".", "..") or "\0" in name:
        raise Refused(f"{one_word(name)} is not a workspace", hint="see them with `outputs.ls`")
    return name


def file(name: str, workspace_name: str, root: str) -> str:
    """A file's path inside its workspace; raises Refused for a path that could lead out.

    It is taken literally, also a `*` or a space. The full path is valid as well.
    """
    start = f"{root}/workspaces/{workspace_name}/"
    path = value_of(name.removeprefix(start))
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise Refused(
            f"{one_word(name)} is not a path inside the workspace",
            hint=f"give it relative to {one_word(start)}, without `..`, as `outputs.ls` shows it",
        )
    return path


def partner_path(folder: str, workspace_name: str, path: str) -> str:
    """The path of the partner's copy, in the style of its folder's path; "" without a folder."""
    if not folder:
        return ""
    slash = "\\" if "\\" in folder else "/"
    return slash.join([folder.rstrip("\\/"), workspace_name, *path.split("/")])
