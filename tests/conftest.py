"""For all tests: a skipped test is a failure where everything must run (`--no-skips`).

None writes to the records, or reads the settings, of whoever runs them.
"""

import os

import pytest
from hypothesis import settings

# How long one example takes says more of the machine than of the code.
settings.register_profile("opstasks", deadline=None)
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


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# Files that take longest, the longest first: begun last, each would keep one worker busy while the
# others have nothing left to do. Then whatever else needs a host; then the many quick ones.
LONG = (
    "deploy",
    "reboot",
    "deploy_cut_off",
    "jobs_changing",
    "playbook",
    "manage",
    "jobs_reading",
    "pause",
    "sync",
    "images",
    "playbook_jobs",
    "jobs_stats",
    "jobs_matrix",
)


def pytest_collection_modifyitems(items):
    """The order in which the workers of a parallel run take the files."""

    def order(item):
        name = item.path.stem.removeprefix("test_")
        is_long = item.path.parent.name in ("sandbox", "stories")
        return (not is_long, LONG.index(name) if is_long and name in LONG else len(LONG))

    items.sort(key=order)
