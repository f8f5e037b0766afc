"""What unreviewed code can reach when it is imported: on this machine's kernel."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from opstasks.deploy.onhost import code_import, confined
from tests.deploy.checkout_help import write_package
from tests.look import until

CANARY = "canary-opensesame"
HAS_NAMESPACES = subprocess.run([*confined.NAMESPACES, "true"], capture_output=True).returncode == 0
needs_namespaces = pytest.mark.skipif(not HAS_NAMESPACES, reason="no user namespaces here")


@pytest.fixture(params=["confined", "as the account itself"])
def is_confined(request, monkeypatch):
    if request.param == "confined" and not HAS_NAMESPACES:
        pytest.skip("no user namespaces here")
    if request.param != "confined":
        monkeypatch.setattr(confined, "NAMESPACES", ("false",))
    return request.param == "confined"


@pytest.fixture
def code(tmp_path):
    """A package of job-runner; `code(text)` puts a text into its service."""
    write_package(tmp_path / "code")

    def with_service(text):
        (tmp_path / "code" / "jobrunner" / "service.py").write_text(text)
        return str(tmp_path / "code")

    return with_service


def imported(folder, env=None):
    return code_import.try_import(folder, folder, {"PATH": os.environ["PATH"], **(env or {})})


def refused(text):
    """Code that fails its import unless the text raises an error."""
    return f"try:\n    {text}\nexcept Exception:\n    pass\nelse:\n    raise SystemExit('got it')"


def test_good_code_is_imported_either_way(code, is_confined):
    facts = imported(code(""))
    assert facts["import_error"] == ""
    assert list(facts["migrations"]) == [1, 2]
    assert facts["is_confined"] == is_confined


@needs_namespaces
@pytest.mark.parametrize(
    "text",
    [
        "open({secret!r}).read()",
        "open(__file__, 'a')",
        "open(__file__ + '.new', 'w')",
        "import os; os.unlink(__file__)",
        "import os; os.listdir('/proc')",
        "import os; os.listdir('/run')",
        "import os; os.kill({pid}, 0)",
        "import socket; socket.socket(socket.AF_UNIX).connect({socket!r})",
        "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
        "import socket; socket.socket(socket.AF_UNIX).connect('\\0opstasks-test-{pid}')",
        "import subprocess; subprocess.run(['umount', '/usr'], check=True)",
        "import subprocess; subprocess.run(['unshare', '-rm', 'umount', '/usr'], check=True)",
        "import subprocess; subprocess.run(['mount', '-o', 'remount,rw', {code!r}], check=True)",
        "import os; os.mkdir('/tmp/x'); os.chroot('/tmp/x')",
        "import subprocess; subprocess.run(['unshare', '-r', 'chroot', '/tmp'], check=True)",
    ],
)
def test_hostile_code_reaches_nothing(code, tmp_path, text):
    import socket

    secret = tmp_path / "02_secrets.env"
    secret.write_text(CANARY)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        named.bind(str(tmp_path / "socket"))
        named.listen()
        abstract.bind(f"\0opstasks-test-{os.getpid()}")
        abstract.listen()
        places = {
            "secret": str(secret),
            "pid": os.getpid(),
            "socket": str(tmp_path / "socket"),
            "port": server.getsockname()[1],
            "code": str(tmp_path / "code"),
        }
        line = text.format(**places)
        facts = imported(code(refused(line)))
    assert facts == {**facts, "import_error": "", "is_confined": True}
    assert secret.read_text() == CANARY
    assert (tmp_path / "code" / "jobrunner" / "service.py").exists()


@needs_namespaces
@pytest.mark.parametrize("place", ["sitecustomize.py", "resource.py"])
def test_code_that_python_itself_imports_is_confined(code, tmp_path, place):
    """Python imports it first, so it could end Python before the report that namespaces work."""
    seen = tmp_path / "seen"
    folder = code("")
    text = "import os, pathlib\nif not os.path.exists('/proc/self'): os._exit(1)\n"
    text += f"pathlib.Path({str(seen)!r}).write_text('x')\n"
    (tmp_path / "code" / place).write_text(text)
    assert imported(folder)["is_confined"]
    assert not seen.exists()


@needs_namespaces
@pytest.mark.parametrize(
    "act",
    [
        "os.ftruncate(1, 0)",
        "os.lseek(1, 0, 0); os.write(1, b'no')",
        "os.closerange(0, 99)",
        "[os.read(fd, 99) for fd in range(3, 99)]",
    ],
)
def test_code_cannot_take_back_that_it_is_confined(code, tmp_path, act):
    seen = tmp_path / "seen"
    text = f"import os\nif os.path.exists('/proc/self'): open({str(seen)!r}, 'x')\n"
    text += f"try: {act}\nexcept OSError: pass\nos._exit(1)"
    facts = imported(code(text))
    assert (facts["is_confined"], facts["import_error"]) == (True, "exit code 1")
    assert not seen.exists()


def test_the_environment_has_no_secret(code, tmp_path, is_confined):
    (tmp_path / "02_secrets.env").write_text(f"PLAIN={CANARY}\n# OTHER=\n")
    env = {
        "PLAIN": CANARY,
        "JOB_SERVER_TOKEN": CANARY,
        "DEFAULT_DATABASE_URL": f"mssql://me:{CANARY}@host/db",
        "COPY": f"--with={CANARY}",
        "ARGUMENTS": f"--password {CANARY}",
        "WORKDIR": "/srv/x",
        "PATH": os.environ["PATH"],
    }
    given = code_import.harmless(env, str(tmp_path))
    assert set(given) == set(env)
    assert (given["WORKDIR"], given["PATH"]) == (env["WORKDIR"], env["PATH"])
    text = f"import os\nassert not [v for v in os.environ.values() if {CANARY!r} in v]\n"
    text += "assert os.environ['DEFAULT_DATABASE_URL'].startswith('mssql://')"
    assert imported(code(text), given)["import_error"] == ""


def test_a_file_that_the_configuration_names_exists_and_tells_nothing(code, tmp_path, is_confined):
    certificate = tmp_path / "cert.pem"
    certificate.write_text(CANARY)
    env = {"PATH": os.environ["PATH"], "SHELL": "/bin/sh", "TLS_CERT_PATH": str(certificate)}
    given = code_import.harmless(env, str(tmp_path))
    assert given["SHELL"] == "/bin/sh"
    text = "import os, pathlib\nassert pathlib.Path(os.environ['TLS_CERT_PATH']).read_text() == ''"
    assert imported(code(text), given)["import_error"] == ""


def test_code_does_not_see_a_value_that_was_typed_as_a_secret(tmp_path):
    (tmp_path / "04_local.env").write_text("# LEVEL4_LOGIN is a secret\nLEVEL4_LOGIN=x\n")
    env = {"LEVEL4_LOGIN": "correct horse", "HOME": "/x"}
    assert code_import.harmless(env, str(tmp_path)) == {"LEVEL4_LOGIN": "masked", "HOME": "/x"}


def test_a_short_secret_does_not_hide_the_path(tmp_path):
    env = {"DB_PASSWORD": "opensafely", "PATH": "/home/opensafely/bin:/usr/bin", "HOME": "/x"}
    given = code_import.harmless({**env, "COPY": "u:opensafely"}, str(tmp_path))
    assert {name for name in env if given[name] != env[name]} == {"DB_PASSWORD"}
    assert given["COPY"] == "masked"


@needs_namespaces
def test_the_path_may_lack_the_folder_of_chroot(code):
    assert imported(code(""), {"PATH": "/usr/bin"})["is_confined"]


def test_an_endless_import_ends_with_all_that_it_started(code, is_confined, monkeypatch):
    monkeypatch.setattr(code_import, "TIMEOUT_S", 2)
    seconds = f"98{os.getpid()}.5"
    # Without namespaces, a process that leaves the group stays; docs/deploy.md says so.
    leaves = "os.setsid()" if is_confined else "pass"
    child = f"    {leaves}\n    os.execvp('sleep', ['x', '{seconds}'])"
    text = f"import os\nif os.fork() == 0:\n{child}\n{leaves}\nwhile True: pass"
    facts = imported(code(text))
    assert "did not end within 2 s" in facts["import_error"]
    until(lambda: not running(seconds), "it is still running", 10)


@needs_namespaces
def test_what_hostile_code_writes_is_gone(code, tmp_path):
    places = [tmp_path / "new", Path("/tmp/opstasks-canary"), Path.home() / "opstasks-canary"]
    for place in places:
        text = f"import pathlib; pathlib.Path({str(place)!r}).write_text('x')"
        assert imported(code(f"try:\n    {text}\nexcept OSError: pass"))["import_error"] == ""
        assert not place.exists()


@needs_namespaces
def test_a_daemon_does_not_outlive_the_import(code):
    seconds = f"97{os.getpid()}.5"
    daemon = f"os.setsid(); os.fork() and os._exit(0); os.execvp('sleep', ['x', '{seconds}'])"
    facts = imported(code(f"import os\nif os.fork() == 0:\n    {daemon}"))
    assert facts["import_error"] == ""
    until(lambda: not running(seconds), "it is still running", 10)


def running(word):
    """Whether a process has this word in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"\0{word}\0".encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize(
    "text",
    [
        "import sys\nwhile True: sys.stdout.write('x' * 1000000)",
        "import os\nwhile True: os.write(2, b'x' * 1000000)",
        "open('/tmp/big-' + str(__import__('os').getpid()), 'wb').write(b'x' * (3 << 20))",
        "bytearray(8 << 30)",
    ],
)
def test_what_an_import_may_use_is_limited(code, is_confined, text):
    begun = time.monotonic()
    facts = imported(code(text))
    assert facts["import_error"]
    assert len(facts["import_error"]) <= code_import.MAX_ITEMS
    assert time.monotonic() - begun < code_import.TIMEOUT_S
    for path in Path("/tmp").glob("big-*"):
        assert path.stat().st_size <= confined.MAX_BYTES
        path.unlink()


def test_secrets_in_an_error_are_masked(code, is_confined):
    facts = imported(code(f"raise ValueError('--password {CANARY}')"))
    assert "ValueError" in facts["import_error"]
    assert CANARY not in facts["import_error"]
