"""A gateway that refuses something is blamed for it, once, and not the hosts behind it."""

import json

import pytest
import yaml

pytestmark = pytest.mark.sandbox

BEHIND = [f"behind-{number}" for number in range(5)]


@pytest.fixture
def fleet(sandbox_dir, tmp_path):
    """A hosts.yaml with sandbox-2 under five names, all behind sandbox-1 as a gateway."""
    known = yaml.safe_load((sandbox_dir / "hosts.yaml").read_text())["hosts"]

    def make(host=None, **gateway):
        door = {**known["sandbox-1"], **gateway}
        inner = {**known["sandbox-2"], "gateway": "door", **(host or {})}
        path = tmp_path / "hosts.yaml"
        inside = {name: dict(inner) for name in BEHIND}
        path.write_text(json.dumps({"hosts": {"door": door, **inside}}))
        path.chmod(0o600)
        return path

    return make


@pytest.fixture
def sshd(sandbox):
    """Set something in sshd_config of the gateway while a test runs."""
    path = "/etc/ssh/sshd_config.d/00-test.conf"

    def set_it(line):
        sandbox.must("sandbox-1", ["sh", "-c", f"echo '{line}' >{path}; systemctl reload ssh"])

    yield set_it
    sandbox.must("sandbox-1", ["sh", "-c", f"rm -f {path}; systemctl reload ssh"])


def one_error(inv, path):
    """The only error of a run over all hosts behind the gateway, with what is next."""
    done = inv("-H", ",".join(BEHIND), "run", "--user", "ops", "--", "true", inventory=path)
    assert done.returncode == 3, done.stderr
    lines = done.stderr.splitlines()
    (number,) = [number for number, line in enumerate(lines) if line.startswith("error  ")]
    what, following = lines[number : number + 2]
    where = " (behind-0, behind-1, behind-2 and 2 more)"
    assert what.endswith(where), what
    assert following.startswith("next:  "), following
    reason = what.removeprefix("error  ").removesuffix(where)
    return f"{reason} -> {following.removeprefix('next:  ')}"


def test_hosts_behind_a_gateway_answer(inv, fleet):
    done = inv(
        "-H", "behind-0,behind-1", "run", "--user", "ops", "--", "hostname", inventory=fleet()
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("sandbox-2") == 2


def test_a_gateway_that_forbids_forwarding_is_blamed(inv, fleet, sshd):
    sshd("AllowTcpForwarding no")
    text = one_error(inv, fleet())
    assert text.startswith("gateway door: its sshd does not forward connections -> ")
    assert "sshd_config of door" in text


def test_a_closed_port_of_the_gateway_is_blamed_on_the_gateway(inv, fleet):
    text = one_error(inv, fleet(port=1))
    assert text.startswith("gateway door: cannot connect to ")
    assert text.endswith("-> the gateway door answers, but no sshd there: check its port")


def test_a_gateway_that_does_not_accept_the_login_is_blamed(inv, fleet):
    text = one_error(inv, fleet(user="nobody"))
    assert text.startswith("gateway door: ")
    assert "nobody" in text or "did not accept" in text


def test_a_closed_port_behind_the_gateway_is_the_hosts(inv, fleet):
    text = one_error(inv, fleet({"port": 1}))
    assert text.startswith("the gateway door is up, but cannot connect to ")
    assert text.endswith(":1: connect failed -> is the host up? door must reach it")
