"""config.check: from a configuration to findings."""

from datetime import UTC, datetime

import pytest

from opstasks.config import check
from opstasks.config.inspect import SHOW, show_request
from opstasks.config.keys import FILES, CodeKeys, ConfigKey, ConfigValue, EnvFile, HostConfig
from opstasks.core.errors import CommandFailed, InvalidResponse, Refused
from opstasks.manage.facts import sha256
from opstasks.primitives import systemd
from opstasks.primitives.systemd import UnitState
from tests.fake_host import Reply

GOOD = tuple(EnvFile(name, mode="0600", sha256="x") for name in FILES)
SERVING = UnitState("jobrunner", "loaded", "active", "running", since=datetime.now(UTC))


def findings(*keys, files=GOOD, code=None, wanted=None, unit=SERVING, seen=True):
    found = HostConfig(keys, files, code, seen)
    return {
        (item.what, item.file, item.key): (item.is_problem, item.text)
        for item in check.findings_of(found, wanted or {}, unit)
    }


def test_a_good_configuration_has_no_findings():
    assert findings(ConfigKey("A", ConfigValue(True, "1"), "03_backend.env")) == {}


def test_each_kind_of_finding():
    one = ConfigValue(True, "1")
    keys = (
        ConfigKey("A", one, "04_local.env", over=("01_defaults.env",)),
        ConfigKey("MAX_WORKER", one, "03_backend.env"),
        ConfigKey("B", ConfigValue(True, "1 # x"), "03_backend.env", shell="other", shell_text="1"),
        ConfigKey("C", one, "03_backend.env", duplicate_in=("03_backend.env",)),
        ConfigKey("D", one, "03_backend.env", running=ConfigValue(True, "2")),
    )
    code = CodeKeys(required=("NEEDED", "A"), optional=("MAX_WORKERS", "B", "C", "D"))
    files = (
        EnvFile("01_defaults.env", sha256="other", mode="0640"),
        EnvFile("02_secrets.env", mode="0640"),
        EnvFile("03_backend.env", error="No such file or directory"),
        EnvFile("04_local.env", mode="0640", problems=((3, "the line has no equals sign"),)),
    )
    wanted = {"01_defaults.env": "A=1\nX=2\n", "02_secrets.env": "#TOKEN=\n"}
    found = findings(*keys, files=files, code=code, wanted=wanted)
    problems = {what for (what, _, _), (is_problem, _) in found.items() if is_problem}
    assert problems == {"file", "drift", "readers", "unknown", "missing", "restart"}
    assert "lacks X" in found["drift", "01_defaults.env", ""][1]
    assert "did you mean MAX_WORKERS?" in found["unknown", "03_backend.env", "MAX_WORKER"][1]
    assert "chmod 600" in found["file", "02_secrets.env", ""][1]
    assert found["local", "04_local.env", "A"][0] is False
    assert found["duplicate", "03_backend.env", "C"][0] is False
    assert found["secrets", "02_secrets.env", ""] == (False, "not filled in: TOKEN")
    assert found["readers", "04_local.env", ""][1] == "line 3: the line has no equals sign"
    assert {key for what, _, key in found if what == "missing"} == {"NEEDED"}


@pytest.mark.parametrize("key", ["PATH", "BASH_ENV", "LD_PRELOAD", "PYTHONPATH", "LC_ALL"])
@pytest.mark.parametrize(
    ("file", "how"),
    [
        ("01_defaults.env", "run `manage --diff`"),
        ("02_secrets.env", "remove it in `shell`"),
        ("03_backend.env", "run `manage --diff`"),
        ("04_local.env", "run `config.unset KEY`"),
    ],
)
@pytest.mark.parametrize("code", [None, CodeKeys(optional=("A",)), CodeKeys(patterns=("*",))])
def test_a_variable_of_the_loader_the_shell_or_python_is_a_problem(key, file, how, code):
    """Whether job-runner's code reads it or not, and for the code that is not there yet."""
    found = findings(ConfigKey(key, ConfigValue(True, "/x"), file), code=code)
    text = f"controls the loader, the shell or Python, not job-runner: {how.replace('KEY', key)}"
    assert found["system", file, key] == (True, text)
    assert ("unknown", file, key) not in found


def test_a_variable_of_the_system_that_is_described_is_no_finding():
    key = ConfigKey("LANG", ConfigValue(True, "C.UTF-8"), "01_defaults.env")
    wanted = {"01_defaults.env": "LANG=C.UTF-8\n"}
    files = (EnvFile("01_defaults.env", mode="0640", sha256=sha256(wanted["01_defaults.env"])),)
    assert findings(key, files=(*files, *GOOD[1:]), wanted=wanted) == {}


@pytest.mark.parametrize("seen", [True, False])
def test_a_newer_file_is_a_problem_only_where_the_running_values_are_unknown(seen):
    changed_at = SERVING.since.timestamp() + 9
    files = (*GOOD[:3], EnvFile("04_local.env", mode="0640", changed_at=changed_at))
    found = findings(files=files, seen=seen)
    assert found["restart", "04_local.env", ""][0] is not seen


# -- with a host -----------------------------------------------------------------------------

UNIT = "LoadState=loaded\nActiveState=active\nSubState=running\n"


def test_a_check_reads_files_and_unit_and_puts_problems_first(fake_host):
    host = fake_host()
    local = ConfigKey("A", ConfigValue(True, "1"), "04_local.env")
    other = ConfigKey("B", ConfigValue(True, "1"), "03_backend.env", running=ConfigValue(False))
    request = show_request(host.spec, code=True)
    assert request.with_code
    host.expect(SHOW, request, HostConfig((local, other), GOOD, CodeKeys(), True))
    host.expect(systemd.show("jobrunner"), UNIT)
    found = check.find_problems(host)
    assert [(item.what, item.is_problem) for item in found] == [("restart", True), ("local", False)]


def test_a_host_without_configuration_is_refused_with_a_hint(fake_host):
    host = fake_host()
    files = tuple(EnvFile(name, error="No such file or directory") for name in FILES)
    host.expect(SHOW, show_request(host.spec, code=True), HostConfig((), files))
    host.expect(systemd.show("jobrunner"), UNIT)
    with pytest.raises(Refused, match="no configuration") as caught:
        check.find_problems(host)
    assert caught.value.hint == "inv -H tpp manage"


def test_a_unit_that_cannot_be_read_fails_the_check(fake_host):
    host = fake_host()
    host.expect(SHOW, show_request(host.spec, code=True), HostConfig((), GOOD))
    host.expect(systemd.show("jobrunner"), Reply(1, "", "Failed to connect to bus"))
    with pytest.raises(CommandFailed, match="exit code 1"):
        check.find_problems(host)


def test_a_nonsense_answer_is_an_invalid_response(fake_host):
    host = fake_host()
    host.expect(SHOW, show_request(host.spec, code=True), HostConfig((), GOOD[:1]))
    host.expect(systemd.show("jobrunner"), UNIT)
    with pytest.raises(InvalidResponse):
        check.find_problems(host)
