"""Runs on the host, as the service account: job-runner's configuration, without its secrets.

For a secret, the answer contains only whether it is set, and a fingerprint.
"""

from dataclasses import dataclass
from typing import Any

from opstasks.config.onhost.code_keys import keys_of_code
from opstasks.config.onhost.files import ReadFile, merged, read_file
from opstasks.config.onhost.reading import Reading
from opstasks.config.onhost.running import service_environment
from opstasks.config.onhost.secrecy import shown
from opstasks.config.onhost.shell_reader import ShellReader
from opstasks.config.onhost.systemd_reader import read_systemd
from opstasks.onhost.masking import is_secret, marked
from opstasks.onhost.protocol import Answer, Request


@dataclass(frozen=True)
class Readings:
    """Every file as the service and as a shell read it, and the running service's values.

    A shell's value is None if it is unknown.
    """

    names: list[str]
    services: list[Reading]
    shells: list[Reading]
    by_service: dict[str, str | None]
    by_shell: dict[str, str | None]
    running: dict[str, str] | None
    secret_keys: frozenset[str]
    marked: frozenset[str]


def main(request: Request) -> Answer:
    """Read `files`; `watched` are keys to read from the running service as well."""
    files = [read_file(path) for path in request["files"]]
    found = _readings(request, files)
    watched = (*request["watched"], *sorted(found.marked))
    dropped = [key for key in watched if key in (found.running or {})]
    keys = dict.fromkeys([*found.by_service, *found.by_shell, *dropped])
    public = [request["files"].index(path) for path in request["public_files"]]
    return {
        "keys": [_key(key, found) for key in keys],
        "files": [_file(n, item, found, n in public) for n, item in enumerate(files)],
        "code": keys_of_code(request["code_dir"]) if request["with_code"] else None,
        "seen_running": found.running is not None,
        "marked": sorted(found.marked),
    }


def _readings(request: Request, files: list[ReadFile]) -> Readings:
    """Read each file with both readers; a shell sees values from earlier files."""
    known: dict[str, str | None] = {}
    services, shells = [], []
    for item in files:
        reader = ShellReader(item.text, known)
        services.append(read_systemd(item.text))
        shells.append(reader.read())
        known = reader.known
    place = request["files"].index(request["secret_file"])
    in_secret_file = (*services[place].values(), *shells[place].values())
    typed = frozenset(key for item in files for key in marked(item.text))
    return Readings(
        names=[item.path.name for item in files],
        services=services,
        shells=shells,
        by_service=merged(services),
        by_shell=merged(shells),
        running=service_environment(request["unit"]),
        secret_keys=frozenset((*request["secret_keys"], *in_secret_file, *typed)),
        marked=typed,
    )


def _key(key: str, found: Readings) -> dict[str, Any]:
    """One key, with its values only if they are not secret."""
    service, shell = found.by_service.get(key), found.by_shell.get(key)
    running = (found.running or {}).get(key)
    secret = is_secret(key, [v for v in (service, shell, running) if v], found.secret_keys)
    setters = [name for name, n in _counts(key, found) if n]
    agreement = _agreement(key, found) if setters or key in found.by_shell else "same"
    differs = found.running is not None and running != service
    return {
        "name": key,
        "value": shown(key, service, secret),
        "source": setters[-1] if setters else "",
        "over": setters[:-1],
        "duplicate_in": [name for name, n in _counts(key, found) if n > 1],
        "secret": secret,
        "shell": agreement,
        "shell_text": shell if agreement == "other" and not secret else "",
        "running": shown(key, running, secret) if differs else None,
    }


def _counts(key: str, found: Readings) -> list[tuple[str, int]]:
    """How often the key is in each file, for the service."""
    counts = [sum(i.key == key for i in reading.assignments) for reading in found.services]
    return list(zip(found.names, counts, strict=True))


def _agreement(key: str, found: Readings) -> str:
    """A shell's value of a key, compared with the service's."""
    if key not in found.by_shell:
        return "unset"
    shell = found.by_shell[key]
    if shell is None or any(reading.lost for reading in found.shells):
        return "unknown"
    return "same" if shell == found.by_service.get(key) else "other"


def _file(n: int, item: ReadFile, found: Readings, is_public: bool) -> dict[str, Any]:
    """The facts of a file that may leave the host: a hash only for files without secrets."""
    problems = {*found.services[n].problems, *found.shells[n].problems}
    return {
        "name": item.path.name,
        "error": item.error,
        "sha256": item.sha256 if is_public else "",
        "stamp": item.stamp,
        "changed_at": item.changed_at,
        "mode": item.mode,
        "problems": sorted(problems),
    }
