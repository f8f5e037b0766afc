"""config: the values of --json."""

from opstasks.config import reports
from opstasks.config.act import ConfigResult
from opstasks.config.check import ConfigFinding
from opstasks.config.keys import FILES, ConfigKey, ConfigValue, EnvFile, HostConfig
from opstasks.config.plan import ConfigStep

SECRET = ConfigValue(True, "", "1f00a2b3")
VALUE = ConfigValue(True, "x")


def test_a_secret_has_a_fingerprint_and_no_text():
    found = HostConfig(
        (ConfigKey("T", SECRET, FILES[1], secret=True), ConfigKey("U", ConfigValue()))
    )
    secret, unset = reports.configuration(found).keys
    assert secret.value == reports.ValueReport(True, None, "1f00a2b3")
    assert (secret.is_secret, secret.source, secret.shell_text) == (True, FILES[1], None)
    assert (unset.value.is_set, unset.value.text, unset.source) == (False, None, None)


def test_an_empty_value_is_a_text():
    assert reports.configuration(HostConfig((ConfigKey("A", ConfigValue(True, "")),))).keys[
        0
    ].value == reports.ValueReport(True, "", None)


def test_problems_of_a_file_have_their_line():
    file = EnvFile(FILES[0], problems=((3, "no equals sign"),), changed_at=5.0)
    (shown,) = reports.configuration(HostConfig((), (file,))).files
    assert shown == reports.FileReport(
        FILES[0], None, 5.0, None, (reports.LineReport(3, "no equals sign"),)
    )


def test_a_finding_without_a_key_has_none():
    (shown,) = reports.findings([ConfigFinding("missing", "", "A", "text")])
    assert (shown.file, shown.key, shown.is_problem) == (None, "A", True)


def test_a_removed_override_has_the_file_that_applies_again():
    step = ConfigStep("A", VALUE, None, FILES[3], FILES[2], SECRET)
    (shown,) = reports.change(ConfigResult(True, (step,), needs_restart=False)).steps
    assert (shown.wanted, shown.falls_back_to) == (None, FILES[2])
    assert (shown.now.text, shown.after.text, shown.after.fingerprint) == ("x", None, "1f00a2b3")
