"""The time zone that a host's shell says when it starts."""

import subprocess
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.fleet import zone


@pytest.mark.parametrize(
    ("out", "name", "hours"),
    [
        (b"ready:abc\nUTC +0000\n", "UTC", 0),
        (b"Welcome!\nready:abc\nBST +0100\n", "BST", 1),
        (b"EST -0500\n", "EST", -5),
        (b"GMT +0000\nIST +0530\n", "IST", 5.5),
    ],
)
def test_the_last_line_is_the_zone(out, name, hours):
    found = zone.parse(out)
    assert (str(found), found.utcoffset(None)) == (name, timedelta(hours=hours))


@pytest.mark.parametrize(
    "out",
    [
        b"",
        b"ready:abc\n",
        b"UTC +0000",
        b"UTC +9900\n",
        b"UTC +0061\n",
        b"\x1b[31mUTC +0000\n",
        b"a-very-long-name +0000\n",
        b"UTC +0000\nx",
    ],
)
def test_anything_else_is_no_zone(out):
    assert zone.parse(out) is None


@given(st.binary(max_size=100))
def test_any_output_is_a_zone_or_none(out):
    found = zone.parse(out)
    assert found is None or str(found).isprintable()


@pytest.mark.parametrize("name", ["UTC", "Europe/London", "Asia/Kolkata"])
def test_bash_says_it_in_this_form(name):
    done = subprocess.run(
        ["bash", "-c", zone.SAY], env={"TZ": name}, capture_output=True, check=True
    )
    assert zone.parse(done.stdout) is not None
