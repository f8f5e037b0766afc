"""Runs on the host, as the service account: a job's metadata.json, without the secrets in it.

job-runner's kill_job writes the container's environment there unmasked, including DATABASE_URL.
Anything that could be a secret is masked before it leaves the host. The request: ``path``.
"""

import json
from pathlib import Path
from typing import Any

from opstasks.onhost import masking
from opstasks.onhost.masking import MASK
from opstasks.onhost.protocol import Answer, HostRefusal, Request, error_text

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
# The fields with the environment of a container.
ENVIRONMENTS = ("env", "environment")


def masked(value: Any, key: str = "") -> Any:
    """A JSON value without anything that could be a secret."""
    if is_secret(key):
        return MASK if value not in (None, "", True, False) else value
    if key.lower() in ENVIRONMENTS:
        return _masked_environment(value)
    if isinstance(value, dict):
        return {masking.masked(str(name)): masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):  # perhaps the words of a command
            return masking.masked_words(value)
        return [masked(item) for item in value]
    return masking.masked(value) if isinstance(value, str) else value


def is_secret(key: str) -> bool:
    """Whether everything in a field is a secret; an address may have one anywhere."""
    is_address = key.lower().endswith("url") and key not in HARMLESS_URLS
    return is_address or masking.is_secret(key)


def _masked_environment(value: Any) -> Any:
    """The environment of a container: texts ``KEY=value``, or an object."""
    if isinstance(value, dict):
        shown = {name: masked_variable(f"{name}={item}") for name, item in value.items()}
        return {name: text.partition("=")[2] for name, text in shown.items()}
    if isinstance(value, list):
        return [masked_variable(str(item)) for item in value]
    return masked_variable(value) if isinstance(value, str) else MASK


def masked_variable(text: str) -> str:
    """One ``KEY=value`` of a container's environment."""
    key, equals, value = text.partition("=")
    if not equals:
        return MASK
    if key in SAFE_ENV and masking.masked(value) == value:
        return text
    return f"{masking.masked(key)}={MASK}"


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
