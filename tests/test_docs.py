"""Every task explains itself, with an example that the program understands."""

import inspect
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from opstasks.cli.argv import arrange
from opstasks.cli.catalogue import core_shape
from opstasks.cli.old_names import OLD_NAMES
from opstasks.cli.program import CommandLine
from opstasks.namespace import namespace

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(namespace.task_names)


@pytest.fixture(scope="module")
def program():
    """The program with its tasks loaded, before it has parsed a line."""
    made = CommandLine(name="inv", binary="inv", namespace=namespace)
    made.create_config()
    made.normalize_argv(["inv"])
    made.parse_core_args()
    made.parse_collection()
    return made


def example(name):
    lines = (inspect.getdoc(namespace[name]) or "").splitlines()
    (found,) = (line for line in lines if line.startswith("Example: inv "))
    return found.removeprefix("Example: ")


@pytest.mark.parametrize("name", NAMES)
def test_a_task_has_an_example_that_parses(program, name):
    for line in example(name).split("; "):
        words = shlex.split(line.partition(" > ")[0])
        if words[0] != "inv":
            continue
        words = words[1 : words.index("--")] if "--" in words else words[1:]
        core = core_shape(list(program.initial_context.args.values()))
        arranged = arrange(words, core, program.shapes())
        parsed = program.make_parser(arranged).parse_argv(arranged)
        assert len(parsed) > 1, "no task in it"


@pytest.mark.parametrize("name", NAMES)
def test_a_task_has_a_summary_and_help_for_every_flag(program, name):
    summary = (inspect.getdoc(namespace[name]) or "").splitlines()[0]
    assert summary.endswith(".")
    (context,) = (c for c in program.contexts if c.name == name)
    for arg in context.args.values():
        assert arg.help, f"--{arg.name} has no help"


def test_old_names_map_to_tasks():
    assert set(OLD_NAMES.values()) <= set(NAMES)


def test_the_generated_docs_match_the_code():
    done = subprocess.run(
        [sys.executable, "scripts/gen_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_link_in_the_docs_has_a_target():
    import re

    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
