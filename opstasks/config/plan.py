"""What `config.set` and `config.unset` will do, decided from the configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from opstasks.config.check import is_known, suggestion
from opstasks.config.keys import (
    FILES,
    LOCAL_FILE,
    SECRETS_FILE,
    ConfigKey,
    ConfigValue,
    HostConfig,
    secret_keys,
)
from opstasks.config.onhost.secrecy import fingerprint
from opstasks.core.errors import Refused
from opstasks.onhost.masking import is_secret

# Keys with their new values; None removes a key.
Wanted = Mapping[str, str | None]


@dataclass(frozen=True)
class ConfigStep:
    """What a change does to one key, for people; a secret as its fingerprint."""

    key: str
    now: str
    wanted: str
    source: str = ""


@dataclass(frozen=True)
class ConfigPlan:
    """What a change does to one host; `stamp` identifies the local file that it was made from.

    It can be shown, because it contains no secret values.
    """

    steps: tuple[ConfigStep, ...] = ()
    stamp: str = ""
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.steps)


def make_plan(
    found: HostConfig, wanted: Wanted, described: Mapping[str, str], *, unknown: bool
) -> ConfigPlan:
    """Plan a change; `described` are the files as backends/ describes them.

    Raises Refused for a key that job-runner does not read, unless `unknown`.
    """
    for key, value in wanted.items():
        if value is not None and not unknown and not is_known(key, found, described):
            raise Refused(
                f"job-runner does not read {key}{suggestion(key, found, described)}",
                hint="add --unknown to set it anyway",
            )
    if found.files[0].error and found.files[-1].error:
        raise Refused(f"neither {FILES[0]} nor {LOCAL_FILE} can be read", hint="run `manage` first")
    secrets = secret_keys(described)
    return ConfigPlan(
        steps=steps(found, wanted, secrets),
        stamp=found.files[-1].stamp,
        notes=notes(found, wanted),
    )


def steps(found: HostConfig, wanted: Wanted, secrets: Collection[str]) -> tuple[ConfigStep, ...]:
    """The change of each key; none for a key that both readers already read as wanted."""
    made = (_step(found, key, value, secrets) for key, value in wanted.items())
    return tuple(step for step in made if step is not None)


def _step(
    found: HostConfig, key: str, value: str | None, secrets: Collection[str]
) -> ConfigStep | None:
    now = found.get(key) or ConfigKey(key, ConfigValue())
    if value is None:
        if now.source != LOCAL_FILE:
            return None
        after = f"the value in {now.over[-1]}" if now.over else "not set"
        return ConfigStep(key, now.value.describe(), after, LOCAL_FILE)
    if now.secret or is_secret(key, [value], secrets):
        new = ConfigValue(True, "", fingerprint(key, value) if value else "")
    else:
        new = ConfigValue(True, value)
    if now.value == new and now.shell == "same":
        return None
    return ConfigStep(key, now.value.describe(), new.describe(), now.source)


def notes(found: HostConfig, wanted: Wanted) -> tuple[str, ...]:
    """Notes on a change, for people."""
    made = []
    for key, value in wanted.items():
        now = found.get(key)
        if value is None and now and now.source and now.source != LOCAL_FILE:
            made.append(f"{key} comes from {now.source}, which stays unchanged")
        if value is None and not (now and now.source):
            near = get_close_matches(key, [item.name for item in found.keys], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            made.append(f"nothing sets {key}{hint}")
        if value is not None and now and now.secret:
            made.append(f"{key} is a secret: keep it in {SECRETS_FILE} (mode 0600) for good")
    return tuple(made)
