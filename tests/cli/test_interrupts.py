"""Ctrl-C at any moment of a run is one line and exit code 130, and never a traceback."""

import os
import subprocess
import sys
import textwrap

import pytest

from opstasks.cli.interrupts import TEXT

# Interrupts itself in the middle of an import, or of the task, or after it.
RUNNER = textwrap.dedent("""
    import builtins, os, signal, sys
    signal.signal(signal.SIGINT, {how})
    real, wanted = builtins.__import__, "{module}"
    def importing(name, *rest, **more):
        if name == wanted:
            builtins.__import__ = real
            os.kill(os.getpid(), signal.SIGINT)
        return real(name, *rest, **more)
    builtins.__import__ = importing
    sys.argv = ["inv", *{words!r}]
    if "{program}" == "inv":
        from invoke.main import program
        program.run()
    else:
        from opstasks.__main__ import main
        main()
""")


def run(program, module, words=("--list",), how="signal.default_int_handler"):
    script = RUNNER.format(program=program, module=module, words=tuple(words), how=how)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )


# Modules that are imported one after another until the tasks start.
MOMENTS = ("opstasks.cli.argv", "opstasks.cli.old_names", "opstasks.namespace")


@pytest.mark.parametrize("module", MOMENTS)
@pytest.mark.parametrize("program", ["inv", "opstasks"])
def test_ctrl_c_before_the_tasks_start_is_one_line(program, module):
    done = run(program, module)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == TEXT.decode()


def test_ctrl_c_while_a_task_starts_is_one_line():
    done = run("inv", "opstasks.history.read", ["history"])
    assert done.returncode == 130
    assert done.stderr.startswith("error  interrupted; ")
    assert "Traceback" not in done.stderr


def test_ctrl_c_that_the_parent_ignores_stays_ignored():
    done = run("inv", "opstasks.namespace", how="signal.SIG_IGN")
    assert done.returncode == 0, done.stderr
    assert "deploy" in done.stdout


def test_ctrl_c_after_the_end_changes_nothing(tmp_path):
    script = (
        "import atexit, os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['inv', 'history']\n"
        "from invoke.main import program\nprogram.run()\n"
    )
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "no change is recorded in your own record\n")
