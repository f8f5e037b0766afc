"""Runs on the host, as the service account: a job's metadata.json, without the secrets in it.

job-runner's kill_job writes the container's environment there unmasked, including DATABASE_URL.
Anything that could be a secret is masked before it leaves the host. The request: ``path``.
"""

import json
import re
from pathlib import Path
from typing import Any

from opstasks.onhost import masking
from opstasks.onhost.masking import MASK
from opstasks.onhost.protocol import Answer, HostRefusal, Request, error_text

SECRET_KEY = re.compile(r"(?i)url$|token|passw|secret|credential|licen[cs]e|private|auth|_key$|dsn")
# The variables that job-runner itself treats as harmless.
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
HARMLESS_URLS = ("repo_url", "action_repo_url")


def masked(value: Any, key: str = "") -> Any:
    """A JSON value without anything that could be a secret."""
    if isinstance(value, dict):
        return {name: masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        if key.lower() == "env":
            return [masked_variable(str(item)) for item in value]
        if all(isinstance(item, str) for item in value):  # perhaps the words of a command
            value = masking.masked_words(value)
        return [masked(item, key) for item in value]
    if key and key not in HARMLESS_URLS and SECRET_KEY.search(key):
        return MASK if value not in (None, "", True, False) else value
    return masking.masked(value) if isinstance(value, str) else value


def masked_variable(text: str) -> str:
    """One ``KEY=value`` of a container's environment."""
    key, _, value = text.partition("=")
    if key in SAFE_ENV and masking.masked(value) == value:
        return text
    return f"{key}={MASK}"


def unmasked_variables(metadata: Any) -> list[str]:
    """The names of variables whose values are unmasked in the file, without harmless ones."""
    variables = metadata
    for name in ("container_metadata", "Config", "Env"):
        variables = variables.get(name) if isinstance(variables, dict) else None
    pairs = [str(item).partition("=") for item in variables or ()]
    return [k for k, _, v in pairs if k not in SAFE_ENV and v and "REDACTED" not in v]


def main(request: Request) -> Answer:
    """Answer with the masked metadata, and the names of variables unmasked in the file."""
    path = request["path"]
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise HostRefusal(f"cannot read {path}: {error_text(error)}") from error
    return {"metadata": masked(found), "exposed": unmasked_variables(found)}
