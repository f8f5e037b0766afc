"""Runs on the host as root: what is in effect there, whatever the files of a description say.

It changes nothing. The request is an `opstasks.manage.effect_facts.EffectRequest`, the answer an
`EffectFacts`. `manage` asks as a part of its inspection, `doctor` asks for this alone.
"""

from typing import Any

from opstasks.manage.onhost import (
    effect_logins,
    effect_root,
    effect_sshd,
    effect_sudo,
    effect_units,
)
from opstasks.onhost.checkout_source import source

Facts = dict[str, Any]


def main(asked: Facts) -> Facts:
    """All facts."""
    sshd = effect_sshd.settings(asked["sshd"], asked["accounts"], asked["sshd_text"])
    places = sshd["values"].get("authorizedkeysfile", "").split()
    return {
        "units": effect_units.units(asked["units"]),
        "ways": effect_root.ways(),
        "sshd": sshd,
        "sudo": effect_sudo.rules(asked["sudoers"], asked["sudoers_files"]),
        "logins": effect_logins.logins(places, asked["groups"]),
        "persistence": effect_logins.persistence(asked["service_accounts"]),
        "checkouts": {
            item["path"]: source(item["path"], item["home"]) for item in asked["checkouts"]
        },
    }
