"""The workflows about jobs, outputs, maintenance and the host itself."""

from tests.faults.ground import WORKSPACE
from tests.faults.workflow import (
    STOP,
    Workflow,
    at,
    in_config,
    job_is,
    own_state,
    paused,
    pending,
    serves,
    sync_state,
)
from tests.look import DB, SQLITE

# The mark is a script of ours that job-runner's Python runs; the kill is its own command.
MARK, KILL = "^python3 -c .*jobrunner.run import mark", "^python3 -m jobrunner.cli.kill_job"
RETRY = "^python3 -m jobrunner.cli.retry_job"
BROKEN_JOB = (
    "systemctl kill -s KILL jobrunner; systemctl stop jobrunner; /opt/faults/job.sh ended;"
    f" {SQLITE} {DB} \"update job set state='failed', status_code='internal_error',"
    " status_message='Internal error', completed_at=strftime('%s','now')\";"
    " systemctl reset-failed jobrunner; systemctl start jobrunner"
)
JOBS = frozenset({"jobs", "containers", "files", "state"})
WORK = [
    Workflow(
        "jobs.kill",
        ("jobs.kill", "JOB", "--yes"),
        job_is(("failed", "killed_by_admin")),
        {
            "mark": at(MARK),
            "marked": at(MARK, "after"),
            "kill": at(KILL),
            "killing": at(KILL, "during"),
            "killed": at(KILL, "after"),
        },
        changes=JOBS,
        ends_jobs=True,
    ),
    Workflow(
        "jobs.retry",
        ("jobs.retry", "JOB", "--wait", "20", "--yes"),
        lambda before, seen: own_state(seen, before["job"]) != ("failed", "internal_error"),
        {"retry": at(RETRY), "retried": at(RETRY, "after")},
        prepare=BROKEN_JOB,
        changes=JOBS,
        ends_jobs=True,
    ),
    Workflow(
        "outputs.rm",
        ("outputs.rm", WORKSPACE, "out/a.csv", "out/b.csv", "--source", "remove", "--yes"),
        lambda before, seen: (
            not [p for p in seen["files"] if "high" not in p and p.endswith(("/a.csv", "/b.csv"))]
        ),
        {
            "first": at("^python3 outputs.remove"),
            "first is gone": at("^python3 outputs.remove", "after"),
            "second": at("^python3 outputs.remove", "before", 2),
            "all gone": at("^python3 outputs.remove", "after", 2),
        },
        ("outputs.remove",),
        changes=frozenset({"files", "removals", "state"}),
    ),
    Workflow(
        "outputs.attest",
        ("outputs.attest", "REMOVAL", "--by", "Alex Jones", "--yes"),
        lambda before, seen: all(r.get("attested") for r in seen["removals"].values()),
        {
            "attest": at("^python3 outputs.attest"),
            "attested": at("^python3 outputs.attest", "after"),
        },
        ("outputs.attest",),
        first=("outputs.rm", WORKSPACE, "out/c.csv", "--yes"),
        changes=frozenset({"removals", "state"}),
    ),
]

BEGIN_PAUSE = ("pause", "--reason", "first")
MAINTENANCE = [
    Workflow(
        "pause",
        ("pause", "--reason", "upgrade", "--for", "2h"),
        lambda before, seen: paused(seen) and bool(seen["pause"]),
        {
            "pause": at("^python3 maintenance.pause"),
            "paused": at("^python3 maintenance.pause", "after"),
        },
        ("maintenance.pause",),
        changes=frozenset({"flags", "pause", "scheduled", "state"}),
        rests=True,
    ),
    Workflow(
        "unpause",
        ("unpause",),
        lambda before, seen: not paused(seen),
        {
            "unpause": at("^python3 maintenance.unpause"),
            "unpaused": at("^python3 maintenance.unpause", "after"),
        },
        ("maintenance.unpause",),
        first=BEGIN_PAUSE,
        changes=frozenset({"flags", "pause", "state", "scheduled"}),
    ),
    Workflow(
        "pause --replace",
        ("pause", "--replace", "--reason", "upgrade", "--for", "2h", "--yes"),
        lambda before, seen: (
            paused(seen) and [note.get("why") for note in seen["pause"].values()] == ["upgrade"]
        ),
        {
            "pause": at("^python3 maintenance.pause"),
            "paused": at("^python3 maintenance.pause", "after"),
        },
        ("maintenance.pause",),
        first=BEGIN_PAUSE,
        first_by="alice",
        changes=frozenset({"flags", "pause", "scheduled", "state"}),
        rests=True,
    ),
    Workflow(
        "unpause of somebody's pause",
        ("unpause", "--yes"),
        lambda before, seen: not paused(seen),
        {"unpause": at("^python3 maintenance.unpause")},
        ("maintenance.unpause",),
        first=BEGIN_PAUSE,
        first_by="alice",
        changes=frozenset({"flags", "pause", "state", "scheduled"}),
    ),
    Workflow(
        "prepare-reboot",
        ("prepare-reboot", "--yes", "--reason", "patches"),
        lambda before, seen: (
            not serves(seen)
            and paused(seen)
            and own_state(seen, before["job"]) == ("pending", "waiting_on_reboot")
        ),
        {
            "schedule": at("^python3 maintenance.schedule"),
            "scheduled": at("^python3 maintenance.schedule", "after"),
            "stop": at(STOP),
            "stopped": at(STOP, "after"),
            "requeue": at("^python3 .*jobrunner.cli.prepare_for_reboot|^docker .*rm|^docker kill"),
        },
        ("maintenance.schedule",),
        changes=frozenset(
            {"service", "flags", "pause", "scheduled", "jobs", "containers", "state", "etc"}
        ),
        ends_jobs=True,
        rests=True,
    ),
    Workflow(
        "prepare-reboot by the service account",
        ("prepare-reboot", "--yes"),
        lambda before, seen: (
            not serves(seen) and own_state(seen, before["job"]) == ("pending", "waiting_on_reboot")
        ),
        {
            "prepare": at("^python3 maintenance.prepare_own"),
            "stopped": at(STOP, "after"),
            "prepared": at("^python3 maintenance.prepare_own", "after"),
        },
        ("maintenance.prepare_own",),
        prepare="install -d -m 700 -o opensafely /home/opensafely/.ssh; install -m 600"
        " -o opensafely /home/ops/.ssh/authorized_keys /home/opensafely/.ssh/",
        changes=frozenset({"service", "jobs", "containers", "state", "flags"}),
        ends_jobs=True,
        rests=True,
        is_own=True,
    ),
    Workflow(
        "prepare-reboot --delay",
        ("prepare-reboot", "--delay", "4h", "--yes"),
        lambda before, seen: len(pending(seen)) == 1,
        {
            "schedule": at("^python3 maintenance.schedule"),
            "scheduled": at("^python3 maintenance.schedule", "after"),
        },
        ("maintenance.schedule",),
        changes=frozenset({"scheduled", "state"}),
        rests=True,
    ),
    Workflow(
        "scheduled.cancel",
        ("scheduled.cancel", "SCHEDULED", "--yes"),
        lambda before, seen: not pending(seen),
        {
            "cancel": at("^python3 maintenance.cancel"),
            "cancelled": at("^python3 maintenance.cancel", "after"),
        },
        ("maintenance.cancel",),
        first=("prepare-reboot", "--delay", "4h", "--yes"),
        changes=frozenset({"scheduled", "state"}),
    ),
]


# One file of the login, one of another kind.
DRIFT = (
    "for f in sudoers.d/opstasks-jobrunner systemd/system/jobrunner-network.service; do"
    " echo '# drift' >>/etc/$f; done; systemctl daemon-reload"
)
HOST = [
    Workflow(
        "config.set",
        ("config.set", "MAX_WORKERS=2", "--yes"),
        in_config(True),
        {
            "change": at("^python3 config.change"),
            "changed": at("^python3 config.change", "after"),
        },
        ("config.change",),
        changes=frozenset({"config"}),
    ),
    Workflow(
        "images.update",
        ("images.update", "ehrql:v1", "--yes"),
        lambda before, seen: seen["images"] != before["images"],
        {
            "pull": at("^python3 images.pull"),
            "pulling": at("^python3 images.pull", "during"),
            "switch": at("^python3 images.switch"),
            "switched": at("^python3 images.switch", "after"),
        },
        ("images.pull", "images.switch"),
        changes=frozenset({"images"}),
    ),
    Workflow(
        "sync.start",
        ("sync.start",),
        lambda before, seen: sync_state(seen)[0] == "active",
        {
            "units": at("^python3 sync.units"),
            "timer": at("^systemctl .*opstasks-level3-sync"),
            "copy": at("^rsync"),
            "on": at("^python3 sync.units", "after"),
        },
        ("sync.units",),
        changes=frozenset({"sync", "etc", "files", "state"}),
    ),
    Workflow(
        "sync.once",
        ("sync.once",),
        lambda before, seen: True,
        {"units": at("^python3 sync.units"), "run": at("^systemctl start opstasks-level3-sync")},
        ("sync.units",),
        changes=frozenset({"sync", "etc", "files", "state"}),
    ),
    Workflow(
        "sync.stop",
        ("sync.stop", "--yes"),
        lambda before, seen: sync_state(seen)[0] != "active",
        {"units": at("^python3 sync.units"), "off": at("^python3 sync.units", "after")},
        ("sync.units",),
        first=("sync.start",),
        changes=frozenset({"sync", "etc", "files", "state"}),
    ),
    Workflow(
        "manage",
        ("manage", "--yes"),
        lambda before, seen: seen["etc"] == before["kept"]["etc"],
        {
            "apply": at("^python3 manage.apply"),
            "applied": at("^python3 manage.apply", "after"),
            "install": at("^python3 manage.install_access"),
            "installed": at("^python3 manage.install_access", "after"),
            "confirm": at("^python3 manage.confirm_access"),
            "confirmed": at("^python3 manage.confirm_access", "after"),
        },
        ("manage.apply", "manage.install_access", "manage.confirm_access"),
        prepare=DRIFT,
        changes=frozenset({"etc", "config", "state", "service", "accounts"}),
    ),
    Workflow(
        "manage that locks people out",
        ("manage", "--only", "access", "--yes"),
        lambda before, seen: before["etc"] == seen["etc"],
        {
            "restore": at("^python3 manage.restore_access"),
            "restored": at("^python3 manage.restore_access", "after"),
        },
        ("manage.install_access", "manage.restore_access"),
        prepare=DRIFT,
        lead=(at("^python3 manage.install_access", "after"), "touch /run/nologin"),
        changes=frozenset({"etc", "state"}),
        codes=frozenset({1}),
    ),
    Workflow(
        "users.disable",
        ("users.disable", "eve", "--yes"),
        lambda before, seen: "nologin" in seen["accounts"].get("/etc/passwd:eve", ""),
        {"apply": at("^python3 manage.apply"), "applied": at("^python3 manage.apply", "after")},
        ("manage.apply",),
        changes=frozenset({"accounts", "etc"}),
    ),
    Workflow(
        "lock.break",
        ("lock.break", "--reason", "hangs", "--yes"),
        lambda before, seen: seen["lock_is_free"],
        {"stop": at("^python3 locks.stop"), "stopped": at("^python3 locks.stop", "after")},
        ("locks.stop",),
        prepare="runuser -u opensafely -- setsid flock /var/lib/opstasks/lock"
        " bash -c 'exec -a faults-holder sleep 300' >/dev/null 2>&1 & sleep 0.5",
        changes=frozenset({"lock"}),
    ),
]
