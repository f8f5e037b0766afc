"""5 directories and 10 files on a host 100 ms away: `inv manage` compared with pyinfra 3.10.

Both use SSH with sudo. Each runs in its own process, one after the other, through the same delaying
proxy, on a host of the sandbox: from nothing, and with nothing to change. Independent checks verify
that both did the work. pyinfra is installed from PyPI into an environment
of its own (.bench/). Exits with 1 if a limit is exceeded.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

import yaml

from opstasks.sandbox import api as sandbox
from opstasks.sandbox import instance
from opstasks.sandbox.delay_proxy import DelayProxy

ROOT = Path(__file__).resolve().parents[1]
INV = Path(sys.executable).with_name("inv")
PYINFRA = "pyinfra==3.10.0"
ENVIRONMENT = ROOT / ".bench" / PYINFRA
HOST = "sandbox-1"
ONE_WAY_MS = 50
RUNS = 3
# The limits: at most this many seconds, and at least this many times faster in the same run.
LIMITS_S = {"from nothing": 2.5, "no change": 1.5}
TIMES_FASTER = 6.0
DIRECTORIES = [f"d{number}" for number in range(5)]
FILES = [f"d{number % 5}/f{number}" for number in range(10)]


def content(name: str) -> str:
    """The content of a file."""
    return f"# {name}\n" + "setting = value\n" * 20


def make_opstasks(folder: Path, port: int, top: str) -> Callable[[], None]:
    """A description and an inventory; then `inv manage --yes`."""
    place = folder / "backends" / "bench"
    (place / "files").mkdir(parents=True)
    for name in FILES:
        (place / "files" / name.replace("/", "-")).write_text(content(name))
    owned = {"owner": "root", "group": "root"}
    described = {
        "directories": [
            {"path": path, "mode": "0755", **owned}
            for path in (top, *(f"{top}/{name}" for name in DIRECTORIES))
        ],
        "files": [
            {"path": f"{top}/{name}", "source": name.replace("/", "-"), "mode": "0640", **owned}
            for name in FILES
        ],
    }
    (place / "host.yaml").write_text(yaml.safe_dump(described))
    known = yaml.safe_load((instance.current().directory / "hosts.yaml").read_text())
    host = known["hosts"][HOST] | {"address": "127.0.0.1", "port": port, "backend": "bench"}
    (folder / "hosts.yaml").write_text(yaml.safe_dump({"hosts": {"bench": host}}))
    line = [str(INV), "--inventory", str(folder / "hosts.yaml"), "-H", "bench", "manage", "--yes"]
    env = {**os.environ, "OPSTASKS_BACKENDS": str(folder / "backends")}
    env["XDG_STATE_HOME"] = str(folder)

    def run() -> None:
        require_success(subprocess.run(line, env=env, check=False, capture_output=True, text=True))

    return run


def make_pyinfra(folder: Path, port: int, top: str) -> Callable[[], None]:
    """The same as a pyinfra deploy, in its own environment."""
    if not (ENVIRONMENT / "bin" / "pyinfra").exists():
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        subprocess.run([ENVIRONMENT / "bin" / "pip", "install", "--quiet", PYINFRA], check=True)
    data = {
        "ssh_hostname": "127.0.0.1",
        "ssh_port": port,
        "ssh_user": "ops",
        "ssh_key": str(instance.current().identity),
        "ssh_strict_host_key_checking": "no",
        "_sudo": True,
    }
    (folder / "inventory.py").write_text(f"hosts = [('bench', {data!r})]\n")
    for name in FILES:
        (folder / name.replace("/", "-")).write_text(content(name))
    (folder / "deploy.py").write_text(
        "from pyinfra.operations import files\n"
        f"for name in {['', *DIRECTORIES]!r}:\n"
        f"    files.directory({top!r} + '/' + name, user='root', group='root', mode='755')\n"
        f"for name in {FILES!r}:\n"
        f"    files.put(name.replace('/', '-'), {top!r} + '/' + name,"
        " user='root', group='root', mode='640')\n"
    )
    line = [str(ENVIRONMENT / "bin" / "pyinfra"), "-y", "inventory.py", "deploy.py"]

    def run() -> None:
        require_success(
            subprocess.run(line, cwd=folder, check=False, capture_output=True, text=True)
        )

    return run


def require_success(done: subprocess.CompletedProcess[str]) -> None:
    """End the program if a tool failed."""
    if done.returncode:
        sys.exit(f"{done.args[0]} failed:\n{done.stdout}{done.stderr}")


def check(top: str) -> None:
    """Check from outside that everything is there with its rights."""
    found = sandbox.must(HOST, ["sh", "-c", f"cd {top}; find . -printf '%M %u:%g %P\\n'"])
    wanted = [f"-rw-r----- root:root {name}" for name in FILES]
    wanted += [f"drwxr-xr-x root:root {name}" for name in DIRECTORIES]
    assert set(wanted) <= set(found.splitlines()), found
    for name in FILES:
        assert sandbox.must(HOST, ["cat", f"{top}/{name}"]) == content(name)


def seconds(run: Callable[[], None]) -> float:
    """How long a run takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def measure(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Seconds by case and tool."""
    found: dict[str, dict[str, list[float]]] = {case: {} for case in LIMITS_S}
    address = sandbox.find(HOST).address
    with DelayProxy((address, 22), ONE_WAY_MS, delay_connect=True) as proxy:
        tools = {}
        for name, make in (("opstasks", make_opstasks), ("pyinfra", make_pyinfra)):
            (folder / name).mkdir()
            tools[name] = make(folder / name, proxy.port, f"/opt/bench-{name}")
        for _ in range(RUNS):
            for name, run in tools.items():
                top = f"/opt/bench-{name}"
                sandbox.must(HOST, ["rm", "-rf", top])
                for case in LIMITS_S:
                    found[case].setdefault(name, []).append(seconds(run))
                    check(top)
    for name in tools:
        sandbox.must(HOST, ["rm", "-rf", f"/opt/bench-{name}"])
    return found


def main() -> None:
    """Measure, print, and compare with the limits."""
    os.environ["OPSTASKS_SANDBOX_DIR"] = str(ROOT / ".sandbox-bench")
    try:
        sandbox.up(hosts=1)
        with tempfile.TemporaryDirectory() as name:
            found = measure(Path(name))
    finally:
        sandbox.down()
    good = True
    print(f"5 directories + 10 files, 1 host, {2 * ONE_WAY_MS} ms; median of {RUNS}")
    for case, limit_s in LIMITS_S.items():
        mine, theirs = (statistics.median(found[case][tool]) for tool in ("opstasks", "pyinfra"))
        fine = mine <= limit_s and theirs / mine >= TIMES_FASTER
        good &= fine
        print(
            f"  {case:14} opstasks {mine:5.2f} s (limit: {limit_s} s)   pyinfra {theirs:5.2f} s"
            f"   {theirs / mine:.1f}x (limit: {TIMES_FASTER:g}x)   {'ok' if fine else 'TOO SLOW'}"
        )
    sys.exit(not good)


if __name__ == "__main__":
    main()
