"""The reasons against a deploy, from facts, each with what to do: pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opstasks.core.formats import size_text
from opstasks.core.hints import one_word
from opstasks.core.lines import last_line
from opstasks.deploy import release, source
from opstasks.deploy.facts import CheckoutFacts, ClosedFolder, DeployDisk, DeployFacts, GitLock
from opstasks.deploy.release import Release
from opstasks.primitives import systemd

# There may be a snapshot, a copy kept aside and the migrated database at the same time.
COPIES = 3
SPARE_BYTES = 50 * 1024 * 1024
# More than a release has.
SPARE_FILES = 5000
# What is written to a disk, by `DeployDisk.kind`.
WRITTEN = {
    "state": "the snapshots",
    "database": "the database",
    "code": "the code",
    "lib": "the dependencies",
}


@dataclass(frozen=True)
class DeployProblem:
    """A reason not to deploy; `in_release` when the new release itself is broken."""

    text: str
    hint: str = ""
    in_release: bool = False


def problems(facts: DeployFacts, restores: Release | None) -> tuple[DeployProblem, ...]:
    """All reasons against a deploy, or against a rollback that undoes the release `restores`."""
    found = [
        *_disk_problems(facts),  # first: a full disk also causes others
        *_folder_problems(facts),
        *_source_problems(facts.code, facts.service_user, restores),
        *_source_problems(facts.lib, facts.service_user, restores),
        *checkout_problems(facts.host, facts.code, facts.service_user),
        *checkout_problems(facts.host, facts.lib, facts.service_user),
        *_host_problems(facts),
        *database_problems(facts),
        *_release_problems(facts),
    ]
    if restores and facts.snapshot != "ok":
        found.append(_snapshot_problem(facts, restores))
    return tuple(found) or tuple(_version_problems(facts, restores))


def _version_problems(facts: DeployFacts, restores: Release | None) -> Iterator[DeployProblem]:
    """Code that does not know the version that the database will have: it would not start."""
    version = facts.database.user_version
    if restores and restores.to_version != restores.from_version:
        version = restores.from_version  # the snapshot's
    if facts.code_version >= version:
        return
    text = f"the database is at version {version}, this code knows only {facts.code_version}"
    hint = f"`deploy --ref` a release that knows database version {version}"
    if restores is None:
        hint += "; `deploy.rollback` goes back with the database"
    yield DeployProblem(text, hint, in_release=True)


def _snapshot_problem(facts: DeployFacts, restores: Release) -> DeployProblem:
    """The problem of a bad snapshot: the older code cannot use the present database."""
    text = f"the snapshot to go back to is damaged: {facts.snapshot}"
    newer = f"`deploy --ref` a release that knows database version {facts.database.user_version}"
    other = f"copy another snapshot of version {restores.from_version} to its place"
    return DeployProblem(text, f"{newer}, or {other}: newer rows are carried over")


# -- checkouts -------------------------------------------------------------------------------


def checkout_problems(host: str, checkout: CheckoutFacts, owner: str) -> Iterator[DeployProblem]:
    """What git, or a person, has at work in a checkout; `owner` is the account that uses it."""
    for lock in checkout.locks:
        yield lock_problem(checkout.path, lock)
    if checkout.error:
        hint = fault_hint(host, checkout.path, checkout.fault, owner)
        yield DeployProblem(f"{checkout.path}: {checkout.error}", hint)
    if checkout.dirt:
        text = f"{checkout.path} was changed by hand: {checkout.dirt.describe()}"
        hint = "commit the changes upstream or revert them; a deploy discards nothing"
        yield DeployProblem(text, hint)


def lock_problem(path: str, lock: GitLock) -> DeployProblem:
    """The problem of a lock file in a checkout."""
    if lock.holder:
        return DeployProblem(f"somebody is changing {path}: {lock.holder} has {lock.path}", "wait")
    # The host says where the file is: only its name gets into a line to paste.
    place = one_word(f"{path}/.git/{lock.path.rpartition('/')[2]}")
    text = f"{lock.path}: a git that was killed left it"
    return DeployProblem(text, f"rm {place}, and run it again")


def fault_hint(host: str, path: str, fault: str, owner: str) -> str:
    """What to do about `CheckoutFacts.error`, by its kind."""
    place = one_word(path)
    hints = {
        "missing": f"inv -H {host} manage; it clones it",
        "owner": release.closed_hint(path, owner, path, ""),  # or its mode: git says the same
        "space": f"make space: df -h {place}",
        "locked": f"wait; if no git runs, rm what this lists: find {place}/.git -name '*.lock'",
        "broken": f"mv {place} {one_word(path + '.broken')}; run `manage` (it clones), `deploy`",
        "fetch": f"check that the host reaches the origin: git -C {place} fetch origin",
        "name": f"choose one: inv -H {host} run -- git -C {one_word(path)} ls-remote origin",
    }
    return hints.get(fault, "check --ref, and that the host reaches the origin")


def _source_problems(
    checkout: CheckoutFacts, owner: str, restores: Release | None
) -> Iterator[DeployProblem]:
    """Settings that bring commits from elsewhere, run programs or hide changes.

    A rollback fetches nothing, and goes back to commits that were deployed; it must be able to
    change the checkout all the same.
    """
    if restores or not checkout.url:
        found = source.foreign_problems(checkout.path, checkout.source, owner)
    else:
        found = source.problems(checkout.path, checkout.source, checkout.url, owner)
    for item in found:
        hint = item.hint
        if item.is_origin:
            hint = f"look who changed it; `manage --only code` sets it back, or: {item.hint}"
        yield DeployProblem(f"{checkout.path}: {item.text}", hint)


# -- the host --------------------------------------------------------------------------------


def _host_problems(facts: DeployFacts) -> Iterator[DeployProblem]:
    about = f"-H {facts.host}"
    if facts.lock_owner:
        text = f"someone is changing it: {facts.lock_owner.describe()}"
        yield DeployProblem(text, f"wait, or see who: inv {about} lock.show")
    if facts.unit_loaded and facts.unit_user not in ("", facts.service_user):
        text = f"the unit would run as {facts.unit_user}, not as {facts.service_user}"
        where = f" ({', '.join(facts.unit_drop_ins)})" if facts.unit_drop_ins else ""
        # `manage` removes no drop-in, so it would not help.
        hint = "systemctl cat shows the file that sets it; correct it, then systemctl daemon-reload"
        yield DeployProblem(text + where, hint)
    elif facts.unit_problem:
        hint = systemd.hint_for(facts.unit, facts.unit_problem)
        yield DeployProblem(facts.unit_problem, hint)
    elif not facts.unit_loaded:
        yield DeployProblem("the service has no unit", f"inv {about} manage")
    if not facts.may_control:
        text = "the service account may not start and stop the unit"
        yield DeployProblem(text, f"inv {about} manage")
    if not facts.docker_answers:
        text = "docker does not answer: we could not check that jobs survive"
        command = "run --user root -- systemctl status docker"
        yield DeployProblem(text, f"inv {about} {command}")


def _disk_problems(facts: DeployFacts) -> Iterator[DeployProblem]:
    """Disks without room for what is written to them: one problem for each disk."""
    full: set[int] = set()
    for disk in facts.disks if facts.moves else ():
        text = _lack(disk, facts.database.size_bytes)
        if text and disk.device not in full:
            full.add(disk.device)
            what = WRITTEN.get(disk.kind, "it")
            yield DeployProblem(f"{text} for {what}", f"free space on the disk with {what}")


def _folder_problems(facts: DeployFacts) -> Iterator[DeployProblem]:
    """Records that cannot be read, and folders that a release could not write to."""
    for item in facts.releases:
        if item.unread:
            yield DeployProblem(
                item.problem, release.unread_hint(facts.state_dir, facts.service_user, item)
            )
    # A place may be above all of them.
    folders = {folder.place: folder for folder in facts.closed if facts.moves}
    for folder in folders.values():
        hint = folder_hint(facts.host, facts.state_dir, facts.service_user, folder)
        yield DeployProblem(folder_text(facts.service_user, folder), hint)


def folder_text(owner: str, folder: ClosedFolder) -> str:
    """A folder of releases that the `owner` cannot write, for people."""
    return f"{owner} cannot write to {folder.place}: {folder.why}"


def folder_hint(host: str, state_dir: str, owner: str, folder: ClosedFolder) -> str:
    """How to give a folder of releases back to its `owner`."""
    if not f"{folder.place}/".startswith(f"{state_dir}/"):
        return f"inv -H {host} manage"
    # The host says its name: only the last part gets into a line to paste.
    name = folder.name.rpartition("/")[2]
    place = release.known_place(state_dir, name, folder.place)
    return release.closed_hint(state_dir, owner, place, folder.why)


def _lack(disk: DeployDisk, database_bytes: int) -> str:
    """What a disk lacks; "" if it has enough."""
    copies = COPIES if disk.kind in ("state", "database") else 0
    need_bytes = database_bytes * copies + SPARE_BYTES
    if disk.free_bytes < need_bytes:
        return f"{size_text(disk.free_bytes)} free, {size_text(need_bytes)} needed"
    if disk.free_files < SPARE_FILES:
        return f"{disk.free_files} free inodes, {SPARE_FILES} needed"
    return ""


def database_problems(facts: DeployFacts) -> Iterator[DeployProblem]:
    """Why a release could not use the database."""
    database = facts.database
    if not database.exists:
        yield DeployProblem("there is no database", f"inv -H {facts.host} manage")
    elif database.is_damaged or (not database.error and database.quick_check != "ok"):
        text = f"the database is damaged: {database.error or database.quick_check}"
        yield DeployProblem(text, "first restore a snapshot")
    elif database.not_writable:
        owner = one_word(facts.service_user)
        text = f"the service account may not write the database: {database.not_writable}"
        yield DeployProblem(text, f"as root: chown {owner}: on what the message names")
    elif database.error:
        text = f"cannot read the database: {database.error}"
        yield DeployProblem(text, "find the program that has it open")


def _release_problems(facts: DeployFacts) -> Iterator[DeployProblem]:
    if facts.code.error or facts.lib.error or not (facts.code.moves or facts.lib.moves):
        return
    if facts.not_inspected:
        hint = "make space there, or give it back to the service account (chown, as root)"
        yield DeployProblem(f"cannot inspect the release: {facts.not_inspected}", hint)
    if not facts.import_error:
        return
    last = last_line(facts.import_error)
    text = f"{facts.code.target_name} cannot be imported with these dependencies: {last}"
    hint = "the release is broken; deploy another one"
    if facts.is_confined:
        hint = (
            "the release is broken, or it reads secrets, files or the network when it is imported,"
            " which it must not; deploy another one"
        )
    yield DeployProblem(text, hint, in_release=True)
