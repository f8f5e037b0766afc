"""For all tests: a skipped test is a failure where everything must run (`--no-skips`).

No test writes to the records, or reads the settings, of the person who runs it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
# Fixtures that tests of several folders use, by feature.
pytest_plugins = tuple(
    f"tests.plugins.{path.stem}"
    for path in sorted((ROOT / "tests" / "plugins").glob("*.py"))
    if path.stem != "__init__"
)

# The time of one example depends more on the machine than on the code. The usual run has the same
# examples each time, so that no change fails by chance; `make fuzz` looks for new ones.
settings.register_profile("opstasks", deadline=None, derandomize=True)
settings.register_profile("new_examples", deadline=None, derandomize=False, max_examples=1000)
settings.load_profile("opstasks")


@pytest.fixture(scope="session", autouse=True)
def nobodys_home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("OPSTASKS_")]:
            if name not in ("OPSTASKS_SANDBOX_DIR", "OPSTASKS_KEEP_SANDBOX"):
                patch.delenv(name)
        for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


# -- real hosts --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sandbox(request):
    """The sandbox package, with as many hosts up as the file is marked for: sandbox-1, ..."""
    from opstasks.sandbox import api as package

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
    from tests import json_schema

    def run(*argv, inventory=sandbox_dir / "hosts.yaml", env=None, timeout_s=240):
        done = subprocess.run(
            [str(Path(sys.executable).with_name("inv")), *argv],
            cwd=ROOT,
            env={**home, "OPSTASKS_HOSTS": str(inventory), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        json_schema.check_run(argv, done.stdout)
        return done

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
    """Most releases here start or fail at once; for slow ones, tests set the time to watch."""
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

    from opstasks.fleet.host_settings import load

    def find(name, **over):
        known = load(sandbox_dir / "hosts.yaml")
        (found,) = known.select([name])
        return msgspec.structs.replace(found, **over)

    return find


@pytest.fixture
def connect():
    """Open a host over SSH; closed after the test."""
    from opstasks.fleet.host import Host
    from opstasks.fleet.ssh import SSHTransport

    opened = []

    def make(spec, **options):
        opened.append(Host(spec, connect=SSHTransport, **options))
        return opened[-1]

    yield make
    for host in opened:
        host.close()


@pytest.fixture
def fake_host():
    """Make strict stand-ins for hosts (tests/fake_host.py); each is checked after the test."""
    from tests.fake_host import FakeHost

    made = []

    def make(name="tpp", **spec):
        made.append(FakeHost(name, **spec))
        return made[-1]

    yield make
    for host in made:
        host.finish()


# -- how the tests run -------------------------------------------------------------------------


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# The slowest files, the longest first: started last, each would keep one worker busy while the
# others have nothing left to do. Then other files that need a host; then the many quick ones.
LONG = (
    "fleet/openssh/test_openssh_sandbox.py",
    "faults/test_chosen_sandbox.py",
    "deploy/test_deploy_sandbox.py",
    "maintenance/test_reboot_sandbox.py",
    "deploy/test_interrupted_sandbox.py",
    "deploy/test_interference_sandbox.py",
    "deploy/test_checkout_faults_sandbox.py",
    "locks/test_left_running_sandbox.py",
    "maintenance/test_interference_sandbox.py",
    "jobs/test_interrupted_jobs_sandbox.py",
    "jobs/test_changing_sandbox.py",
    "canary/test_canaries_sandbox.py",
    "stories/test_playbook.py",
    "manage/test_manage_sandbox.py",
    "jobs/test_reading_sandbox.py",
    "maintenance/test_pause_sandbox.py",
    "sync/test_sync_sandbox.py",
    "images/test_images_sandbox.py",
    "stories/test_playbook_jobs.py",
    "jobs/test_stats_sandbox.py",
    "jobs/test_matrix_sandbox.py",
)
# Of the tests that need no host, these take longest, for the same reason.
SLOWEST_QUICK = ("fuzz/",)
MISPLACED = pytest.StashKey[list[str]]()


def needs_a_host(path):
    """Whether the tests of a file run on real hosts: its name says so."""
    return path.name.endswith("_sandbox.py") or path.parent.name == "stories"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """The order in which the workers of a parallel run take the files."""

    def order(item):
        name = item.path.relative_to(ROOT / "tests").as_posix()
        long = LONG.index(name) if name in LONG else len(LONG)
        return (not needs_a_host(item.path), long, not name.startswith(SLOWEST_QUICK))

    items.sort(key=order)
    # Before -m removes tests: those that use a host although their file's name does not say so.
    config.stash[MISPLACED] = [
        item.nodeid
        for item in items
        if "sandbox" in item.fixturenames and not needs_a_host(item.path)
    ]


@pytest.fixture(scope="session")
def misplaced_tests(pytestconfig):
    """Ids of collected tests that use a host in a file that is not named for it."""
    return pytestconfig.stash[MISPLACED]
