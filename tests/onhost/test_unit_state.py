"""A unit's state: whether it can start, and what happened to it between two looks.

The properties are those that systemd 252 printed for each event on a real host.
"""

import pytest

from opstasks.onhost import unit_control, unit_state
from opstasks.onhost.protocol import HostFailure, HostRefusal

UP = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "MainPID": "5",
    "NRestarts": "0",
    "Result": "success",
    "ExecMainCode": "0",
    "ExecMainStatus": "0",
    "ActiveEnterTimestampMonotonic": "1000",
    "ActiveExitTimestampMonotonic": "900",
    "ExecMainExitTimestampMonotonic": "0",
    "ActiveEnterTimestamp": "Thu 2026-11-26 02:14:07 UTC",
    "ActiveExitTimestamp": "Thu 2026-11-26 02:14:06 UTC",
}


def later(**values):
    return {**UP, **values}


def ended(code, status, *, left, exited, **values):
    """The unit after its process ended: it left its state at `left`, the process at `exited`."""
    found = {
        "ActiveState": "inactive",
        "SubState": "dead",
        "MainPID": "0",
        "ExecMainCode": code,
        "ExecMainStatus": status,
        "ActiveExitTimestampMonotonic": str(left),
        "ExecMainExitTimestampMonotonic": str(exited),
    }
    return later(**{**found, **values})


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (UP, ""),
        (later(MainPID="6"), "somebody restarted jobrunner at 02:14:07 UTC (systemctl, by root)"),
        # systemd's own restart after a crash.
        (later(MainPID="6", NRestarts="1"), ""),
        (
            ended("1", "0", left=2000, exited=2004),
            "somebody stopped jobrunner at 02:14:06 UTC (systemctl, by root)",
        ),
        (
            ended("1", "1", left=2000, exited=2004, ActiveState="failed", Result="exit-code"),
            "somebody stopped jobrunner at 02:14:06 UTC (systemctl, by root)",
        ),
        (
            later(
                ActiveState="deactivating",
                SubState="stop-sigterm",
                ActiveExitTimestampMonotonic="2000",
            ),
            "somebody stopped jobrunner at 02:14:06 UTC (systemctl, by root)",
        ),
        (ended("1", "1", left=2004, exited=2000, ActiveState="activating"), ""),
        (ended("2", "15", left=2004, exited=2000), ""),
        (ended("2", "9", left=2004, exited=2000, ActiveState="activating"), ""),
        # An older stop says nothing about this process.
        (ended("1", "1", left=900, exited=2000), ""),
        ({}, ""),
        ({"ActiveExitTimestampMonotonic": "x" * 50, "MainPID": "-1"}, ""),
    ],
    ids=[
        "nothing",
        "restarted",
        "crashed and restarted",
        "stopped",
        "stopped badly",
        "stopping",
        "crashed",
        "killed",
        "killed hard",
        "an old stop",
        "no answer",
        "nonsense",
    ],
)
def test_only_what_a_person_did_is_called_that(now, text):
    assert unit_state.done_by_hand("jobrunner", UP, now) == text


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (ended("1", "3", left=2, exited=1), "its process ended with exit code 3"),
        (ended("2", "9", left=2, exited=1), "its process was killed with SIGKILL"),
        (ended("3", "11", left=2, exited=1), "its process was killed with SIGSEGV"),
        (ended("2", "99", left=2, exited=1), "its process was killed with signal 99"),
        (
            ended("2", "9", left=2, exited=1, Result="oom-kill"),
            "the kernel killed it: out of memory",
        ),
        ({}, ""),
    ],
)
def test_the_end_of_a_process_is_described(now, text):
    assert unit_state.ending(now) == text


@pytest.mark.parametrize(
    ("active", "sub", "state"),
    [
        ("active", "running", "up"),
        ("activating", "auto-restart", "starting"),
        ("active", "exited", None),
        ("inactive", "dead", "stopped"),
        ("failed", "failed", "failed"),
        ("deactivating", "stop-sigterm", None),
        ("", "", None),
    ],
)
def test_a_state_that_is_not_known_is_not_claimed(active, sub, state):
    assert unit_state.service_state({"ActiveState": active, "SubState": sub}) == state


# -- control ---------------------------------------------------------------------------------


class Systemd:
    """Stands in for systemctl: the units' LoadState, and what each verb ends with."""

    def __init__(self, monkeypatch, **loads):
        self.loads = {"jobrunner": "loaded", **loads}
        self.codes = {}
        self.result = "success"
        self.active = "active"
        self.limit = "10s"
        self.user = "opensafely"
        # systemd does the work although systemctl fails.
        self.goes_on = False
        self.verbs, self.slept = [], []
        monkeypatch.setattr(unit_control, "read", self.read)
        monkeypatch.setattr(unit_control, "attempt", self.attempt)
        monkeypatch.setattr(unit_control, "own_name", lambda likely: "opensafely")
        monkeypatch.setattr(unit_control.time, "sleep", self.slept.append)

    def read(self, unit, properties=""):
        others = [name for name in self.loads if name != "jobrunner"]
        return {
            "LoadState": self.loads[unit.removesuffix(".service")],
            "User": self.user if unit == "jobrunner" else "root",
            "Requires": " ".join(["system.slice", *(f"{name}.service" for name in others)]),
            "ActiveState": self.active,
            "SubState": "running",
            "Result": self.result,
            "StartLimitIntervalUSec": self.limit,
        }

    def attempt(self, *words, timeout_s):
        import subprocess

        verb = words[-2]
        self.verbs.append(verb)
        codes = self.codes.get(verb, [0])
        code = codes.pop(0) if len(codes) > 1 else codes[0]
        if verb == "stop" and (code == 0 or self.goes_on):
            self.active = "inactive"
        elif verb == "start" and self.goes_on:
            self.active = "active"
        elif verb == "start" and code == 0:
            self.result, self.active = "success", "active"
        elif verb == "start":
            self.result = "start-limit-hit"
        return subprocess.CompletedProcess(words, code, "", "no")


@pytest.mark.parametrize("load", ["masked", "not-found", "bad-setting", "error"])
@pytest.mark.parametrize("unit", ["jobrunner", "network"])
def test_a_unit_that_could_not_be_started_again_is_not_stopped(monkeypatch, load, unit):
    systemd = Systemd(monkeypatch, **{"network": "loaded", unit: load})
    with pytest.raises(HostRefusal):
        unit_control.main({"unit": "jobrunner", "verbs": ["stop", "start"]})
    assert systemd.verbs == []


COMMAND = "{{ path=/usr/bin/python3 ; argv[]={} ; flags={} ; start_time=[n/a] ; pid=0 }}"


def shown(*lines):
    """What systemd shows of our unit, with some lines more."""
    command = "ExecStartEx=" + COMMAND.format("python3 -m jobrunner.service", "")
    base = ("LoadState=loaded", "User=opensafely", command, "AmbientCapabilities=")
    return unit_state.parse("\n".join((*base, "PermissionsStartOnly=no", *lines)))


@pytest.mark.parametrize("name", unit_state.COMMANDS)
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize(
    ("flags", "is_root"),
    [
        ("privileged", True),
        ("no-setuid", True),
        ("ignore-failure privileged", True),
        ("ignore-failure", False),
        ("ignore-failure no-env-expand", False),
        ("", False),
    ],
)
def test_a_command_with_a_prefix_for_root_is_not_the_accounts(name, place, flags, is_root):
    lines = [f"{name}Ex=" + COMMAND.format("x", flags), f"{name}Ex=" + COMMAND.format("y", "")]
    state = shown(*(lines if place == "first" else reversed(lines)), "DropInPaths=/run/a /etc/b")
    problem = f"jobrunner would run {name} as root, not as opensafely: /run/a, /etc/b"
    assert unit_state.account_problem("jobrunner", "opensafely", state) == problem * is_root


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("User=", "jobrunner would run as root, not as opensafely"),
        ("User=x", "jobrunner would run as x, not as opensafely"),
        (
            "AmbientCapabilities=cap_net_admin",
            "jobrunner would run with rights of root (cap_net_admin), not as opensafely",
        ),
    ],
)
def test_the_account_of_a_unit_decides_what_its_commands_may(line, problem):
    state = {**shown(), **unit_state.parse(line)}
    assert unit_state.account_problem("jobrunner", "opensafely", state) == problem


def test_permissions_of_the_start_alone_leave_the_other_commands_to_root():
    only = {"PermissionsStartOnly": "yes"}
    problem = unit_state.account_problem("jobrunner", "opensafely", {**shown(), **only})
    assert problem == "", "our unit has no other command"
    state = {**shown("ExecStopEx=" + COMMAND.format("x", "")), **only}
    problem = unit_state.account_problem("jobrunner", "opensafely", state)
    assert problem == "jobrunner would run ExecStop as root, not as opensafely"


@pytest.mark.parametrize(
    "words", ["echo ; flags=privileged ; start_time=[", "echo privileged", "+x ; flags=privileged"]
)
def test_the_words_of_a_command_are_no_flags(words):
    state = {**shown(), **unit_state.parse("ExecStartEx=" + COMMAND.format(words, ""))}
    assert unit_state.account_problem("jobrunner", "opensafely", state) == ""


@pytest.mark.parametrize("state", [{}, {"LoadState": "masked", "User": ""}, {"User": ""}])
def test_a_unit_that_systemd_does_not_describe_is_not_judged_by_its_account(state):
    assert unit_state.account_problem("jobrunner", "opensafely", state) == ""


@pytest.mark.parametrize("user", ["opensafely", ""])
def test_a_unit_of_another_account_is_not_stopped(monkeypatch, user):
    """Without an account, the one that asks counts: the service's programs run as the service."""
    systemd = Systemd(monkeypatch, network="loaded")
    unit_control.refuse_unstartable("jobrunner", user)
    systemd.user = "root"
    with pytest.raises(HostRefusal, match="would run as root, not as opensafely"):
        unit_control.refuse_unstartable("jobrunner", user)
    with pytest.raises(HostRefusal, match="would run as root, not as opensafely"):
        unit_control.main({"unit": "jobrunner", "verbs": ["stop", "start"]})
    assert systemd.verbs == []


def test_a_masked_unit_can_be_stopped(monkeypatch):
    systemd = Systemd(monkeypatch, jobrunner="masked")
    unit_control.main({"unit": "jobrunner", "verbs": ["stop"]})
    assert systemd.verbs == ["stop"]


@pytest.mark.parametrize(("verb", "active"), [("stop", "inactive"), ("start", "active")])
def test_a_killed_systemctl_is_judged_by_the_unit(monkeypatch, verb, active):
    systemd = Systemd(monkeypatch)
    systemd.codes[verb], systemd.goes_on = [-9], True
    unit_control.main({"unit": "jobrunner", "verbs": [verb]})
    assert systemd.active == active


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_a_killed_systemctl_that_did_nothing_is_a_failure(monkeypatch, verb):
    systemd = Systemd(monkeypatch)
    systemd.codes[verb] = [-9]
    systemd.active = "active" if verb == "stop" else "inactive"
    with pytest.raises(HostFailure, match=f"cannot {verb} jobrunner"):
        unit_control.main({"unit": "jobrunner", "verbs": [verb]})


def test_a_start_limit_is_reset(monkeypatch):
    systemd = Systemd(monkeypatch)
    systemd.codes["start"] = [1, 0]
    unit_control.start("jobrunner")
    assert systemd.verbs == ["start", "reset-failed", "start"]


@pytest.mark.parametrize("result", ["exit-code", "signal", "start-limit-hit"])
@pytest.mark.parametrize("allowed", [True, False])
def test_a_failed_unit_is_reset_before_it_is_started(monkeypatch, result, allowed):
    """The limit does not show in the result of a unit that failed before it was reached."""
    systemd = Systemd(monkeypatch)
    systemd.active, systemd.result = "failed", result
    systemd.codes["reset-failed"] = [int(not allowed)]
    unit_control.start("jobrunner")
    assert systemd.verbs == ["reset-failed", "start"]
    assert systemd.slept == ([10] if result == "start-limit-hit" and not allowed else [])


def test_a_short_start_limit_is_awaited_without_the_right_to_reset_it(monkeypatch):
    systemd = Systemd(monkeypatch)
    systemd.codes = {"reset-failed": [1], "start": [1, 0]}
    unit_control.start("jobrunner")
    assert (systemd.verbs[-1], systemd.slept) == ("start", [10])


def test_a_long_start_limit_names_what_resets_it(monkeypatch):
    systemd = Systemd(monkeypatch)
    systemd.codes, systemd.limit = {"reset-failed": [1], "start": [1]}, "1h"
    with pytest.raises(HostFailure, match="started too often") as caught:
        unit_control.start("jobrunner")
    assert "sudo systemctl reset-failed jobrunner" in caught.value.detail
    assert systemd.slept == []
