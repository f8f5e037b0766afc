"""What is in effect on a host that matches its description exactly, as JSON values."""

from opstasks.deploy.source import FETCH
from opstasks.manage import effect_logins, effect_sshd, effect_units


def effect_of(wanted):
    """The answer of a host where the described files decide everything."""
    return {
        "units": {name: unit(name, wanted) for name in effect_units.fragments(wanted)},
        "ways": [],
        "sshd": {"values": effect_sshd.described(wanted), "lines": []},
        "sudo": {"rules": ["root ALL = (ALL : ALL) ALL"], "lines": []},
        "logins": {
            "accounts": [],
            "groups": {name: [] for name in effect_logins.asked(wanted)},
            "joiners": [],
        },
        "persistence": [],
        "checkouts": {entry.path: checkout(entry.path, entry.url) for entry in wanted.checkouts},
    }


def unit(name, wanted, **over):
    account = effect_units.account(name, wanted)
    fragment = effect_units.fragments(wanted)[name]
    return {"fragment": fragment, "user": account, "runs_as": account, **over}


def checkout(path, url, *more):
    """A checkout as `git clone` makes it, and further settings: pairs of key and value."""
    pairs = [("core.bare", ""), ("remote.origin.url", url), ("remote.origin.fetch", FETCH), *more]
    file = f"{path}/.git/config"
    return {"settings": [{"file": file, "key": key, "value": value} for key, value in pairs]}
