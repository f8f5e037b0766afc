"""Screens as text files that a person can read; UPDATE_GOLDEN=1 writes them anew."""

import os

import pytest


@pytest.fixture
def golden():
    """Compare a screen with its file: `golden(path, text)`."""

    def check(path, text):
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text()

    return check
