"""For all tests: a skipped test is a failure where everything must run (`--no-skips`)."""

import pytest


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
