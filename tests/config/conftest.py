"""A host's configuration in a folder of the test."""

import pytest

from opstasks.config.onhost import show
from tests.config.config_help import write_config


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A host's config directory, and code that reads some keys; the service does not run."""
    write_config(tmp_path)
    monkeypatch.setattr(show, "service_environment", lambda unit: None)
    return tmp_path
