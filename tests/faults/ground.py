"""The states that the pairs start from, kept on the host and restored in seconds."""

import json
import os
from pathlib import Path

import yaml

from opstasks.sandbox import api
from tests.faults import traps
from tests.faults.client import ROOT, Client, run
from tests.faults.machine import FOLDER
from tests.look import CODE, DB, HOME, LIB, SQLITE, until

WORKSPACE = "faults"
FOLDER_HERE = Path(os.environ.get("OPSTASKS_FAULTS_DIR", ROOT / ".faults"))
SOURCE, LEVEL4 = "/e/FILESFORL4/workspaces", "D:\\Level4Files\\workspaces"
REGISTRY = f"""
version: 0.1
storage: {{filesystem: {{rootdirectory: {FOLDER}/registry}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:5000"}}
"""
# Three files of Level 4, two of them also at the source of the sync.
FILES = f"""
umask 027
for top in /srv/high_privacy /srv/medium_privacy; do
  runuser -u opensafely -- mkdir -p $top/workspaces/{WORKSPACE}/out
  for n in a b c; do
    runuser -u opensafely -- sh -c "echo $n >$top/workspaces/{WORKSPACE}/out/$n.csv"
  done
done
umask 022; mkdir -p /e; mountpoint -q /e || mount -t tmpfs -o mode=0755 tmpfs /e
mkdir -p {SOURCE}/{WORKSPACE}/out; chmod 0755 /e/FILESFORL4; chmod 0777 {SOURCE}
for n in a b; do echo $n >{SOURCE}/{WORKSPACE}/out/$n.csv; done
chown -R opensafely {SOURCE}
"""
IMAGES = """
set -e
grep -q registry-proxy /etc/hosts || echo '127.0.0.1 registry-proxy' >>/etc/hosts
echo '{"insecure-registries": ["registry-proxy:5000"]}' >/etc/docker/daemon.json
systemctl reload docker
docker tag ghcr.io/opensafely-core/ehrql:v1 keep-ehrql:v1
systemctl is-active -q faults-registry ||
  systemd-run --quiet --unit=faults-registry --collect \\
    docker-registry serve /opt/faults/registry.yml
for _ in $(seq 50); do curl -sf http://127.0.0.1:5000/v2/ >/dev/null && break; sleep 0.2; done
tag=registry-proxy:5000/opensafely-core/ehrql:v1
c=$(docker create keep-ehrql:v1)
echo newer >/tmp/content; docker cp /tmp/content $c:/content
docker commit $c $tag >/dev/null; docker rm $c >/dev/null
docker push -q $tag; docker rmi $tag
"""


class Ground:
    """The kept states of one host.

    `old` is at 2.71.0, `new` at 2.73.0 after a deploy, `half` in the middle of it.
    """

    def __init__(self, machine, folder):
        self.machine, self.folder = machine, Path(folder)
        self.inventory = self._write_inventory("hosts.yaml")
        self.asking = self._write_inventory("asking.yaml", user="dev", sudo="ask")
        self.own = self._write_inventory("own.yaml", user="opensafely")
        self.job, self.kept = "", {}

    def _write_inventory(self, name, **over):
        found = yaml.safe_load((self.machine.sandbox_dir / "hosts.yaml").read_text())
        for host in found["hosts"].values():
            host.update(
                level3_source=SOURCE,
                level4_folder=LEVEL4,
                registry_proxy="registry-proxy:5000/opensafely-core",
                deploy={"watch_s": 1},
                **over,
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.machine.name}-{name}"
        path.write_text(yaml.safe_dump(found))
        return path

    def build(self):
        """Make the kept states, from a managed host."""
        machine = self.machine
        traps.install(machine)
        machine.put(f"{FOLDER}/registry.yml", REGISTRY)
        for name in ("reset.sh", "keep.sh", "job.sh", "look.py"):
            machine.put(f"{FOLDER}/{name}", machine.file(name))
        machine.sh(FILES)
        machine.sh(IMAGES)
        machine.sh("id eve >/dev/null 2>&1 || useradd -m -s /bin/bash -G developers eve")
        self._keep()
        self.use()

    def use(self):
        """Use the states that are kept on the host already; nothing else is done."""
        for name in ("reset.sh", "keep.sh", "job.sh", "look.py", "wrap.sh"):
            self.machine.put(f"{FOLDER}/{name}", self.machine.file(name))
        self.job = self.machine.sh(f"cat {FOLDER}/job")
        self.reset("old")
        self.kept = look(self.machine)

    @property
    def is_built(self):
        """Whether the host has all kept states."""
        there = " -a ".join(f"-e {FOLDER}/{name}/etc" for name in ("old", "half", "new"))
        return self.machine.run(f"[ {there} ]").returncode == 0

    def _keep(self):
        """Keep the states, all with the same running job."""
        machine = self.machine
        api.publish("v2.71.0", [machine.name])
        self._at_old_release()
        self.job = self._running_job()
        machine.put(f"{FOLDER}/job", self.job, "0644")
        # Without the service: it would see the job without its container.
        machine.sh(f"systemctl stop jobrunner; {FOLDER}/job.sh runs")
        api.publish("v2.73.0", [machine.name])
        machine.sh(f"{FOLDER}/keep.sh old")
        assert self._job_runs(), "the kept job does not run"
        self._keep_half()
        self.reset("old")
        done = run(self, "deploy", "--yes", "--watch", "1")
        assert done.code == 0, done.out + done.err
        machine.sh(f"{FOLDER}/keep.sh new")

    def _keep_half(self):
        """A release whose client and step were killed before the migration."""
        trapper = traps.Trapper(self.machine)
        trapper.arm(traps.Trap("^python3 -m jobrunner.cli.migrate"))
        client = Client(self, ["deploy", "--yes", "--watch", "1"])
        hit = trapper.wait(60)
        assert hit, "the migration was not reached"
        client.process.kill()
        client.process.communicate()
        # Also the migration, which would go on when the trap is removed.
        step = "pkill -KILL -f '[e]xec.sys.stdin.readline'"
        self.machine.sh(f"{step}; kill -KILL {hit.pid}; sleep 0.5")
        trapper.disarm()
        self.machine.sh(f"{FOLDER}/keep.sh half down")

    def _at_old_release(self):
        as_service = "runuser -u opensafely --"
        lines = [
            "systemctl kill -s KILL jobrunner; systemctl stop jobrunner",
            "systemctl reset-failed jobrunner",
            "docker ps -aq --filter name=^os- | xargs -r docker rm -f",
            "docker volume ls -q --filter name=^os- | xargs -r docker volume rm",
            f"rm -rf {HOME}/opstasks/*; rm -f {DB}*",
        ]
        for path in (CODE, LIB):
            lines.append(f"rm -f {path}/.git/*.lock")
            lines.append(f"{as_service} git -C {path} checkout -qf --detach v2.71.0")
            lines.append(f"{as_service} git -C {path} clean -qfd")
        migrate = f". {HOME}/config/load-env; cd {CODE}; python3 -m jobrunner.cli.migrate"
        lines.append(f"{as_service} bash -c '{migrate}'; systemctl start jobrunner")
        self.machine.sh("\n".join(lines))

    def _running_job(self):
        (job,) = api.submit(self.machine.name, "longer", "base")
        self.job = job
        until(self._job_runs, "the job runs")
        return job

    def _job_runs(self):
        query = f"select status_code from job where id='{self.job}'"
        runs = f'{SQLITE} {DB} "{query}"; docker ps -q --filter name=os-job-{self.job}'
        return self.machine.sh(runs).startswith("executing\n")

    def reset(self, which):
        """Restore a kept state."""
        machine = self.machine
        if not machine.is_up:
            machine.power_on()
        machine.sh(f"{FOLDER}/reset.sh {which}", timeout_s=180)


def look(machine, cursor=""):
    """What an observer sees; the host must be up."""
    return json.loads(machine.sh(f"/usr/bin/python3 -I {FOLDER}/look.py '{cursor}'"))


def ready(machine):
    """The kept states of a host; made when it has none."""
    ground = Ground(machine, FOLDER_HERE)
    if ground.is_built:
        ground.use()
        return ground
    done = Client(ground, ["manage", "--yes"]).end()
    assert done.code == 0, done.text
    ground.build()
    return ground
