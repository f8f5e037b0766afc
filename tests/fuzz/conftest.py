"""The settings of this folder."""

import pytest
from hypothesis import settings

from tests.fuzz import examples  # noqa: F401 (registers the profile)


@pytest.fixture(autouse=True)
def many_examples():
    """The settings of this folder."""
    before = settings.get_current_profile_name()
    settings.load_profile("fuzz")
    yield
    settings.load_profile(before)
