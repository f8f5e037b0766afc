"""Our programs on a host: sent whole, run as modules, called by one protocol."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import opstasks
from opstasks.core.errors import (
    CommandFailed,
    InvalidResponse,
    OpsError,
    ProgramFailed,
    Refused,
    TimedOut,
)
from opstasks.core.fields import Count, Line, Moment
from opstasks.core.result import Result
from opstasks.fleet.program import PYTHON, Program, Reader, packed, script_text, sources

PACKAGE = Path(opstasks.__file__).parent
ON_HOST = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("onhost/*.py"))
    if path.name != "__init__.py"
]


class Asked(msgspec.Struct):
    word: str = ""


class Answered(msgspec.Struct):
    word: Line
    count: Count = 0
    at: Moment = 0


ECHO = Program("opstasks.echo.onhost.echo", Asked, Answered, part=Line)

SHARED = '''
"""Shared."""


def shout(word):
    return word.upper()
'''
ECHO_TEXT = '''
"""An echo."""

from opstasks.onhost.protocol import HostFailure, HostRefusal, send_part
from opstasks.echo.onhost.shared import shout


def fail():
    raise HostFailure("it broke", "the last lines")


def main(request):
    word = request["word"]
    if word == "refuse":
        raise HostRefusal("no", "because")
    if word == "fail":
        fail()
    if word == "crash":
        return {}[word]
    if word == "parts":
        send_part("one")
        send_part("two")
    return {"word": shout(word), "count": 3}
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A feature with a program of two modules."""
    folder = tmp_path / "opstasks" / "echo" / "onhost"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        (path / "__init__.py").write_text("")
    (folder / "shared.py").write_text(SHARED)
    (folder / "echo.py").write_text(ECHO_TEXT)
    monkeypatch.setattr(opstasks, "__path__", [*opstasks.__path__, str(tmp_path / "opstasks")])
    yield folder
    sources.cache_clear()
    for name in [name for name in sys.modules if name.startswith("opstasks.echo")]:
        del sys.modules[name]


def ran(text, *argv):
    """Run a program as a host does: isolated, with its text on standard input."""
    words = [sys.executable, *PYTHON[1:], *argv]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    return Result("python3", done.returncode, done.stdout, done.stderr)


def asked(word):
    return ECHO.decode(ran(packed(ECHO.module, Asked(word))), "tpp")


def test_a_program_runs_as_modules_and_answers_in_its_type(package):
    assert asked("hello ü") == Answered("HELLO Ü", 3)


def test_a_refusal_by_the_host_raises_refused(package):
    with pytest.raises(Refused) as caught:
        asked("refuse")
    error = caught.value
    assert (error.message, error.tail, error.host) == ("no", "because", "tpp")


def test_a_failure_names_the_real_file_and_line(package):
    with pytest.raises(ProgramFailed) as caught:
        asked("fail")
    error = caught.value
    assert (error.message, error.tail, error.command) == ("it broke", "the last lines", "echo.echo")
    line = ECHO_TEXT.splitlines().index('    raise HostFailure("it broke", "the last lines")') + 1
    assert f'File "opstasks/echo/onhost/echo.py", line {line}, in fail' in error.traceback
    assert 'raise HostFailure("it broke", "the last lines")' in error.traceback


def test_a_defect_on_the_host_is_a_failure_with_its_traceback(package):
    with pytest.raises(ProgramFailed, match="KeyError: 'crash'") as caught:
        asked("crash")
    assert 'File "opstasks/echo/onhost/echo.py"' in caught.value.traceback


def test_parts_are_passed_on_before_the_answer(package):
    result = ran(packed(ECHO.module, Asked("parts")))
    seen = []
    reader = Reader(ECHO, "tpp", seen.append)
    for at in range(0, len(result.out), 7):
        reader.take(result.out[at : at + 7].encode())
    assert reader.end(result) == Answered("PARTS", 3)
    assert seen == ["one", "two"]


def test_a_program_as_a_file_is_readable_and_runs_alone(package, tmp_path):
    text = script_text(ECHO.module, Asked("file"), "says it again")
    assert "'    return word.upper()\\n'" in text
    assert "# says it again" in text
    assert text == script_text(ECHO.module, Asked("file"), "says it again")
    path = tmp_path / "run.py"
    path.write_text(text)
    done = subprocess.run([sys.executable, "-I", path], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"ok": {"word": "FILE", "count": 3}}


@pytest.mark.parametrize(
    "about",
    [
        "by a\nraise SystemExit(9)",
        "by a\rraise SystemExit(9)",
        "by coding: utf-7 +AAo-raise SystemExit(9)",
        "by coding: none-of-these",
        "by \udc80",
    ],
)
def test_what_a_file_says_of_itself_is_never_code(package, tmp_path, about):
    path = tmp_path / "run.py"
    path.write_text(script_text(ECHO.module, Asked("file"), about), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", path], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"ok": {"word": "FILE", "count": 3}}


def test_the_request_is_in_no_process_list_and_in_no_text_of_the_command():
    command = Program("opstasks.onhost.protocol", Asked, Answered).command(Asked("se3cret"))
    assert "se3cret" not in command.line()
    assert "se3cret" not in repr(command)


NONSENSE = [
    "",
    "no json",
    "[]",
    "null",
    "{}",
    '{"ok": 1}',
    '{"ok": {}, "failed": {}}',
    '{"ok": {"word": null}}',
    '{"ok": {"word": "a", "count": -1}}',
    '{"ok": {"word": "a", "count": 99999999999999999999999}}',
    '{"ok": {"word": "a", "at": 1e15}}',
    '{"ok": {"word": "a", "at": 1e999}}',
    '{"ok": {"word": "a", "at": NaN}}',
    '{"ok": {"word": "a", "count": "3"}}',
    '{"ok": {"word": "a", "\\udcff": 3}}',
    '{"ok": {"word": "a", "count": ' + "9" * 10_000 + "}}",
    '{"ok": {"word": "a", "\\udc80": 1}}',
    '{"\\udc80": {}}',
    '{"' + "x" * 1000 + '": {}}',
    '{"refused": {"reason": 3}}',
    '{"failed": "no"}',
    '{"part": "late"}',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: text[:40])
def test_nonsense_is_an_invalid_response_of_that_host(text):
    with pytest.raises(InvalidResponse) as caught:
        ECHO.decode(Result("python3", 0, text, ""), "tpp")
    assert caught.value.host == "tpp"
    assert len(caught.value.message) < 300


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_any_text_is_an_answer_or_a_known_error(text):
    try:
        ECHO.decode(Result("python3", 0, text, ""), "tpp")
    except OpsError as error:
        assert error.host == "tpp"


def test_a_last_line_without_a_line_end_is_the_answer():
    reader = Reader(ECHO, "tpp", print)
    reader.take(b'{"ok": {"word": "a"}}')
    assert reader.end(Result("python3", 0, "", "")) == Answered("a")


def test_a_program_that_was_killed_in_a_line_says_how_it_ended():
    reader = Reader(ECHO, "tpp", print)
    reader.take(b'{"ok": {"wo')
    with pytest.raises(CommandFailed, match="exit code 137"):
        reader.end(Result("python3", 137, "", "Killed"))


def test_an_endless_line_is_an_error():
    reader = Reader(ECHO, "tpp", print)
    with pytest.raises(InvalidResponse, match="more than 16 MiB"):
        for _ in range(20):
            reader.take(b"x" * (1 << 20))


@pytest.mark.parametrize(
    ("code", "elapsed_s", "kind"), [(137, 1, CommandFailed), (124, 120, TimedOut)]
)
def test_a_program_without_an_answer_reports_how_it_ended(code, elapsed_s, kind):
    with pytest.raises(kind, match=r"echo\.echo"):
        ECHO.decode(Result("python3", code, "", "Killed", elapsed_s), "tpp")


def test_a_shorter_time_limit_than_usual_is_named_as_the_reason():
    with pytest.raises(TimedOut):
        ECHO.decode(Result("python3", 124, "", "", 5.1), "tpp", timeout_s=5)


def test_a_timeout_is_judged_by_the_limit_of_the_call():
    result = Result("python3", 124, "", "", 10)
    with pytest.raises(CommandFailed):
        ECHO.decode(result, "tpp")
    with pytest.raises(TimedOut):
        ECHO.decode(result, "tpp", timeout_s=10)


# -- what runs on a host -----------------------------------------------------------------------


@pytest.mark.parametrize("module", ON_HOST)
def test_host_code_can_be_imported_alone(module):
    imports = "import importlib; [importlib.import_module(n['module_name'](path)) for path in s]"
    text = packed(module, {}).replace("n['start'](s, m, r)", f"n['install'](s); {imports}", 1)
    done = ran(text)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from datetime import UTC\n", 'has no attribute "UTC"'),
        ("import tomllib\n", '"tomllib"'),
        ("import msgspec\n", '"msgspec"'),
        ("import datetime\n", ""),
    ],
)
def test_the_types_of_host_code_are_those_of_python_3_10_alone(tmp_path, source, found):
    path = tmp_path / "module.py"
    path.write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy-onhost.ini", path],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == bool(found), done.stdout
    assert found in done.stdout
