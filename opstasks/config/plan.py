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
from opstasks.core.command import Secret
from opstasks.core.errors import Refused
from opstasks.onhost.masking import is_secret, needs_mark

# Keys with their new values: a `Secret` if it was typed as one. None removes a key.
Wanted = Mapping[str, str | Secret | None]


@dataclass(frozen=True)
class ConfigStep:
    """What a change does to one key; a secret is shown as its fingerprint.

    `source` is the file that sets it now. `wanted` is None if the override is removed: then the
    value in `falls_back_to` applies again ("" if no other file sets the key). `after` is the value
    that was read after the change.
    """

    key: str
    now: ConfigValue
    wanted: ConfigValue | None
    source: str = ""
    falls_back_to: str = ""
    after: ConfigValue | None = None

    @property
    def is_override(self) -> bool:
        """Whether the local file sets the key now."""
        return self.source == LOCAL_FILE

    def wanted_text(self) -> str:
        """The wanted value, for people."""
        if self.wanted is not None:
            return self.wanted.describe()
        return f"the value in {self.falls_back_to}" if self.falls_back_to else "not set"

    def after_text(self) -> str:
        """The value after the change, for people."""
        return self.wanted_text() if self.after is None else self.after.describe()


@dataclass(frozen=True)
class ConfigPlan:
    """What a change does to one host; `stamp` identifies the local file that it was made from.

    It can be shown, because it contains no secret values. `local_changed_at` is when the local file
    was last written, in seconds since the epoch (0 if it is unknown). `unread`: job-runner does
    not read one of the keys.
    """

    steps: tuple[ConfigStep, ...] = ()
    stamp: str = ""
    notes: tuple[str, ...] = ()
    local_changed_at: float = 0.0
    unread: bool = False

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
    unread = [key for key in wanted if not is_known(key, found, described)]
    for key in unread:
        if wanted[key] is not None and not unknown:
            raise Refused(
                f"job-runner does not read {key}{suggestion(key, found, described)}",
                hint="add --unknown to set it anyway",
            )
    if found.files[0].error and found.files[-1].error:
        raise Refused(f"neither {FILES[0]} nor {LOCAL_FILE} can be read")
    secrets = secret_keys(described)
    return ConfigPlan(
        steps=steps(found, wanted, secrets),
        stamp=found.files[-1].stamp,
        notes=notes(found, wanted),
        local_changed_at=found.files[-1].changed_at,
        unread=bool(unread),
    )


def typed_secrets(wanted: Wanted) -> tuple[str, ...]:
    """The keys whose new values were typed as secrets, whatever their names are."""
    return tuple(key for key, value in wanted.items() if isinstance(value, Secret))


def steps(found: HostConfig, wanted: Wanted, secrets: Collection[str]) -> tuple[ConfigStep, ...]:
    """The change of each key; none for a key that both readers already read as wanted."""
    secrets = {*secrets, *found.marked, *typed_secrets(wanted)}
    made = (_step(found, key, value, secrets) for key, value in wanted.items())
    return tuple(step for step in made if step is not None)


def _step(
    found: HostConfig, key: str, wanted: str | Secret | None, secrets: Collection[str]
) -> ConfigStep | None:
    now = found.get(key) or ConfigKey(key, ConfigValue())
    if wanted is None:
        if now.source != LOCAL_FILE:
            return None
        falls_back_to = now.over[-1] if now.over else ""
        return ConfigStep(key, now.value, None, LOCAL_FILE, falls_back_to)
    value = wanted.value if isinstance(wanted, Secret) else wanted
    if now.secret or is_secret(key, [value], secrets):
        new = ConfigValue(True, "", fingerprint(key, value) if value else "")
    else:
        new = ConfigValue(True, value)
    must_mark = isinstance(wanted, Secret) and needs_mark(key, found.marked)
    if now.value == new and now.shell == "same" and not must_mark:
        return None
    return ConfigStep(key, now.value, new, now.source)


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
