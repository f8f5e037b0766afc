"""Faults that people make: other operators, somebody at the host's own shell, passwords."""

import time

from tests.faults.fault import Fault, script
from tests.look import CODE, HOME, LIB

EDIT = f"echo '# by hand' >>{CODE}/jobrunner/run.py"
CHECK_OUT = "runuser -u opensafely -- git -C {0} checkout -qf {1}"


def second_operator(pair):
    """Another operator types the same command at this moment."""
    other = pair.other_client("two")
    time.sleep(1.0)
    pair.release()
    pair.others.append(other)


def five_operators(pair):
    """Four more operators type the same command at once."""
    pair.others += [pair.other_client(name) for name in ("two", "three", "four", "five")]
    time.sleep(1.0)


PEOPLE = [
    Fault("second operator", second_operator, codes=frozenset({0, 1, 2})),
    Fault("five operators", five_operators, codes=frozenset({0, 1, 2}), early=True),
    Fault(
        "service restarted by hand",
        script("systemctl restart jobrunner"),
        touches=frozenset({"service"}),
        spoils=True,
        extra={"person": True},
    ),
    Fault(
        "service started by hand",
        script("systemctl start jobrunner"),
        touches=frozenset({"service"}),
        spoils=True,
        extra={"person": True},
    ),
    Fault(
        "service stopped by hand",
        script("systemctl stop jobrunner"),
        touches=frozenset({"service"}),
        spoils=True,
        extra={"person": True},
    ),
    Fault("file edited by hand", script(EDIT), touches=frozenset({"code"}), extra={"person": True}),
    Fault(
        "code checked out by hand",
        script(CHECK_OUT.format(CODE, "diverged")),
        # What the message asks the person for.
        script(CHECK_OUT.format(CODE, "v2.71.0")),
        touches=frozenset({"code"}),
        stays=True,
        spoils=True,
        extra={"person": True},
    ),
    Fault(
        "lib checked out by hand",
        script(CHECK_OUT.format(LIB, "v2.71.0")),
        touches=frozenset({"lib"}),
        spoils=True,
        extra={"person": True},
    ),
    Fault(
        "job killed by hand",
        script("docker kill os-job-$(cat /opt/faults/job)"),
        touches=frozenset({"containers", "jobs", "files"}),
        extra={"person": True},
    ),
    Fault(
        "config edited by hand",
        script(f"echo MAX_WORKERS=2 >>{HOME}/config/04_local.env"),
        touches=frozenset({"config"}),
        extra={"person": True},
    ),
]

REFUSED = frozenset({2, 3})
SUDO = [
    Fault("sudo password wrong", codes=REFUSED, asking="wrong", early=True, cause="password|sudo"),
    Fault("sudo password missing", codes=REFUSED, asking="none", early=True, cause="password|sudo"),
    Fault(
        "sudo password expired",
        script("chage -d 2000-01-01 -M 10 -I 1 dev"),
        script("chage -d $(date +%F) -M 99999 -I -1 dev"),
        codes=REFUSED,
        asking="right",
        early=True,
        cause="password|sudo|expired|account",
        touches=frozenset({"accounts"}),
    ),
]
