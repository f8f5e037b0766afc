"""The host suite on this machine."""

import pytest

from opstasks.host import Host
from opstasks.inventory import HostSpec
from opstasks.transport import LocalTransport
from tests.host_suite import HostSuite


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = []

    def _make():
        spec = HostSpec(name="here", address="localhost", lock_dir=str(tmp_path), local=True)
        made.append(Host(spec, connect=lambda spec: LocalTransport()))
        return made[-1]

    yield _make
    for host in made:
        host.close()


@pytest.fixture
def host(make):
    return make()


@pytest.fixture
def other(make):
    return make()


class TestLocal(HostSuite):
    """Everything, over a local shell."""
