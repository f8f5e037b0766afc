"""Our own docker engine, for tests of several folders."""

import contextlib

import pytest

from tests.fake_engine import DOCKER_20, RELEASES, FakeEngine


@pytest.fixture
def start_engine(tmp_path, monkeypatch):
    """Start an engine of a release; our programs in this process find it by DOCKER_HOST."""
    with contextlib.ExitStack() as stack:

        def start(release=DOCKER_20):
            engine = stack.enter_context(FakeEngine(tmp_path / "docker.sock", tmp_path, release))
            stack.callback(engine.shutdown)
            monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.path}")
            return engine.start()

        yield start


@pytest.fixture(params=RELEASES, ids=lambda release: f"docker-{release.name}")
def any_engine(request, start_engine):
    """An engine of each release that we work with, one after another."""
    return start_engine(request.param)
