"""Faults of the services that a host runs: docker, the journal, sshd, the unit, the packages."""

from tests.faults.fault import Fault, script

# Without docker, job-runner itself changes the state of its jobs.
DOCKER_TOUCHES = frozenset({"containers", "jobs"})
JOURNAL = "systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket"
UNIT = "/etc/systemd/system/jobrunner.service"
RUN_UNIT = "/run/systemd/system/jobrunner.service.d"
LIMIT = (
    f"mkdir -p {RUN_UNIT}; printf '[Unit]\\nStartLimitIntervalSec=600\\nStartLimitBurst=1\\n'"
    f" >{RUN_UNIT}/limit.conf; systemctl daemon-reload; systemctl restart jobrunner;"
    " systemctl restart jobrunner; true"
)
MASKED = {
    # Its file is in /etc, where a mask of systemctl would have no effect.
    "act": script(f"mv {UNIT} /opt/faults/unit && ln -s /dev/null {UNIT}; systemctl daemon-reload"),
    "undo": script(
        f"[ ! -e /opt/faults/unit ] || {{ rm -f {UNIT}; mv /opt/faults/unit {UNIT};"
        " systemctl daemon-reload; systemctl start jobrunner; }"
    ),
    "cause": "mask",
    "touches": frozenset({"etc"}),
    "stays": True,
    "extra": {"no start": True},
}
SERVICES = [
    Fault(
        "docker stopped",
        script("systemctl stop docker.socket docker"),
        script("systemctl start docker"),
        cause="docker|container",
        touches=DOCKER_TOUCHES,
        spoils=True,
        extra={"crashes": True},
    ),
    Fault(
        "docker hung",
        script("kill -STOP $(pidof dockerd)"),
        script("kill -CONT $(pidof dockerd)"),
        cause="docker|container|in time|answer",
        extra={"crashes": True},
    ),
    Fault(
        "docker restarted",
        script("systemctl restart docker"),
        touches=DOCKER_TOUCHES,
        spoils=True,
        extra={"crashes": True},
    ),
    Fault(
        "journald stopped",
        script(f"systemctl stop {JOURNAL} 2>/dev/null; systemctl kill -s KILL systemd-journald"),
        script(f"systemctl start {JOURNAL}"),
        cause="journal",
        touches=frozenset({"audit"}),
    ),
    Fault(
        "journald hung",
        script("kill -STOP $(pidof systemd-journald)"),
        script("kill -CONT $(pidof systemd-journald)"),
        cause="journal",
        touches=frozenset({"audit"}),
    ),
    Fault("sshd restarted", script("systemctl restart ssh"), codes=frozenset({0})),
    Fault("unit masked", **MASKED),
    Fault("unit masked before", early=True, **MASKED),
    Fault(
        "start limit hit",
        script(LIMIT),
        script(f"rm -rf {RUN_UNIT}; systemctl daemon-reload; systemctl reset-failed jobrunner"),
        early=True,
        cause="limit|failed",
        stays=True,
        extra={"no start": True},
    ),
    Fault(
        "dpkg locked",
        script(
            "setsid python3 -c 'import fcntl,time;"
            ' f=open("/var/lib/dpkg/lock-frontend","w"); fcntl.lockf(f,fcntl.LOCK_EX);'
            " time.sleep(600)' faults-holder >/dev/null 2>&1 & sleep 0.3"
        ),
        script("pkill -f '[f]cntl.lockf.*faults-holder' || true"),
        cause="lock|dpkg|apt",
    ),
]
