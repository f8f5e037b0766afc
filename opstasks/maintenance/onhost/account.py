"""Runs on the host: work that belongs to the service account, done as that account."""

import json
import os
import pwd
import sys
from collections.abc import Callable
from typing import Any

from opstasks.onhost.commands import StepError, must

Site = dict[str, Any]


def account(site: Site) -> dict[str, Any]:
    """How to start a process as the service account: environment and, for root, who."""
    entry = pwd.getpwnam(site["service_user"])
    env = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    env |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    options: dict[str, Any] = {"env": env, "cwd": "/", "umask": 0o027}
    if os.geteuid() == 0:
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        options |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
    return options


def as_service(site: Site, work: Callable[[], Any]) -> Any:
    """Do something as the service account, in a process of its own; root never follows its links.

    What `work` returns must be plain JSON.
    """
    if os.geteuid() != 0:
        return work()
    entry = pwd.getpwnam(site["service_user"])
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            os.initgroups(entry.pw_name, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            os.umask(0o027)
            answer = {"value": work()}
        except StepError as error:
            answer = {"reason": error.reason, "detail": error.detail, "refused": error.refused}
        except BaseException as error:
            answer = {"reason": f"{type(error).__name__}: {error}", "detail": "", "refused": False}
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    answer = json.loads(text or '{"reason": "it broke off", "detail": "", "refused": false}')
    if "value" not in answer:
        raise StepError(answer["reason"], answer["detail"], refused=answer["refused"])
    return answer["value"]


def job_runner(site: Site, module: str, *args: str, answer: str = "", timeout_s: int = 120) -> str:
    """Run one of job-runner's own commands as the service account, in its environment."""
    script = 'set -a; . "$1/load-env" >/dev/null; set +a; cd "$2" && shift 2 && exec "$@"'
    command = ["python3", "-B", "-m", module, *args]
    reason = f"job-runner's {module.rpartition('.')[2]} failed"
    options = {**account(site), "input": answer, "timeout": timeout_s}
    return must(
        reason, "bash", "-c", script, "bash", site["config_dir"], site["code"], *command, **options
    )
