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


def pytest_collection_modifyitems(items):
    """Quick tests first; then the bare sandbox, which `manage` changes for the tests after it."""

    def order(item):
        path = str(item.path)
        return ("/sandbox/" in path or "/stories/" in path, "sandbox_itself" not in path)

    items.sort(key=order)
