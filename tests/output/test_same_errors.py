"""The same error of many hosts is one, also if its text has something of each host."""

import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.command import cmd
from opstasks.core.errors import CommandFailed, Refused, Unreachable
from opstasks.core.hints import one_word
from opstasks.core.state import HostState
from opstasks.fleet import link
from opstasks.fleet.fleet import Fleet
from opstasks.fleet.host import Host
from opstasks.fleet.host_keys import HostKeyError, TrustedKeys, fingerprint
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.known_hosts import HostKeys
from opstasks.fleet.login_errors import FailedLogin
from opstasks.fleet.refusals import refusal
from opstasks.fleet.ssh import SSHTransport
from opstasks.fleet.tcp import NO_SSHD
from opstasks.output.console import Console
from opstasks.output.failures import grouped, lines
from opstasks.output.parts import text_of_line

HOSTS = {f"many-{number}": f"192.0.2.{number}" for number in range(1, 37)}
WHO = "(many-1, many-2, many-3 and 33 more)"


def silent(host, address):
    return Unreachable(f"no answer from {address}:22 within 10 s", host=host, hint="is it up?")


def unknown_name(host, address):
    return Unreachable(f"no address for '{host}.example'", host=host, hint="check `address`")


def key_of(number):
    class Key:
        def get_name(self):
            return "ssh-ed25519"

        def asbytes(self):
            return bytes([number] * 51)

    return Key()


def new_host_key(host, address):
    place = f"[{address}]:2222"
    trusted = TrustedKeys(place, HostKeys(accepted={("ssh-ed25519", b"old")}))
    try:
        trusted.check(key_of(int(address.rpartition(".")[2])))
    except HostKeyError as error:
        made = SimpleNamespace(hop=SimpleNamespace(settings=None))
        refused = link._explained(error, made, "")
        refused.host = host
        return refused


def no_key(host, address):
    settings = SimpleNamespace(hostname=address, user="ops", port=22)
    error = FailedLogin(settings, offered=("id_ed25519",)).error()
    return Unreachable(str(error), host=host, hint=error.hint)


def bad_key_file(host, address):
    text = f"cannot use the key ~/.ssh/{host}.pem; it does not exist"
    return Unreachable(text, host=host, hint="correct -i, or identity_file in hosts.yaml")


def no_sudo(host, address):
    said = f"Sorry, user ops is not allowed to execute 'bash' as opensafely on bk{address[-1]}."
    return refusal(said, host, "opensafely")


def failed(host, address):
    return CommandFailed(
        "docker failed",
        returned=1,
        host=host,
        command=f"docker run --hostname {host} tools",
        tail=f"one\n{host}: no space left",
        hint=f"inv -H {one_word(host)} doctor",
    )


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (silent, [f"error  no answer from its address within 10 s {WHO}", "next:  is it up?"]),
        (unknown_name, [f"error  no address for 'its address' {WHO}", "next:  check `address`"]),
        (
            new_host_key,
            [
                "error  the host key of its address has CHANGED, to ssh-ed25519 SHA256:…;"
                f" someone may be between us and it {WHO}"
            ],
        ),
        (no_key, [f"error  its address did not accept our key (offered: id_ed25519) {WHO}"]),
        (bad_key_file, [f"error  cannot use the key ~/.ssh/HOST.pem; it does not exist {WHO}"]),
        (
            no_sudo,
            [
                "error  may not become opensafely: Sorry, user ops is not allowed to execute it as"
                f" opensafely {WHO}"
            ],
        ),
        (
            failed,
            [
                f"error  docker failed {WHO}",
                "       command: docker run --hostname HOST tools",
                "  | one",
                "  | HOST: no space left",
                "next:  inv -H many-1,many-2,many-3 doctor",
            ],
        ),
    ],
)
def test_an_error_with_something_of_each_host_is_shown_once(make, expected):
    errors = []
    for host, address in HOSTS.items():
        errors.append(make(host, address))
        errors[-1].own_words = (address, f"{host}.example")
    (group,) = grouped(errors)
    shown = [text_of_line(line) for line in lines(group)]
    assert shown[: len(expected)] == expected


def key_errors():
    errors = [new_host_key(host, address) for host, address in HOSTS.items()]
    for error, address in zip(errors, HOSTS.values(), strict=True):
        error.own_words = (address,)
    return errors


@pytest.mark.parametrize("width", [0, 80])
def test_the_key_of_each_host_is_shown_with_its_place_in_known_hosts(width):
    (group,) = grouped(key_errors())
    shown = "\n".join(text_of_line(line) for line in lines(group, width))
    for number, (host, address) in enumerate(HOSTS.items(), 1):
        key = fingerprint(("ssh-ed25519", bytes([number] * 51)))
        assert re.search(
            rf"^       {host}  \[{re.escape(address)}\]:2222\s+{re.escape(key)}$", shown, re.M
        )


def test_the_key_of_one_host_is_in_its_error_only():
    (group,) = grouped(key_errors()[:1])
    shown = "\n".join(text_of_line(line) for line in lines(group))
    assert shown.count("SHA256:") == 1 and "SHA256:…" not in shown


def test_a_fingerprint_that_no_line_shows_keeps_errors_apart():
    errors = key_errors()[:2]
    for error in errors:
        error.own_line = ""
    assert len(grouped(errors)) == 2


def test_an_error_of_one_host_shows_its_address():
    error = silent("a", "192.0.2.1")
    error.own_words = ("192.0.2.1",)
    ((line, _),) = [lines(group) for group in grouped([error])]
    assert text_of_line(line) == "error  no answer from 192.0.2.1:22 within 10 s (a)"


def test_a_hint_with_an_address_says_that_it_is_alike_for_the_others():
    errors = [no_key(host, address) for host, address in HOSTS.items()]
    for error, address in zip(errors, HOSTS.values(), strict=True):
        error.own_words = (address,)
    (group,) = grouped(errors)
    hint = text_of_line(lines(group)[-1])
    assert hint.endswith("try ssh -v ops@192.0.2.1; likewise for the others")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no answer from 192.0.2.1:22", "no answer from 192.0.2.1:22"),
        ("no answer from 192.0.2.1:22", "no answer from 192.0.2.22:22"),
        ("a file is missing", "b file is gone"),
    ],
)
def test_only_what_is_the_hosts_own_makes_errors_the_same(one, other):
    errors = [Refused(one, host="a"), Refused(other, host="b")]
    errors[0].own_words, errors[1].own_words = ("192.0.2.1",), ("192.0.2.2",)
    assert len(grouped(errors)) == (1 if one == other else 2)


def test_a_host_with_the_name_of_a_usual_word_does_not_keep_errors_apart():
    assert len(grouped([Refused("no key there", host=name) for name in ("key", "b")])) == 1


def test_hosts_that_refuse_the_connection_are_one_error(capsys):
    """The addresses of the hosts are known where they are connected to."""
    specs = [HostSpec(name=f"h{n}", address=f"127.0.0.{n}", port=1, user="x") for n in (1, 2, 3)]
    fleet = Fleet([Host(spec, connect=SSHTransport) for spec in specs])
    Console().problems(fleet.gather(lambda host: host.login.run(cmd("true"))))
    assert capsys.readouterr().err.splitlines() == [
        "error  cannot connect to its address: connection refused (h1, h2, h3)",
        f"next:  {NO_SSHD}",
    ]


@given(st.builds(HostState), st.builds(HostState))
def test_errors_are_one_if_the_same_is_said_of_the_states(one, other):
    """Whatever a state holds: a table of jobs has no hash."""
    first, second, third = (Refused("it failed", host=host) for host in "abc")
    first.now, second.now, third.now = one, one, other
    assert grouped([first, second]) == [[first, second]]
    assert len(grouped([first, third])) == (1 if one.words() == other.words() else 2)
