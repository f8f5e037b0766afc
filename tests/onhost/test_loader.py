"""Modules that were sent as text: what a program gets, and when."""

import subprocess
import sys
from pathlib import Path

import pytest

from opstasks.onhost import loader

LOADER = "opstasks/onhost/loader.py"
SENT = {
    LOADER: Path(loader.__file__).read_text(),
    "opstasks/onhost/used.py": "print('used')\nVALUE = 1\n",
    "opstasks/onhost/unused.py": "print('unused')\ndef\n",
    "opstasks/thing/onhost/act.py": (
        "from opstasks.onhost.used import VALUE\n"
        "def fail():\n"
        "    from opstasks.onhost import unused\n"
        "def divide():\n"
        "    return VALUE / 0  # by nothing\n"
    ),
}


def ran(code):
    """The lines that code prints after these modules were installed, in a Python of its own."""
    report = "import traceback; traceback.print_exc()"
    program = f"try:\n    {code}\nexcept Exception:\n    {report}"
    text = f"exec({SENT[LOADER]!r})\ninstall({SENT!r})\n{program}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-"], input=text, capture_output=True, text=True, cwd="/"
    )
    return (done.stdout + done.stderr).splitlines()


def test_a_module_is_run_when_it_is_first_imported():
    act = "opstasks.thing.onhost.act"
    assert ran("pass") == []
    assert ran(f"import {act}; import {act}; print({act}.VALUE)") == ["used", "1"]


def test_a_module_with_an_error_fails_only_where_it_is_imported():
    lines = ran("from opstasks.thing.onhost.act import fail; fail()")
    assert lines[0] == "used"
    assert '  File "opstasks/onhost/unused.py", line 2' in lines
    assert lines[-1].startswith("SyntaxError: ")


def test_a_traceback_shows_the_real_file_and_its_text():
    lines = ran("from opstasks.thing.onhost.act import divide; divide()")
    place = lines.index('  File "opstasks/thing/onhost/act.py", line 5, in divide')
    assert lines[place + 1] == "    return VALUE / 0  # by nothing"


def test_a_module_has_the_usual_names():
    code = "from opstasks.thing.onhost import act; import opstasks; "
    print_names = "print(act.__name__, act.__file__, act.__package__, opstasks.__path__)"
    expected = "opstasks.thing.onhost.act opstasks/thing/onhost/act.py opstasks.thing.onhost []"
    assert ran(code + print_names) == ["used", expected]


@pytest.mark.parametrize("name", ["opstasks.onhost.flock", "opstasks.core.errors", "opstasks.x"])
def test_a_module_of_ours_that_was_not_sent_is_not_taken_from_the_host(name):
    """This Python has opstasks installed, as an operator's workstation has."""
    assert ran(f"import {name}")[-1].startswith("ModuleNotFoundError: No module named ")


def test_a_program_that_imports_the_loader_has_the_texts():
    code = "from opstasks.onhost import loader; print(sorted(loader.SOURCES))"
    assert ran(code) == [str(sorted(SENT))]
