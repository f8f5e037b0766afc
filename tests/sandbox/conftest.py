"""Real hosts for tests. `sandbox` is the package with its hosts up; the rest are ways to them.

The state directory is OPSTASKS_SANDBOX_DIR, else .sandbox-test beside the project; each worker
of a parallel run has its own. Each test file starts with new hosts: what one leaves behind is no
other one's trouble. OPSTASKS_KEEP_SANDBOX=1 keeps them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sandbox(request):
    """The sandbox package, with as many hosts up as the file is marked for: sandbox-1, ..."""
    import sandbox as package

    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    chosen = os.environ.get("OPSTASKS_SANDBOX_DIR") or str(ROOT / ".sandbox-test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSTASKS_SANDBOX_DIR", f"{chosen}-{worker}" if worker else chosen)
        try:
            marked = request.node.get_closest_marker("hosts")
            package.up(hosts=marked.args[0] if marked else 2)
            yield package
        finally:
            if os.environ.get("OPSTASKS_KEEP_SANDBOX") != "1":
                package.down()


@pytest.fixture(scope="module")
def sandbox_dir(sandbox):
    """The state directory: hosts.yaml, ssh_config, id_ed25519, sudo-password."""
    return Path(os.environ["OPSTASKS_SANDBOX_DIR"])


@pytest.fixture(scope="module")
def ssh(sandbox_dir):
    """Run a shell command over plain ssh; the completed process is returned, as text."""

    def run(host, command, *, user="ops", stdin="", timeout_s=60):
        argv = ["ssh", "-F", str(sandbox_dir / "ssh_config"), f"{user}@{host}", command]
        return subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    return run


@pytest.fixture(scope="module")
def observer(sandbox):
    """A host as pytest-testinfra sees it from outside SSH, as root: `observer("sandbox-1")`."""
    import testinfra

    def look(name):
        return testinfra.get_host(f"docker://{sandbox.find(name).container}")

    return look


@pytest.fixture(scope="module")
def inv(sandbox_dir, tmp_path_factory):
    """Run the real `inv` as an operator would; the completed process is returned, as text."""
    state = tmp_path_factory.mktemp("state")
    home = {**os.environ, "XDG_STATE_HOME": str(state)}
    home.pop("OPSTASKS_SUDO_PASSWORD_FILE", None)

    def run(*argv, inventory=sandbox_dir / "hosts.yaml", env=None, timeout_s=240):
        command = [str(Path(sys.executable).with_name("inv")), "--inventory", str(inventory), *argv]
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**home, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def managed(inv, sandbox):
    """Every host made a backend host by `manage`, the service running."""
    done = inv("-H", "sandbox", "manage", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    return sandbox


@pytest.fixture(scope="module")
def look(managed):
    """A managed host as root sees it: `look("sandbox-1").version`."""
    from tests.look import Look

    return lambda name: Look(managed, name)


@pytest.fixture(scope="module")
def briefly_watched(sandbox_dir):
    """Most releases here start or fail at once; those that take their time say how long to look."""
    with (sandbox_dir / "hosts.yaml").open("a") as file:
        file.write("defaults:\n  deploy:\n    watch_s: 3\n")


@pytest.fixture
def at_old_release(managed, look, briefly_watched):
    """Both hosts at 2.71.0, serving, with a new release waiting upstream."""
    for name in ("sandbox-1", "sandbox-2"):
        look(name).back_to_the_old_release()
    managed.publish("v2.73.0")
    yield
    managed.publish("v2.71.0")


@pytest.fixture
def spec(sandbox_dir):
    """A host of the inventory: `spec("sandbox-1", user="dev")`."""
    import msgspec

    from opstasks import inventory

    def find(name, **over):
        known = inventory.load(sandbox_dir / "hosts.yaml")
        (found,) = known.select([name])
        return msgspec.structs.replace(found, **over)

    return find


@pytest.fixture
def connect():
    """Open a host over SSH; closed after the test."""
    from opstasks.host import Host
    from opstasks.transport import SSHTransport

    opened = []

    def make(spec, **options):
        opened.append(Host(spec, connect=SSHTransport, **options))
        return opened[-1]

    yield make
    for host in opened:
        host.close()
