"""Runs on the host as root: the state of the requested things.

Changes nothing; reads no secrets. `opstasks.manage.inspect` has the request and `ManageFacts` is
the answer.
"""

from pathlib import Path
from typing import Any

from opstasks.manage.onhost import account_facts, effect, file_facts, sudo_log, system_facts

Facts = dict[str, Any]


def main(asked: Facts) -> Facts:
    """Everything that a request asks for."""
    in_effect = effect.main(asked["effect"]) if asked["effect"] else None
    return {**of_accounts(asked), **of_files(asked), **of_system(asked), "effect": in_effect}


def of_accounts(asked: Facts) -> Facts:
    """Groups, accounts, people with keys, and the login account."""
    keyed = account_facts.accounts_with_keys() if asked["people"] else []
    return {
        "login": account_facts.login(),
        "groups": {name: account_facts.group(name) for name in asked["groups"]},
        "users": {name: account_facts.user(name) for name in asked["users"]},
        "keyed": keyed,
        "marked": account_facts.marked(keyed, asked["mark"]),
        "open_accounts": account_facts.open_accounts() if asked["people"] else [],
    }


def of_files(asked: Facts) -> Facts:
    """Paths, settings, trees, and contents that the host's own checks do not accept."""
    paths = {
        item["path"]: file_facts.path(item["path"], item["sha256"], item["may_read"])
        for item in asked["paths"]
    }
    return {
        "paths": paths,
        "refusals": refusals(asked["checks"], paths),
        "settings": {
            item["name"]: file_facts.setting(item["path"], item["match"])
            for item in asked["settings"]
        },
        "trees": {
            item["path"]: file_facts.tree(
                item["path"], item["owner"], item["group"], item["files"], item["directories"]
            )
            for item in asked["trees"]
        },
        "is_unproven": Path(asked["pending"]).exists(),
    }


def refusals(checks: list[Facts], paths: dict[str, Facts | None]) -> dict[str, str]:
    """The objections of checks to contents; contents that are already there are not checked."""
    found = {}
    for item in checks:
        if (paths.get(item["path"]) or {}).get("sha256") != item["sha256"]:
            found[item["path"]] = file_facts.refusal(item["path"], item["content"], item["command"])
    return {path: reason for path, reason in found.items() if reason}


def of_system(asked: Facts) -> Facts:
    """Packages, units, checkouts, probes, and changes made by hand."""
    return {
        "checkouts": {name: system_facts.is_checkout(name) for name in asked["checkouts"]},
        "packages": system_facts.packages(asked["packages"]),
        "upgradable": system_facts.upgradable() if asked["upgrade"] else [],
        "lists_age_s": system_facts.lists_age_s() if asked["upgrade"] else 0,
        "probes": {item["name"]: system_facts.holds(item["test"]) for item in asked["probes"]},
        "units": system_facts.units(asked["units"]),
        "last_uses": sudo_log.last_uses(asked["words"]),
    }
