"""Temporary inventory until the real one lands."""

from __future__ import annotations
import os
from pathlib import Path
from typing import Any
import msgspec


class RepoSpec(msgspec.Struct, frozen=True, kw_only=True):
    url: str = ""
    ref: str = "main"


class DeploySpec(msgspec.Struct, frozen=True, kw_only=True):
    code: RepoSpec = RepoSpec(url="https://github.com/opensafely-core/job-runner")
    lib: RepoSpec = RepoSpec(url="https://github.com/opensafely-core/job-runner-dependencies")
    watch_s: float = 15
    keep_snapshots: int = 5


class HostSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str = ""
    address: str = ""
    port: int = 22
    user: str = ""
    identity_file: str = ""
    gateway: str = ""
    host_keys: tuple[str, ...] = ()
    host_key_checking: str = "strict"
    sudo: str = "ask"
    backend: str = ""
    service_user: str = "opensafely"
    home: str = "/home/opensafely"
    high_privacy: str = "/srv/high_privacy"
    medium_privacy: str = "/srv/medium_privacy"
    unit: str = "jobrunner"
    connect_timeout_s: int = 10
    ssh_config: str = ""
    groups: tuple[str, ...] = ()
    vars: dict[str, Any] = {}
    deploy: DeploySpec = DeploySpec()
    local: bool = False

    @property
    def config_dir(self) -> str:
        return self.home + "/config"

    @property
    def code_dir(self) -> str:
        return self.home + "/jobrunner/code"

    @property
    def lib_dir(self) -> str:
        return self.home + "/jobrunner/lib"

    @property
    def workdir(self) -> str:
        return self.home + "/jobrunner/workdir"

    @property
    def database(self) -> str:
        return self.workdir + "/db.sqlite"

    @property
    def state_dir(self) -> str:
        return self.home + "/opstasks"


class Inventory:
    def __init__(self, specs):
        self.specs = specs

    def select(self, patterns):
        names = [n for p in patterns for n in p.split(",")]
        return [
            s
            for s in self.specs.values()
            if s.name in names or "all" in names or "sandbox" in names
        ]

    def names(self):
        return list(self.specs)

    def gateway_of(self, spec):
        return None


def find_inventory(explicit):
    return Path(explicit) if explicit else None


def load(path):
    import yaml

    path = path or Path(".sandbox/hosts.yaml")
    data = yaml.safe_load(path.read_text()) if path.exists() else {"hosts": {}}
    return Inventory(
        {n: msgspec.convert({"name": n, **v}, HostSpec) for n, v in data["hosts"].items()}
    )


def local_host(inventory):
    return HostSpec(name="local", address="localhost", local=True)
