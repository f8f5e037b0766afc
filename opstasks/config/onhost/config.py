"""Runs on the host, as the service account: job-runner's configuration, read and changed.

`main` gets a JSON request and prints a JSON answer. A secret's value does not leave the host: of
it the answer holds only whether it is set, and a fingerprint. The one exception is ``values``,
which `db.progress` needs to log in to the database from here.
"""

import ast
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from opstasks.config.onhost.envfile import Assignment, Reading, Shell, line_of, systemd

SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|LICEN[CS]E|HEADERS|HASH|DSN|DATABASE_URL|_KEY|API_?KEY",
    re.IGNORECASE,
)
SECRET_VALUE = re.compile(r"://[^/@\s]*:[^/@\s]*@")
Facts = dict[str, Any]


class ConfigError(Exception):
    """The change cannot be made; nothing was touched."""


# -- reading ----------------------------------------------------------------------------------


def read_file(path: str) -> Facts:
    """A file's text and what `stat` says of it."""
    place = Path(path)
    try:
        info = place.lstat()
        data = place.read_bytes()
    except OSError as error:
        return {"path": path, "text": "", "error": error.strerror or "cannot be read"}
    return {
        "path": path,
        "text": data.decode("utf-8", "surrogateescape"),
        "sha256": hashlib.sha256(data).hexdigest(),
        "stamp": f"{info.st_ino}-{info.st_mtime_ns}-{info.st_size}",
        "changed": info.st_mtime,
        "mode": f"{info.st_mode & 0o7777:04o}",
        "link": place.is_symlink(),
        "error": "",
    }


def outward(item: Facts, ours: list[str]) -> Facts:
    """What may be told of a file: a hash only of those that hold no secrets."""
    hidden = {"text"} if item["path"] in ours else {"text", "sha256"}
    return {key: value for key, value in item.items() if key not in hidden}


def fingerprint(key: str, value: str) -> str:
    """Eight digits that tell two values apart, and say the same on every host.

    The key is the salt, and many rounds make guessing a short value slow.
    """
    made = hashlib.pbkdf2_hmac("sha256", value.encode("utf-8", "replace"), key.encode(), 50_000)
    return made.hex()[:8]


def is_secret(key: str, values: list[str], secret_keys: set[str]) -> bool:
    """Whether a key's value must stay on the host; rather once too often."""
    return (
        key in secret_keys
        or bool(SECRET_NAME.search(key))
        or any(SECRET_VALUE.search(value) for value in values)
    )


def shown(key: str, value: str | None, secret: bool) -> Facts:
    """A value as it may leave the host."""
    if value is None:
        return {"set": False}
    if not secret:
        return {"set": True, "value": value}
    return {"set": True, "fingerprint": fingerprint(key, value) if value else ""}


def read_all(texts: list[str]) -> tuple[list[Reading], list[Reading]]:
    """Each file as systemd and as a shell read it; a shell sees what earlier files have set."""
    known: dict[str, str | None] = {}
    shells = []
    for text in texts:
        reader = Shell(text, known)
        shells.append(reader.read())
        known = reader.known
    return [systemd(text) for text in texts], shells


def merged(readings: list[Reading]) -> dict[str, str | None]:
    """The last word on each key."""
    found: dict[str, str | None] = {}
    for reading in readings:
        found.update(reading.values())
    return found


def secret_names(asked: Facts, readings: list[Reading], shells: list[Reading]) -> set[str]:
    """Keys that the request calls secret, and all that stand in the file of secrets."""
    place = asked["files"].index(asked["secret_file"])
    return {*asked["secret_keys"], *readings[place].values(), *shells[place].values()}


def describe(asked: Facts, files: list[Facts]) -> Facts:
    """Every key: who sets it, to what, and where a shell or the running service differ."""
    texts = [item["text"] for item in files]
    services, shells = read_all(texts)
    secrets = secret_names(asked, services, shells)
    running = environment(*service_process(asked["unit"]))
    by_service, by_shell = merged(services), merged(shells)
    lost = any(item.lost for item in shells)
    keys = list(dict.fromkeys([*by_service, *by_shell]))
    gone = [key for key in asked["watched"] if key in (running or {}) and key not in keys]
    values = (by_service, by_shell, running)
    return {
        "keys": [
            one_key(key, services, values, secrets, lost=lost and key in by_shell)
            for key in [*keys, *gone]
        ],
        "problems": [
            [number, line, text]
            for number in range(len(files))
            for line, text in sorted({*services[number].problems, *shells[number].problems})
        ],
        "running": running is not None,
    }


def one_key(
    key: str,
    services: list[Reading],
    values: tuple[dict[str, str | None], dict[str, str | None], dict[str, str] | None],
    secrets: set[str],
    *,
    lost: bool,
) -> Facts:
    """One key, its values only where they are no secret."""
    by_service, by_shell, running = values
    service, shell = by_service.get(key), by_shell.get(key)
    known = [value for value in (service, shell, (running or {}).get(key)) if value]
    secret = is_secret(key, known, secrets)
    setters = [n for n, reading in enumerate(services) if key in reading.values()]
    counts = [sum(item.key == key for item in reading.assignments) for reading in services]
    if lost or (key in by_shell and shell is None):
        agreement = "unknown"
    elif key not in by_shell:
        agreement = "unset"
    else:
        agreement = "same" if shell == service else "other"
    fact = {
        "key": key,
        "secret": secret,
        "service": shown(key, service, secret),
        "shell": agreement,
        "setters": setters,
        "twice": [n for n, count in enumerate(counts) if count > 1],
    }
    if agreement == "other" and not secret:
        fact["shell_value"] = shell
    if running is not None:
        fact["running"] = "same" if running.get(key) == service else "other"
        if fact["running"] == "other":
            fact["running_value"] = shown(key, running.get(key), secret)
    return fact


def service_process(unit: str) -> tuple[int, str]:
    """The service's process (0 when it does not run) and the group that it runs as."""
    done = subprocess.run(
        ["systemctl", "show", "--property=MainPID,Group", "--", unit],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return int(found.get("MainPID") or 0), found.get("Group", "")


def environment(pid: int, group: str) -> dict[str, str] | None:
    """What the running service was started with; None where that cannot be read."""
    if not pid:
        return None
    place = Path(f"/proc/{pid}/environ")
    try:
        data = place.read_bytes()
    except OSError:
        # The kernel wants the group to be the same as well; ours is another one.
        if not re.fullmatch(r"[a-z_][a-z0-9_-]*", group) or not shutil.which("sg"):
            return None
        done = subprocess.run(
            ["sg", group, "-c", f"cat {place}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        data = done.stdout
    pairs = (item.partition("=") for item in data.decode("utf-8", "surrogateescape").split("\0"))
    return {key: value for key, _, value in pairs if key} or None


def values(asked: Facts) -> dict[str, str | None]:
    """Some keys as the service gets them."""
    found = merged([systemd(read_file(path)["text"]) for path in asked["files"]])
    return {key: found.get(key) for key in asked["keys"]}


# -- which keys the code reads ----------------------------------------------------------------


def keys_of_code(code: str) -> Facts:
    """Names that the code reads: `required` without a default, `optional`, and patterns."""
    found: dict[str, set[str]] = {"required": set(), "optional": set(), "patterns": set()}
    for path in sorted(Path(code, "jobrunner").rglob("*.py")):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                for kind, name in key_of(node):
                    found[kind].add(name)
    return {kind: sorted(names) for kind, names in found.items()}


def key_of(node: ast.AST) -> list[tuple[str, str]]:
    """What one piece of syntax reads: ``os.environ["A"]``, ``.get("A")``, ``"A" in os.environ``."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return _names("required", node.slice) if _is_environ(node.value) else []
    if isinstance(node, ast.Call) and node.args:
        function = node.func
        if isinstance(function, ast.Attribute) and (
            (function.attr in ("get", "pop", "setdefault") and _is_environ(function.value))
            or function.attr == "getenv"
        ):
            return _names("optional", node.args[0])
    if isinstance(node, ast.Compare) and any(_is_environ(item) for item in node.comparators):
        return _names("optional", node.left)
    return []


def _is_environ(node: ast.AST) -> bool:
    return ast.unparse(node) in ("os.environ", "environ", "env")


def _names(kind: str, node: ast.AST) -> list[tuple[str, str]]:
    """The name, or for an f-string the pattern of names that it can make."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [(kind, node.value)]
    if isinstance(node, ast.JoinedStr):
        parts = [
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[A-Z0-9_]+"
            for part in node.values
        ]
        return [("patterns", "".join(parts))]
    return []


# -- changing ---------------------------------------------------------------------------------


def plain(value: str) -> bool:
    """Whether a value needs no quotes in either language."""
    return bool(re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]*", value))


def quoted(value: str) -> str:
    """A value as both readers read it back; it holds no control characters."""
    if plain(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def assign(text: str, key: str, value: str) -> str:
    """The text with a key's last assignment replaced where it stands, or added at the end."""
    line = f"{key}={quoted(value)}"
    places = [item for item in systemd(text).assignments if item.key == key]
    if places:
        last = places[-1]
        return text[: last.start] + line + text[last.end :]
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}{line}\n"


def remove(text: str, key: str) -> str:
    """The text without a key's assignments; comments stay."""
    places = [item for item in systemd(text).assignments if item.key == key]
    for item in reversed(places):
        start, end = _whole_lines(text, item)
        text = text[:start] + text[end:]
    return text


def _whole_lines(text: str, item: Assignment) -> tuple[int, int]:
    """An assignment with the blanks before it and the end of its line."""
    start = text.rfind("\n", 0, item.start) + 1
    start = start if not text[start : item.start].strip() else item.start
    end = item.end
    while end < len(text) and text[end] == "\r":
        end += 1
    return start, end + 1 if text[end : end + 1] == "\n" else end


def edited(text: str, wanted: dict[str, str | None]) -> str:
    """The text with every wanted change made, read back by both readers."""
    before = {key: systemd(text).values().get(key) for key in systemd(text).values()}
    new = text
    for key, value in wanted.items():
        new = remove(new, key) if value is None else assign(new, key, value)
    service, shell = systemd(new), Shell(new).read()
    for key, value in wanted.items():
        if service.values().get(key) != value:
            raise ConfigError(f"{key} would not be what it should: an open quote or a comment?")
        if not shell.lost and shell.values().get(key) != value:
            lines = [line_of(new, i.start) for i in shell.assignments if i.key == key]
            where = f"line {lines[-1]}" if lines else "a line"
            raise ConfigError(f"{where} of the file stands in the way of {key} in a shell")
    for key, old in before.items():
        if key not in wanted and service.values().get(key) != old:
            raise ConfigError(f"{key} would change as well: an open quote or a comment?")
    return new


def replace_file(path: Path, text: str) -> None:
    """Write beside the file, keep the old one as .bak, rename: at every moment one is whole."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    staged = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fsync(stream.fileno())
        staged.chmod(path.stat().st_mode & 0o7777 if path.exists() else 0o640)
        if path.exists():
            backup = path.with_name(path.name + ".bak")
            backup.unlink(missing_ok=True)
            shutil.copy2(path, backup)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def try_import(asked: Facts, env: dict[str, str]) -> str:
    """Why job-runner would not start with this environment; empty when it would.

    Only the exception's type leaves the host: its text may hold a value.
    """
    code = asked["code"]
    if not Path(code, "jobrunner", "config.py").is_file():
        return ""
    script = (
        "import sys\ntry:\n import jobrunner.config\n"
        "except Exception as error: print(type(error).__name__); sys.exit(3)"
    )
    base = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    done = subprocess.run(
        ["python3", "-B", "-c", script],
        env={**base, **env, "PYTHONPATH": f"{code}:{asked['lib']}"},
        cwd=code,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 3 else ""


def change(asked: Facts) -> Facts:
    """Make the changes to the local file, unless something speaks against them."""
    files = [read_file(path) for path in asked["files"]]
    local = files[-1]
    if local.get("link"):
        raise ConfigError(f"{local['path']} is a link: it would be replaced")
    if local["error"] and Path(local["path"]).exists():
        raise ConfigError(f"{local['path']}: {local['error']}")
    new = edited(local["text"], asked["wanted"])
    service = merged([systemd(item["text"]) for item in files[:-1]] + [systemd(new)])
    env = {key: value for key, value in service.items() if value is not None}
    old = {
        key: value
        for key, value in merged([systemd(item["text"]) for item in files]).items()
        if value is not None
    }
    reason = try_import(asked, env)
    if reason and not try_import(asked, old):
        raise ConfigError(f"job-runner would not start with it: {reason} in jobrunner.config")
    if new == local["text"]:
        return {"changed": False}
    if not asked["dry"]:
        if local.get("stamp", "") != asked["stamp"]:
            raise ConfigError("the file has changed since it was looked at")
        replace_file(Path(local["path"]), new)
    return {"changed": True}


def main(request: str) -> None:
    """Answer a request: ``show``, ``change``, or ``values`` of keys, secrets included."""
    asked = json.loads(request)
    try:
        if asked["do"] == "change":
            print(json.dumps(change(asked)))
            return
        if asked["do"] == "values":
            print(json.dumps({"values": values(asked)}))
            return
        files = [read_file(path) for path in asked["files"]]
        answer = describe(asked, files)
        answer["files"] = [outward(item, asked["ours"]) for item in files]
        answer["code"] = keys_of_code(asked["code"]) if asked["with_code"] else None
        print(json.dumps(answer))
    except (ConfigError, OSError, subprocess.SubprocessError) as error:
        print(json.dumps({"error": str(error) or type(error).__name__}))
