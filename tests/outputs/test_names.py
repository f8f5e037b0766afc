"""outputs: names of workspaces and files."""

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.core.hints import one_word, value_of
from opstasks.outputs import names
from tests.outputs.outputs_help import GOOD_NAME

ROOT = "/srv/medium_privacy"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0b"])
def test_a_workspace_is_one_folder(name):
    with pytest.raises(Refused):
        names.workspace(name)


@pytest.mark.parametrize(
    "name", ["", "/", "..", "a/../b", "a//b", "a/", "/etc/passwd", "./a", f"{ROOT}/workspaces/V/a"]
)
def test_a_path_that_could_lead_out_is_refused(name):
    with pytest.raises(Refused):
        names.file(name, "W", ROOT)


def test_the_full_path_of_a_file_in_the_workspace_is_fine():
    assert names.file(f"{ROOT}/workspaces/W/out/a b.csv", "W", ROOT) == "out/a b.csv"


@given(st.lists(GOOD_NAME, min_size=1, max_size=4))
def test_any_file_name_is_taken_literally(parts):
    assert names.file("/".join(parts), "W", ROOT) == "/".join(parts)


@settings(max_examples=200, deadline=None)
@given(GOOD_NAME)
def test_a_name_is_shown_as_bash_reads_it(name):
    shown = one_word(name)
    assert shown.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf %s {shown}"],
        capture_output=True,
        env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        check=True,
    )
    assert value_of(os.fsdecode(done.stdout)) == name


def test_a_name_that_begins_with_a_dash_is_taken_as_it_is_shown():
    assert names.file(one_word("-rf"), "W", ROOT) == "-rf"
    assert names.workspace(one_word("-rf")) == "-rf"


def test_the_partners_path_has_the_partners_slashes():
    shown = names.partner_path("D:\\Level4Files\\workspaces", "W", "out/a b.csv")
    assert shown == "D:\\Level4Files\\workspaces\\W\\out\\a b.csv"
    assert names.partner_path("/mnt/l4/", "W", "a") == "/mnt/l4/W/a"
