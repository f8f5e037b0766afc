"""A host behind a ProxyCommand: its end is noticed at once, and its words are shown."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import Lost, Unreachable
from tests.look import until

pytestmark = [pytest.mark.sandbox, pytest.mark.hosts(1)]
NETCAT = Path(__file__).resolve().parents[1] / "netcat.py"


@pytest.fixture
def behind(spec, tmp_path):
    """A host that is reached through a command; "PROXY" in it connects to the host."""

    def make(command="PROXY"):
        config = tmp_path / "ssh_config"
        connect = f"{sys.executable} {NETCAT} %h %p"
        config.write_text(f"ProxyCommand {command.replace('PROXY', connect)}\n")
        return spec("sandbox-1", ssh_config=str(config))

    return make


def proxies():
    """The process ids of the proxies on this machine that this test started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(NETCAT).encode() in words:
            found.append(int(path.parent.name))
    return found


def test_a_host_behind_a_proxy_answers_and_the_proxy_ends_with_the_connection(connect, behind):
    host = connect(behind())
    assert host.login.output(cmd("hostname")) == "sandbox-1"
    assert len(proxies()) == 1
    host.close()
    assert proxies() == []


def test_a_proxy_that_cannot_connect_says_why(connect, behind):
    with pytest.raises(Unreachable, match="vpn is down") as caught:
        connect(behind("sh -c 'echo vpn is down >&2; exit 1'")).login.run(cmd("true"))
    assert "ssh_config, line 1" in caught.value.hint


@pytest.mark.parametrize("changing", [False, True])
def test_a_proxy_that_dies_is_a_lost_connection_at_once(connect, behind, changing):
    host = connect(behind("sh -c 'PROXY; echo the tunnel collapsed >&2; exit 9'"))
    host.login.open()
    command = cmd("sleep", "60").within(100)
    (proxy,) = proxies()
    threading.Timer(0.5, os.kill, (proxy, signal.SIGKILL)).start()
    with pytest.raises(Lost if changing else Unreachable, match="the tunnel collapsed"):
        host.login.run(command.changing() if changing else command)
    until(lambda: proxies() == [], "a proxy is left", 10)


def test_ctrl_c_does_not_reach_the_proxy(connect, behind):
    host = connect(behind())
    host.login.open()
    (proxy,) = proxies()
    assert os.getpgid(proxy) != os.getpgid(0)
    assert os.getsid(proxy) != os.getsid(0)


def test_a_silent_proxy_ends_with_the_time_limit(connect, behind):
    import msgspec

    silent = msgspec.structs.replace(behind("sleep 60"), connect_timeout_s=1)
    with pytest.raises(Unreachable, match=r"no greeting from .* within 1 s"):
        connect(silent).login.run(cmd("true"))
