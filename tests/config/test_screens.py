"""config: what a person sees, at any width, from recorded facts."""

import pytest

from opstasks.config import change_screen
from opstasks.config.check import ConfigFinding
from opstasks.config.keys import FILES, ConfigKey, ConfigValue, EnvFile, HostConfig
from opstasks.config.plan import ConfigPlan, ConfigStep
from opstasks.config.screen import findings_screen, keys_screen
from opstasks.core.clock import Clock
from opstasks.core.result import FleetResult, HostResult
from opstasks.output.paragraphs import folded
from opstasks.output.table import draw
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

LOCAL, BACKEND, DEFAULTS = FILES[3], FILES[2], FILES[0]
CLOCK = Clock(1_790_000_000.0)
URL = "mssql://dbserver.example.org:1433/a-rather-long-name-of-a-database-with-parts"


def of(**values):
    return FleetResult([HostResult(host.replace("_", "-"), "ok", v) for host, v in values.items()])


def value(text):
    return ConfigValue(True, text)


def config(workers="3", running=None):
    keys = (
        ConfigKey("DEFAULT_DATABASE_URL", value(URL), BACKEND),
        ConfigKey("JOB_SERVER_TOKEN", ConfigValue(True, "", "1f00a2b3"), FILES[1], secret=True),
        ConfigKey("MAX_WORKERS", value(workers), LOCAL, (DEFAULTS, BACKEND), running=running),
        ConfigKey("OTEL_EXPORTER_OTLP_HEADERS", ConfigValue()),
        ConfigKey("RELEASE_HOST", value("x # why"), LOCAL, shell="other", shell_text="x"),
    )
    return HostConfig(keys, tuple(EnvFile(name) for name in FILES), None, True)


SHOWN = of(sandbox_1=config(), sandbox_2=config("8", value("3")))
FOUND = (
    ConfigFinding("restart", BACKEND, "MAX_WORKERS", "the service runs with 3, the files say 9"),
    ConfigFinding("drift", BACKEND, "", "has another MAX_WORKERS: run `manage --diff`"),
    ConfigFinding("unknown", LOCAL, "MAX_WORKER", "nothing reads it; did you mean MAX_WORKERS?"),
    ConfigFinding("local", LOCAL, "MAX_WORKER", "overridden here: 1", False),
)
CHECKED = of(sandbox_1=FOUND, sandbox_2=(FOUND[0], FOUND[3]))
STEPS = (
    ConfigStep("MAX_WORKERS", value("3"), value("8"), BACKEND),
    ConfigStep("DEFAULT_DATABASE_URL", value(URL), value(URL.replace("1433", "1434")), LOCAL),
)
PLANS = {
    "sandbox-1": ConfigPlan(STEPS[:1], "s"),
    "sandbox-2": ConfigPlan(STEPS, "s", ("RELEASE_HOST is a secret",), CLOCK.now_at - 3600),
    "tpp": ConfigPlan(),
}


def plan_lines(width):
    return folded(
        [
            change_screen.headline(PLANS),
            *draw(change_screen.STEPS, change_screen.plan_rows(PLANS), width).with_hint(),
            *change_screen.plan_notes(PLANS, CLOCK),
        ],
        width,
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_keys_fit_any_window_and_no_key_is_broken(width):
    for wide in (False, True):
        lines = keys_screen(2).lines(SHOWN, width, wide=wide)
        check_whole(lines, [key.name for key in config().keys])
    check_fits(keys_screen(2).lines(SHOWN, width), width)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_keys_are_shown_as_recorded(width):
    check_golden(__file__, f"show-{width}", keys_screen(2).lines(SHOWN, width))


def test_a_key_that_is_asked_for_by_name_is_shown_whole():
    found = of(tpp=config().only(["DEFAULT_DATABASE_URL"], local=False))
    text = "".join(line.strip() for line in shown(keys_screen(1, ["X"]).lines(found, 80)))
    assert "…" not in text


def test_no_key_says_what_was_looked_for_and_where():
    empty = of(a=HostConfig(), b=HostConfig())
    assert shown(keys_screen(2, ["X", "Y"]).lines(empty, 80)) == [
        "no file sets X or Y on 2 hosts; all keys: config.show"
    ]
    (line,) = shown(keys_screen(2, local=True).lines(empty, 80))
    assert line.startswith("04_local.env sets nothing on 2 hosts")


@pytest.mark.parametrize("width", WIDTHS)
def test_findings_fit_any_window(width):
    lines = findings_screen(2).lines(CHECKED, width)
    check_fits(lines, width)
    check_whole(lines, ["MAX_WORKERS", "MAX_WORKER", BACKEND])
    if width in (60, 80):
        check_golden(__file__, f"check-{width}", lines)


def test_a_check_without_findings_says_how_many_hosts_are_fine():
    notes = of(a=FOUND[3:], b=())
    assert shown(findings_screen(2).lines(notes, 80))[0] == "no problem on 2 hosts, 1 note"
    assert shown(findings_screen(2, problems=True).lines(notes, 80)) == [
        "no problem found on 2 hosts; 1 note without --problems"
    ]
    assert shown(findings_screen(2).lines(of(a=()), 80)) == ["no problem found on a"]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_plan_of_a_change_shows_old_and_new_in_any_window(width):
    lines = plan_lines(width)
    check_fits(lines, width)
    check_whole(lines, ["MAX_WORKERS", "DEFAULT_DATABASE_URL", "sandbox-2"])
    assert "…" not in "".join(shown(lines)), "a plan is shown whole"
    if width in (60, 80):
        check_golden(__file__, f"set-{width}", lines)


def test_only_an_override_of_somebody_needs_a_question():
    assert not change_screen.needs_question({"a": PLANS["sandbox-1"]})
    assert change_screen.needs_question(PLANS)


def test_a_change_is_undone_by_one_command_for_hosts_with_the_same_one():
    old = change_screen.undo(PLANS)
    assert old == [
        "inv -H sandbox-1,sandbox-2 config.unset MAX_WORKERS",
        f"inv -H sandbox-2 config.set DEFAULT_DATABASE_URL={URL}",
    ]


def test_the_undo_of_a_key_that_is_not_read_sets_it_again():
    step = ConfigStep("FOO", ConfigValue(True, "bar"), None, LOCAL)
    (undo,) = change_screen.undo({"a": ConfigPlan((step,), unread=True)})
    assert undo == "inv -H a config.set FOO=bar --unknown"


def test_a_removed_variable_of_the_system_has_no_undo():
    """config.set would refuse it."""
    steps = tuple(
        ConfigStep(key, ConfigValue(True, "x"), None, "04_local.env") for key in ("PYTHONPATH", "A")
    )
    assert change_screen.undo({"a": ConfigPlan(steps)}) == ["inv -H a config.set A=x"]


def test_a_secret_that_is_replaced_has_no_undo():
    secret = ConfigValue(True, "", "1f00a2b3")
    plan = ConfigPlan((ConfigStep("T", secret, ConfigValue(True, "", "ffff0000"), LOCAL),))
    assert change_screen.undo({"a": plan}) == []
