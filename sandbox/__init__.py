"""Real hosts on this machine, to try opstasks on: systemd, sshd, sudo, Docker, job-runner."""

from sandbox.api import (
    boot_id,
    cancel,
    down,
    exec_,
    find,
    job_requests,
    last_poll,
    must,
    power_cut,
    power_on,
    publish,
    reboot,
    reported_jobs,
    ssh_config,
    status,
    submit,
    sudo_password,
    up,
)
from sandbox.errors import SandboxError
from sandbox.hosts import HostInfo
from sandbox.many import many_down, many_up

__all__ = [
    "HostInfo",
    "SandboxError",
    "boot_id",
    "cancel",
    "down",
    "exec_",
    "find",
    "job_requests",
    "last_poll",
    "many_down",
    "many_up",
    "must",
    "power_cut",
    "power_on",
    "publish",
    "reboot",
    "reported_jobs",
    "ssh_config",
    "status",
    "submit",
    "sudo_password",
    "up",
]
