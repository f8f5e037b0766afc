"""Runs on the host: job-runner's own commands, as the service account."""

from opstasks.maintenance.onhost.account import LIMITED, account
from opstasks.maintenance.onhost.site import Site
from opstasks.onhost.commands import required


def job_runner(site: Site, module: str, *args: str, answer: str = "", timeout_s: int = 120) -> str:
    """Run one of job-runner's own commands as the service account, in its environment."""
    load = f'{LIMITED}; set -a; . "$1/load-env" >/dev/null; set +a; ulimit -Sv unlimited'
    script = load + '; cd "$2" && shift 2 && exec "$@"'
    command = ["python3", "-B", "-m", module, *args]
    reason = f"job-runner's {module.rpartition('.')[2]} failed"
    options = {**account(site), "input": answer, "timeout": timeout_s}
    return required(
        reason, "bash", "-c", script, "bash", site.config_dir, site.code_dir, *command, **options
    )
