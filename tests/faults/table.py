"""The table: which fault is made at which moment of which workflow.

A row names a workflow, its moments ("*" for all) and the faults. `CHOSEN` are the nastiest pairs
that have no test of their own on real hosts: `make test` runs them; `make faults` runs everything.
"""

from tests.faults.run import Case
from tests.faults.workflows import WORKFLOWS

ROWS = """
deploy | * | client killed
deploy | begin, stopped, begun, switch, checkout of code | step killed
deploy | code is out, migrate, serve, started, finish | step killed
deploy | begin, stopped, switch, checkout of code, migrate, started, finish | connection reset
deploy | begin, stopped, checkout of lib, checkout of code | power cut
deploy | code is out, migrate, started, finished | power cut
deploy | stopped, checkout of code, migrate, started | program killed
deploy | begin, stopped, checkout of code, migrate, started | timeout killed
deploy | begin, checkout of code, finish | framed shell killed
deploy | migrate | sudo killed; step and timeout killed; connection stalled; docker restarted
deploy | begin, switch | children killed
deploy | inspect, begin, stopped, migrate, started | ctrl-c
deploy | inspect, switch, started | ctrl-c twice
deploy | stopped, started | reboot
deploy | begin, serve | docker stopped; docker hung; journald stopped; journald hung
deploy | switch | sshd restarted
deploy | inspect, begin, stopped | unit masked
deploy |  | unit masked before; start limit hit; five operators; branch gone upstream
deploy | begin, switch | state folder full; state folder read-only
deploy | begin, migrate | database's folder full; database's folder read-only
deploy | inspect, switch | code's disk full; code read-only
deploy | inspect | tmp full; tmp read-only; state folder full; state folder read-only
deploy | begin | home read-only; var-lib-opstasks read-only
deploy | inspect, begin, migrate | database locked
deploy | migrate | database not writable
deploy | inspect, begin | database corrupt
deploy | inspect, switch | index.lock of somebody; HEAD.lock of a killed git; packed-refs broken
deploy | inspect | object of root; checkout of root
deploy | begin, started | second operator
deploy | stopped, started | service started by hand; service restarted by hand
deploy | started, finish | service stopped by hand
deploy | begin, stopped, checkout of code, started | file edited by hand
deploy | begin, stopped, started | code checked out by hand
deploy | switch | lib checked out by hand; job killed by hand; config edited by hand
deploy |  | sudo password wrong; sudo password missing; sudo password expired
deploy of a broken release | * | client killed; step killed
deploy of a broken release | back stopped, back checkout | timeout killed
deploy of a broken release | back stopped, back checkout | power cut; file edited by hand
deploy of a broken release | roll back | database locked; database's folder full
deploy of a broken release | roll back | state folder full; ctrl-c
deploy --unfinished finish | begin, started | client killed; step killed; power cut
deploy --unfinished finish | begin | database locked; code checked out by hand; file edited by hand
deploy --unfinished back | roll back, started | client killed; step killed; connection reset
deploy --unfinished back | roll back | database locked
deploy --unfinished back | roll back | index.lock of somebody; HEAD.lock of a killed git
deploy.rollback | * | client killed
deploy.rollback | stopped, checkout of code, started | step killed; power cut
deploy.rollback | switch | timeout killed; connection reset; ctrl-c
deploy.rollback | switch | database locked; database's folder full; HEAD.lock of a killed git
deploy.rollback | stopped | file edited by hand; service started by hand; unit masked
deploy.rollback |  | unit masked before; five operators; start limit hit
deploy --restart | begin, stopped, started | client killed; step killed
deploy --restart |  | unit masked before
deploy --restart | begin | unit masked; journald hung; second operator
service.restart | * | client killed; step killed
service.restart | stopped, start | connection reset; power cut
service.restart | stopped, start | ctrl-c; service started by hand; unit masked
service.restart | stop | unit masked; database locked; docker stopped
service.restart | stop | journald hung; second operator; sudo killed
service.restart | stopped | framed shell killed; timeout killed; reboot
service.restart |  | unit masked before; start limit hit; five operators
service.restart |  | sudo password wrong; sudo password missing
service.stop | * | client killed; step killed; connection reset
service.stop | stopped | power cut; service started by hand; ctrl-c
service.start | * | client killed; step killed
service.start | started | service stopped by hand; power cut; connection reset
service.start | start | unit masked; database's folder read-only; database corrupt
service.start |  | start limit hit
jobs.kill | * | client killed; database locked; docker stopped
jobs.kill | mark, kill | step killed
jobs.kill | marked, killing | connection reset; power cut; ctrl-c; docker hung; timeout killed
jobs.kill | mark | database's folder read-only; database corrupt; second operator
jobs.kill | kill | docker restarted; reboot; framed shell killed
jobs.kill |  | five operators
jobs.retry | * | client killed; step killed; database locked; docker stopped
jobs.retry | retry | connection reset; power cut; second operator; state folder read-only
outputs.rm | * | client killed; step killed
outputs.rm | first, second | connection reset; power cut; state folder full; second operator
outputs.rm | second | timeout killed; medium privacy read-only; ctrl-c
outputs.rm | first is gone | state folder read-only; framed shell killed
outputs.rm |  | five operators
outputs.attest | * | client killed; step killed
outputs.attest | attest | connection reset; state folder full; second operator
pause | * | client killed; step killed
pause | paused | connection reset; database locked; power cut; ctrl-c
pause | pause | database locked; state folder full
pause | pause | var-lib-opstasks read-only; second operator; timeout killed
unpause | * | client killed; step killed
unpause | unpause | connection reset; database locked; state folder read-only; power cut
pause --replace | * | client killed; step killed
pause --replace | pause | database locked; state folder full; connection reset; second operator
unpause of somebody's pause | * | client killed; connection reset; second operator
prepare-reboot | * | client killed
prepare-reboot | scheduled, stop | step killed; power cut
prepare-reboot | stop, stopped | connection reset; docker stopped; database locked; reboot
prepare-reboot | stopped | docker hung; ctrl-c; service started by hand
prepare-reboot | stop | database's folder full; unit masked; job killed by hand
prepare-reboot | schedule | etc read-only; second operator; var-lib-opstasks read-only
prepare-reboot by the service account | * | client killed; step killed; connection reset
prepare-reboot by the service account | stopped | database locked; docker stopped; power cut
prepare-reboot --delay | * | client killed; step killed; power cut
prepare-reboot --delay | schedule | var-lib-opstasks read-only; second operator; connection reset
scheduled.cancel | * | client killed; step killed; power cut
scheduled.cancel | cancel | var-lib-opstasks read-only; second operator; connection reset
config.set | * | client killed; step killed
config.set | change | power cut; config folder full
config.set | change | home read-only; config edited by hand; second operator
images.update | * | client killed; step killed
images.update | pulling | docker stopped; docker restarted; ctrl-c; connection reset
images.update | switch | docker hung; power cut; second operator
sync.start | * | client killed; step killed
sync.start | units | etc read-only; power cut; second operator
sync.start | copy | medium privacy read-only; medium privacy full; power cut
sync.once | units | step killed
deploy --unfinished finish | switch | step killed; connection reset
deploy --unfinished back | back | client killed
sync.once | run | client killed; connection reset; medium privacy full; ctrl-c; power cut
sync.stop | * | client killed; step killed
sync.stop | units | connection reset; etc read-only
manage | * | client killed; step killed
manage | apply, install, confirm | power cut; etc read-only; connection reset
manage | apply | dpkg locked; sshd restarted; home read-only; ctrl-c; second operator
manage | installed | timeout killed; framed shell killed; sshd restarted; var-lib-opstasks read-only
manage that locks people out | * | client killed; step killed; etc read-only
users.disable | * | client killed; step killed
users.disable | apply | power cut; second operator; etc read-only; connection reset
lock.break | * | client killed; step killed
lock.break | stop | connection reset; power cut; second operator
"""
CHOSEN = """
deploy / stopped / client killed
deploy / checkout of code / timeout killed
deploy / migrate / connection reset
deploy / started / power cut
deploy / inspect / HEAD.lock of a killed git
deploy of a broken release / back checkout / client killed
deploy.rollback / start / five operators
outputs.rm / second / client killed
pause / paused / connection reset
prepare-reboot / stopped / client killed
manage / installed / framed shell killed
"""


def rows():
    """Every row as (workflow, moments, faults)."""
    for line in ROWS.strip().splitlines():
        flow, points, faults = (part.strip() for part in line.split("|"))
        found = list(WORKFLOWS[flow].points) if points == "*" else points.split(",")
        yield flow, [point.strip() for point in found], [f.strip() for f in faults.split(";")]


def cases():
    """Every pair, in the table's order, each once."""
    found = {}
    for flow, points, faults in rows():
        for point in points:
            for fault in faults:
                case = Case(flow, point, fault)
                found[case.name] = case
    return list(found.values())


def chosen():
    """The pairs of `make test`."""
    names = CHOSEN.strip().splitlines()
    return [case for case in cases() if case.name in names]
