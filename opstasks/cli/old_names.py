"""The names of the playbook's recipes and scripts, and the task that replaces each."""

OLD_NAMES = {
    "current-queries": "jobs.queries",
    "job-retry": "jobs.retry",
    "jobs-ls": "jobs.ls",
    "jobs-stats": "jobs.stats",
    "kill-job": "jobs.kill",
    "logs-id": "logs",
    "mount-job-volume": "jobs.mount",
    "prepare-for-reboot": "prepare-reboot",
    "update-docker-image": "images.update",
    "watch-job-logs": "jobs.follow",
}
