"""Runs on the host, as the service account: a job's metadata.json, without the secrets in it.

job-runner's kill_job writes the container's environment there as it is, DATABASE_URL included,
so what could be a secret is taken out before anything leaves the host.
"""

import json
import re
from pathlib import Path
from typing import Any

MASK = "***"
SECRET_KEY = re.compile(r"(?i)url$|token|passw|secret|credential|licen[cs]e|private|auth|_key$|dsn")
# What job-runner itself takes for harmless.
SAFE_ENV = {
    "PATH",
    "PYTHON_VERSION",
    "DEBIAN_FRONTEND",
    "DEBCONF_NONINTERACTIVE_SEEN",
    "UBUNTU_VERSION",
    "PYENV_SHELL",
    "PYENV_VERSION",
    "PYTHONUNBUFFERED",
    "OPENSAFELY_BACKEND",
    "TZ",
    "TEMP_DATABASE_NAME",
    "PYTHONPATH",
    "container",
    "LANG",
    "LC_ALL",
}
# Anything with a password in front of a host, wherever it stands.
WITH_PASSWORD = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@]*:[^\s@]*@\S*")
HARMLESS_URLS = ("repo_url", "action_repo_url")


def masked(value: Any, key: str = "") -> Any:
    """A JSON value without what could be a secret."""
    if isinstance(value, dict):
        return {name: masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        if key.lower() == "env":
            return [masked_variable(str(item)) for item in value]
        return [masked(item, key) for item in value]
    if key and key not in HARMLESS_URLS and SECRET_KEY.search(key):
        return MASK if value not in (None, "", True, False) else value
    return WITH_PASSWORD.sub(MASK, value) if isinstance(value, str) else value


def masked_variable(text: str) -> str:
    """One ``KEY=value`` of a container's environment."""
    key, _, value = text.partition("=")
    if key in SAFE_ENV and not WITH_PASSWORD.search(value):
        return text
    return f"{key}={MASK}"


def unmasked_variables(metadata: Any) -> list[str]:
    """The names of the variables whose values stand in the file, other than harmless ones."""
    config = (metadata.get("container_metadata") or {}).get("Config") or {}
    pairs = [str(item).partition("=") for item in config.get("Env") or []]
    return [k for k, _, v in pairs if k not in SAFE_ENV and v and "REDACTED" not in v]


def main(request: str) -> None:
    """Print the metadata, or the names of the variables that stand in it unmasked."""
    asked = json.loads(request)
    try:
        found = json.loads(Path(asked["path"]).read_text())
    except (OSError, ValueError) as error:
        print(json.dumps({"error": str(error)}))
        return
    print(json.dumps({"metadata": masked(found), "exposed": unmasked_variables(found)}))
