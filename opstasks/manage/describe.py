"""The description of a backend: backends/base/host.yaml with backends/NAME/host.yaml over it.

A later entry for the same thing (the same path or name) replaces the earlier one's keys; lists
of people are combined. File contents come from ``files/`` beside the description, the backend's own
first; people's keys from ``keys/``. Paths and contents may have placeholders: ``@home@
@service_user@ @unit@ @host@ @backend@ @high_privacy@ @medium_privacy@ @state_dir@ @lock_dir@
@code_url@ @code_ref@ @lib_url@ @lib_ref@ @vars.NAME@``.

Everything is checked before any connection is made; every mistake names its file and key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import msgspec

from opstasks.core.errors import Refused
from opstasks.core.lines import hidden_sign
from opstasks.deploy.source import is_same_url
from opstasks.fleet import trusted_files
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.named_files import home_path, is_folder
from opstasks.manage import keys, people
from opstasks.manage.layers import fill, merged, read_layer, refused, typed
from opstasks.manage.mistakes import mistakes
from opstasks.manage.model import Description, Directory, File
from opstasks.sync import units as sync

ENVIRONMENT = "OPSTASKS_BACKENDS"
BASE = "base"
Fetch = Callable[[str, Iterable[str]], dict[str, Any]]


def describe_all(
    specs: Iterable[HostSpec], *, fetch: Fetch | None = None, upgrade: bool = False
) -> dict[str, Description]:
    """The description of every host by name; raises Refused with all mistakes."""
    specs = list(specs)
    read = {spec.name: describe(spec) for spec in specs}
    answers = _answers(read.values(), fetch or _fetch)
    found = {}
    for spec in specs:
        wanted = read[spec.name]
        rings = {
            name: people.Keyring(
                _repository_keys(name, wanted, spec),
                answers.get((wanted.options.key_source, name), ()),
            )
            for name in wanted.listed()
        }
        options = msgspec.structs.replace(wanted.options, upgrade=wanted.options.upgrade or upgrade)
        complete = people.with_people(wanted, rings)
        found[spec.name] = msgspec.structs.replace(complete, options=options)
    return found


def _answers(
    described: Iterable[Description], fetch: Fetch
) -> dict[tuple[str, str], people.FoundKeys]:
    """The key sources' answers for the listed people, by source and name."""
    asked: dict[str, set[str]] = {}
    for wanted in described:
        if wanted.options.key_source:
            asked.setdefault(wanted.options.key_source, set()).update(wanted.listed())
    return {
        (source, name): found
        for source, names in asked.items()
        for name, found in fetch(source, sorted(names)).items()
    }


def _fetch(source: str, names: Iterable[str]) -> dict[str, Any]:
    from opstasks.manage import keysource

    return keysource.fetch(source, names)


def describe(spec: HostSpec) -> Description:
    """The description of one host, without people's accounts; raises Refused.

    Placeholders are filled in, and everything that does not need the host is checked.
    """
    root = folder(spec)
    if spec.local and not spec.backend:
        raise Refused(
            "this machine is not a host of hosts.yaml",
            hint="name one with -H; on a host itself, hosts.yaml needs its `hostname`",
        )
    if spec.backend not in descriptions(root):
        raise _not_described(spec, root)
    folders = [base_folder(root), root.joinpath(spec.backend)]
    folders = [place for place in folders if place.joinpath("host.yaml").is_file()]
    raw = merged([read_layer(place, spec) for place in folders])
    values = placeholders(spec)
    wanted = typed(fill(raw, values, "host.yaml", spec), spec)
    contents = {
        file.path: fill(_source(folders, file.source, spec), values, file.source, spec)
        for file in wanted.files
    }
    wanted = msgspec.structs.replace(wanted, contents=contents, kept_in=spec.kept_in)
    wrong = [*mistakes(wanted), *_sync_mistakes(wanted, spec), *_url_mistakes(wanted, spec)]
    if wrong:
        raise refused(wrong, spec)
    return with_sync(wanted, spec)


def _not_described(spec: HostSpec, root: Traversable) -> Refused:
    """The error for a host without a description; says where it was looked for."""
    known = descriptions(root)
    hint = f"set `backend` in hosts.yaml to one of {', '.join(sorted(known))}"
    if not known:
        hint = "set `backends` in hosts.yaml to your folder of descriptions"
    return Refused(
        f"no description for backend {spec.backend!r} in {shown_folder(spec)}",
        host=spec.name,
        hint=hint,
    )


def descriptions(root: Traversable) -> set[str]:
    """The backends that a folder describes, without the base, which is never used alone."""
    return {f.name for f in root.iterdir() if f.joinpath("host.yaml").is_file()} - {BASE}


def is_described(spec: HostSpec) -> bool:
    """Whether a host names a description: a backend, in a folder of its own or of a checkout.

    An installed opstasks has a base, but no description of any backend.
    """
    return bool(spec.backend) and bool(_named(spec) or descriptions(folder(spec)))


def with_sync(wanted: Description, spec: HostSpec) -> Description:
    """The description with the Level 3 sync's files, for a host that has a sync source.

    `sync.start` and `sync.stop` decide whether the timer runs.
    """
    if not spec.level3_source:
        return wanted
    place = Directory(path=sync.folder(), owner="root", group="root", mode="0755", area="service")
    texts = sync.files(spec)
    files = [
        File(
            path=path,
            source="",
            owner="root",
            group="root",
            mode="0644",
            area="service",
            reload="daemon" if path.startswith(sync.UNIT_DIR) else "",
        )
        for path in texts
    ]
    return msgspec.structs.replace(
        wanted,
        directories=(*wanted.directories, place),
        files=(*wanted.files, *files),
        contents={**wanted.contents, **texts},
    )


def _sync_mistakes(wanted: Description, spec: HostSpec) -> Iterator[str]:
    for path in sync.files(spec) if spec.level3_source else ():
        if path in wanted.contents:
            yield f"files: {path}: belongs to the Level 3 sync (level3_source in hosts.yaml)"


def _url_mistakes(wanted: Description, spec: HostSpec) -> Iterator[str]:
    """Differing addresses: `deploy` compares with hosts.yaml, `manage` with the description."""
    places = {spec.code_dir: ("code", spec.deploy.code), spec.lib_dir: ("lib", spec.deploy.lib)}
    for checkout in wanted.checkouts:
        name, repo = places.get(checkout.path, ("", None))
        if repo and not is_same_url(repo.url, checkout.url):
            yield f"checkouts: {checkout.path}: url differs from deploy.{name}.url in hosts.yaml"


def folder(spec: HostSpec) -> Traversable:
    """The folder of a host's description and of the keys of its people.

    $OPSTASKS_BACKENDS, else `backends` of the host in hosts.yaml, else the built-in folder: in a
    checkout it describes backends; an installed opstasks has only the base there.
    """
    named = _named(spec)
    if not named:
        return resources.files("opstasks.backends")
    path = home_path(named)
    if not is_folder(path):
        origin = f"${ENVIRONMENT}" if os.environ.get(ENVIRONMENT) else "backends in hosts.yaml"
        raise Refused(f"{origin}: {named!r} is not a folder", host=spec.name, hint="correct it")
    if reason := trusted_files.tree_problem(path):
        raise Refused(
            f"the backends in {named!r} are not used: {reason}",
            host=spec.name,
            hint="root would get what is in it: make it yours, and chmod go-w it",
        )
    return path


def _named(spec: HostSpec) -> str:
    """The folder of descriptions that the operator names; "" for none."""
    return os.environ.get(ENVIRONMENT) or spec.backends


def base_folder(root: Traversable) -> Traversable:
    """The base for the descriptions in a folder: its own, else the built-in one.

    A folder of $OPSTASKS_BACKENDS replaces all built-in ones, and may have no base.
    """
    own = root.joinpath(BASE)
    if os.environ.get(ENVIRONMENT) or own.joinpath("host.yaml").is_file():
        return own
    return resources.files("opstasks.backends").joinpath(BASE)


def shown_folder(spec: HostSpec) -> str:
    """The path for people: relative to the current folder if it is below it."""
    return _shown(folder(spec))


def _shown(place: Traversable) -> str:
    path, here = Path(str(place)).absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def origins(specs: Iterable[HostSpec]) -> list[str]:
    """Which descriptions apply, for people: one line for each folder, with its backends."""
    found: dict[tuple[str, str], set[str]] = {}
    for spec in specs:
        root = folder(spec)
        base = base_folder(root)
        place = _shown(root), _shown(base) if base.joinpath("host.yaml").is_file() else "none"
        found.setdefault(place, set()).add(spec.backend)
    return [
        f"descriptions: {root} ({', '.join(sorted(names))}), base: {base}"
        for (root, base), names in sorted(found.items())
    ]


def placeholders(spec: HostSpec) -> dict[str, str]:
    """The values of placeholders, by name."""
    return {
        "home": spec.home,
        "service_user": spec.service_user,
        "unit": spec.unit,
        "host": spec.name,
        "backend": spec.backend,
        "high_privacy": spec.high_privacy,
        "medium_privacy": spec.medium_privacy,
        "state_dir": spec.state_dir,
        "lock_dir": spec.lock_dir,
        "code_url": spec.deploy.code.url,
        "code_ref": spec.deploy.code.ref,
        "lib_url": spec.deploy.lib.url,
        "lib_ref": spec.deploy.lib.ref,
        "file": "@file@",
        **{f"vars.{name}": _as_written(value) for name, value in spec.vars.items()},
    }


def _as_written(value: str | int | bool) -> str:
    """A value as it is in hosts.yaml: `true`, not Python's `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _source(folders: list[Traversable], name: str, spec: HostSpec) -> str:
    for place in reversed(folders):
        path = place.joinpath("files", name)
        if path.is_file():
            try:
                return _text_below(Path(str(place)).parent, Path(str(path)))
            except (OSError, ValueError) as error:
                raise Refused(f"backends: files/{name}: {error}", host=spec.name) from error
    names = " or ".join(f"backends/{place.name}/files" for place in reversed(folders))
    raise Refused(f"no file {name!r} under {names}", host=spec.name)


def _text_below(root: Path, path: Path) -> str:
    """The text of a file of the descriptions, for a host; raises ValueError for any other file.

    A path or a link could lead to a file of the operator, such as a private key.
    """
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"it is not below {root}")
    text = path.read_bytes().decode()
    if found := hidden_sign(text):
        raise ValueError(found)
    return text.replace("\r\n", "\n")


def _repository_keys(name: str, wanted: Description, spec: HostSpec) -> tuple[keys.SshKey, ...]:
    """A person's keys in the repository; may be missing only with a key source."""
    path = folder(spec).joinpath("keys", name)
    if not path.is_file() and wanted.options.key_source:
        return ()
    try:
        found = keys.parse(path.read_bytes().decode())
    except (OSError, UnicodeDecodeError, keys.NotAKey) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(
            f"backends/keys/{name}: {reason}",
            host=spec.name,
            hint=f"put {name}'s public keys there, or remove {name} from `people`",
        ) from error
    if not found:
        raise Refused(f"backends/keys/{name}: has no key", host=spec.name)
    return found
