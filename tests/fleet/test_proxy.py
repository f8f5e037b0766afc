"""A ProxyCommand: its end is noticed, its words are kept, Ctrl-C does not reach it."""

import os
import signal
import time

from opstasks.fleet.proxy import Proxy
from tests.look import until


def test_data_passes_both_ways_and_close_ends_the_process():
    proxy = Proxy("cat")
    proxy.sock.sendall(b"hello")
    assert proxy.sock.recv(5) == b"hello"
    assert proxy.problem == ""
    proxy.close()
    assert proxy._process.poll() is not None


def test_the_end_of_a_proxy_ends_the_connection_and_its_words_say_why():
    proxy = Proxy("sh -c 'echo vpn is down >&2; exit 3'")
    proxy.sock.settimeout(20)
    assert proxy.sock.recv(1) == b""
    assert proxy.problem == "the ProxyCommand ended with exit code 3: vpn is down"
    proxy.close()


def test_a_child_of_a_proxy_does_not_keep_the_connection_open():
    proxy = Proxy("sh -c 'sleep 60 & exit 1'")
    proxy.sock.settimeout(20)
    assert proxy.sock.recv(1) == b""
    proxy.close()


def test_ctrl_c_does_not_reach_it(monkeypatch):
    proxy = Proxy("cat")
    assert os.getpgid(proxy._process.pid) != os.getpgid(0)
    proxy.close()


def test_a_proxy_that_ignores_signals_is_killed():
    proxy = Proxy("sh -c 'trap \"\" HUP TERM; echo up; while :; do sleep 1; done'")
    proxy.sock.settimeout(20)
    assert proxy.sock.recv(3) == b"up\n"
    proxy.close()
    assert proxy._process.returncode == -signal.SIGKILL


def test_endless_words_of_a_proxy_are_cut():
    proxy = Proxy("sh -c 'yes no >&2'")
    until(lambda: len(proxy._words) >= 4096, "it said nothing", 20)
    time.sleep(0)
    assert len(proxy._words) <= 4096
    proxy.close()
