"""The steps for directories, files, settings and their rights: pure."""

from __future__ import annotations

from collections.abc import Iterator

from opstasks.manage.actions import (
    RemoveFile,
    SetDirectory,
    SetLine,
    SetRights,
    SetTreeRights,
    WriteFile,
)
from opstasks.manage.changed_by import file_history, word_history
from opstasks.manage.facts import ManageFacts, PathFacts, TreeFacts, sha256
from opstasks.manage.model import Description, Directory, File, Removal, Rights, Setting, Tree
from opstasks.manage.onhost.file_facts import UNREADABLE
from opstasks.manage.steps import ManageStep
from opstasks.onhost.safe_files import MAX_BYTES


def file_steps(facts: ManageFacts, wanted: Description) -> Iterator[ManageStep]:
    """Directories first, then their contents."""
    for directory in wanted.directories:
        yield from _directory(directory, facts)
    for file in wanted.files:
        yield from _file(file, wanted, facts)
    for setting in wanted.settings:
        yield from _setting(setting, wanted, facts)
    for rights in wanted.rights:
        yield from _rights(rights, facts)
    for removal in wanted.removals:
        yield from _removal(removal, wanted, facts)
    for tree in wanted.trees:
        yield from _tree(tree, facts.trees[tree.path])


def _described(entry: Directory | File | Rights) -> str:
    return f"{entry.owner}:{entry.group} {entry.mode}"


def _differing(now: PathFacts, wanted: Directory | File | Rights) -> tuple[str, str] | None:
    """Owner, group and mode as they are and as they should be, where they differ."""
    have, want = f"{now.owner}:{now.group} {now.mode}", _described(wanted)
    return (have, want) if have != want else None


def _set_rights(entry: File | Rights) -> SetRights:
    return SetRights(path=entry.path, owner=entry.owner, group=entry.group, mode=entry.mode)


def _directory(directory: Directory, facts: ManageFacts) -> Iterator[ManageStep]:
    path, area, now = directory.path, directory.area, facts.paths.get(directory.path)
    action = SetDirectory(
        path=path, owner=directory.owner, group=directory.group, mode=directory.mode
    )
    why = file_history(facts, path)
    if now is None:
        yield ManageStep(area, path, "absent", _described(directory), action)
    elif now.kind != "directory":
        yield ManageStep(area, path, f"a {now.kind}", _described(directory), action, why)
    elif differing := _differing(now, directory):
        yield ManageStep(area, path, *differing, action, why)


def _file(file: File, wanted: Description, facts: ManageFacts) -> Iterator[ManageStep]:
    path, area, now = file.path, file.area, facts.paths.get(file.path)
    content = wanted.contents[path]
    action, why = _write(file, wanted, now), file_history(facts, file.path)
    # The connected person's own keys are a login file.
    access = file.access or path == f"/home/{facts.login}/.ssh/authorized_keys"
    after = None if file.secret else content
    if now is None or now.kind != "file":
        have, want = "absent" if now is None else f"a {now.kind}", _described(file)
        yield ManageStep(area, path, have, want, action, why, access, before="", after=after)
    elif not (file.once or file.secret) and now.sha256 != sha256(content):
        have, want = "content differs", "as described"
        no = _unkept(path, now)
        yield ManageStep(area, path, have, want, action, why, access, now.text, after, refusal=no)
    elif differing := _differing(now, file):
        yield ManageStep(area, path, *differing, _set_rights(file), why)


def _unkept(path: str, now: PathFacts) -> str:
    """Why a file must not be replaced or deleted: its content would be lost. Or ""."""
    if now.sha256 != UNREADABLE:
        return ""
    return (
        f"the content of {path} cannot be kept (it has several hard links,"
        f" or is larger than {MAX_BYTES >> 20} MiB); move it away"
    )


def state(now: PathFacts | None) -> str:
    """A path in one word, as `opstasks.manage.onhost.file_facts` says it on the host."""
    return "absent" if now is None else now.sha256 or now.kind


def _write(file: File, wanted: Description, now: PathFacts | None) -> WriteFile:
    return WriteFile(
        path=file.path,
        owner=file.owner,
        group=file.group,
        mode=file.mode,
        content=wanted.contents[file.path],
        replaces=state(now),
        kept_in=wanted.kept_in,
        backup=file.backup,
        check=file.check,
        verify=file.verify,
        reload=file.reload,
    )


def _setting(setting: Setting, wanted: Description, facts: ManageFacts) -> Iterator[ManageStep]:
    now = facts.settings.get(setting.name)
    if now is None or now == (setting.line,):
        return
    action = SetLine(
        path=setting.path,
        match=setting.match,
        line=setting.line,
        replaces=now,
        kept_in=wanted.kept_in,
    )
    have, why = " | ".join(now) or "absent", word_history(facts, setting.path)
    thing = f"{setting.path}: {setting.name}"
    yield ManageStep(setting.area, thing, have, setting.line, action, why)


def _rights(rights: Rights, facts: ManageFacts) -> Iterator[ManageStep]:
    now = facts.paths.get(rights.path)
    if now is not None and now.kind == "file" and (differing := _differing(now, rights)):
        why = file_history(facts, rights.path)
        yield ManageStep(rights.area, rights.path, *differing, _set_rights(rights), why)


def _removal(removal: Removal, wanted: Description, facts: ManageFacts) -> Iterator[ManageStep]:
    path, now = removal.path, facts.paths.get(removal.path)
    if now is not None:
        shown, kept_in, why = state(now), wanted.kept_in, file_history(facts, path)
        action = RemoveFile(path=path, replaces=shown, kept_in=kept_in, reload=removal.reload)
        have, area = f"a {now.kind}", removal.area
        no = _unkept(path, now)
        yield ManageStep(area, path, have, "absent", action, why, removal.access, refusal=no)


def _tree(tree: Tree, now: TreeFacts) -> Iterator[ManageStep]:
    if not now.wrong:
        return
    action = SetTreeRights(
        path=tree.path,
        owner=tree.owner,
        group=tree.group,
        files=tree.files,
        directories=tree.directories,
        tolerated=tree.tolerated,
    )
    want = f"{tree.owner}:{tree.group}, files {tree.files}, directories {tree.directories}"
    why = ", ".join(now.examples) + (", ..." if now.wrong > len(now.examples) else "")
    yield ManageStep(tree.area, f"below {tree.path}", f"{now.wrong} wrong", want, action, why)
