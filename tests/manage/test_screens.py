"""manage and users.disable: what a person sees, at any width, from recorded facts."""

import copy
from dataclasses import replace

import pytest

from opstasks.core.result import FleetResult, HostResult
from opstasks.manage import screen, show, users_screen
from opstasks.manage.actions import ProveAccess, SetRights
from opstasks.manage.apply import ManageResult
from opstasks.manage.disable import Account, DisableResult
from opstasks.manage.steps import ManagePlan, ManageStep
from opstasks.output.paragraphs import folded
from opstasks.output.table import draw
from tests.manage.manage_help import described, facts_of, plan_of
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

HOME = "/home/opensafely"
ENV = f"{HOME}/config/03_backend.env"
SSHD = "/etc/ssh/sshd_config.d/00-opstasks.conf"
SUDOERS = "/etc/sudoers.d/opstasks"


@pytest.fixture(scope="module")
def wanted():
    return described("sandbox")


@pytest.fixture(scope="module")
def as_described(wanted):
    return facts_of(wanted)


@pytest.fixture
def changed(as_described, wanted):
    """The plan for a host that somebody changed by hand in a few places."""
    facts = copy.deepcopy(as_described)
    facts["paths"][f"{HOME}/secret"]["mode"] = "0777"
    facts["paths"][f"{HOME}/config"]["owner"] = "root"
    text = wanted.contents[ENV].replace("MAX_WORKERS=3\n", "MAX_WORKERS=4\nMINE=1\n")
    facts["paths"][ENV].update(sha256="x", text=text)
    for path in (SSHD, SUDOERS):
        facts["paths"][path].update(sha256="x", text="nothing\n")
    facts["groups"]["docker"]["members"].append("mallory")
    facts["users"]["rosa"] = None
    facts["paths"]["/home/rosa/.ssh/authorized_keys"] = None
    facts["packages"]["tree"] = False
    facts["keyed"].append("eve")
    return plan_of(facts, wanted)


@pytest.fixture
def bare(as_described, wanted):
    """The plan for a host that has nothing yet."""
    facts = copy.deepcopy(as_described)
    for section in ("groups", "users", "paths"):
        facts[section] = {
            name: value if name == "/etc/sandbox" else None
            for name, value in facts[section].items()
        }
    facts |= {"keyed": [], "marked": [], "effect": None}
    facts["packages"] = dict.fromkeys(facts["packages"], False)
    return plan_of(facts, wanted)


def lines_of(plans, width, **how):
    return folded(screen.plan_lines(plans, width, **how), width)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_fits_any_window_and_no_path_is_broken(changed, width):
    lines = lines_of({"sandbox-1": changed}, width)
    check_fits(lines, width)
    check_whole(lines, ["user rosa: /home/rosa exists: inspect its files first"])
    check_whole(lines, [ENV, SSHD, SUDOERS, "mallory in group docker", "user rosa", "user eve"])
    if width <= 140:
        check_golden(__file__, f"changed-{width}", lines)


def test_changes_for_access_come_first_in_order(changed):
    text = "\n".join(shown(lines_of({"a": changed}, 200)))
    first = ["user rosa", "/home/rosa/.ssh/authorized_keys", SUDOERS, SSHD, "package tree", ENV]
    places = [text.index(thing) for thing in first]
    assert places == sorted(places)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_long_plan_shows_access_in_full_and_counts_the_rest(bare, width):
    lines = lines_of({"sandbox-1": bare, "sandbox-2": bare}, width)
    check_fits(lines, width)
    access = [step.thing for step in bare.todo if step.area in ("accounts", "access")]
    check_whole(lines, access)
    if width == 80:
        check_golden(__file__, "bare-80", lines)


def test_the_same_number_is_in_headline_question_progress_and_result(bare):
    count = len(bare.todo)
    (headline, *_) = shown(lines_of({"a": bare, "b": bare}, 200))
    assert headline.startswith(f"a, b: {count} changes each, ")
    assert screen.question({"a": count, "b": count}) == f"Make {count} changes on each of a, b?"
    assert show.report(bare, with_diff=False).changes == count
    assert sum(show.report(bare, with_diff=False).areas.values()) == count


def test_every_change_is_shown_with_diff(bare):
    text = "\n".join(shown(lines_of({"a": bare}, 0, with_diff=True)))
    assert [step.thing for step in bare.steps if step.thing not in text] == []
    assert f"+++ {ENV} (wanted)" in text


@pytest.mark.parametrize(
    ("now", "wanted", "said"),
    [
        ("root:root 0644", "root:root 0640", "mode 0644 -> 0640"),
        ("root:root 0640", "a:b 0640", "owner root:root -> a:b"),
        ("root:root 0644", "a:b 0640", "root:root 0644 -> a:b 0640"),
        ("absent", "a:b 0640", "absent -> a:b 0640"),
        ("yes", "no", "yes -> no"),
    ],
)
def test_a_change_is_told_in_short(now, wanted, said):
    assert screen.change_text(ManageStep("system", "/x", now, wanted, None)) == said


def test_a_changed_file_says_how_many_lines_change_without_its_text():
    step = ManageStep("config", "/x", "content differs", "as described", None)
    assert screen.change_text(step) == "content differs"
    step = replace(step, before="a\nb\n", after="a\nc\nd\n")
    assert screen.change_text(step) == "content +2 -1 lines"


def test_a_host_as_described_has_nothing_to_do():
    plans = {"a": ManagePlan(()), "b": ManagePlan(())}
    assert shown(lines_of(plans, 80)) == ["a, b: nothing to do, as described"]


def some(thing, action=None):
    return ManagePlan((ManageStep("config", thing, "a", "b", action),))


@pytest.mark.parametrize("width", WIDTHS)
def test_many_different_plans_are_one_row_of_counts_each(changed, bare, width):
    plans = {f"host-{n}": some(f"/{n}", ProveAccess()) for n in range(4)}
    plans |= {"changed": changed, "bare": bare, "fine": ManagePlan(())}
    lines = lines_of(plans, width)
    check_fits(lines, width)
    check_whole(lines, plans)
    check_golden(__file__, f"many-{width}", lines)


def test_a_difference_that_is_only_reported_is_no_change():
    rights = SetRights(path="/x", owner="o", group="g", mode="0640")
    step, told = some("x", rights).steps[0], some("y").steps[0]
    plan = ManagePlan((step, told))
    columns, rows = screen.matrix({"a": plan, "b": ManagePlan(())})
    assert [column.title for column in columns] == ["HOST", "CHANGES", "REPORTED", "CONFIG"]
    assert rows == [["a", 1, 1, 1], ["b", 0, 0, None]]
    assert shown(lines_of({"a": plan}, 80))[0] == "a: 1 change, 1 difference only reported"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"a": 1}, "Make 1 change on a?"),
        ({"a": 59, "b": 59}, "Make 59 changes on each of a, b?"),
        ({"a": 59, "b": 58}, "Make 59 changes on a, 58 on b?"),
        (dict.fromkeys("abcde", 2), "Make 2 changes on each of a, b, c and 2 more?"),
        (dict(zip("abcd", range(4), strict=True)), "Make 0 to 3 changes on each of 4 hosts?"),
    ],
)
def test_the_question_names_the_changes_of_each_host(counts, said):
    assert screen.question(counts) == said


def test_the_outcome_has_the_steps_of_the_plan(bare):
    plans = FleetResult([HostResult("a", "ok", bare)])
    done = FleetResult([HostResult("a", "changed", ManageResult(True, 3, ("jobrunner",)))])
    (item,) = show.outcomes(plans, done, with_diff=False)
    assert (item.outcome, item.value.changed) == ("changed", True)
    assert item.value.stale_units == ("jobrunner",)
    assert len(item.value.steps) == len(bare.steps)


# -- users.disable ---------------------------------------------------------------------------

OPEN = ("keys", "group docker", "group sudo", "password", "not expired", "shell /bin/bash")
ACCOUNTS = {
    "sandbox-1": Account("rosa", True, OPEN, 2, ("/var/spool/cron/crontabs/rosa",)),
    "sandbox-2": Account("rosa", True, ()),
    "tpp": Account("rosa", False, ()),
}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_plan_for_an_account_fits_any_window(width):
    lines = folded(
        [
            users_screen.headline("rosa", ACCOUNTS),
            *draw(users_screen.ACCOUNTS, users_screen.rows(ACCOUNTS), width).with_hint(),
            *users_screen.plan_notes(ACCOUNTS),
        ],
        width,
    )
    check_fits(lines, width)
    check_whole(lines, ["/var/spool/cron/crontabs/rosa"])
    if width <= 80:
        check_golden(__file__, f"disable-{width}", lines)


def test_what_goes_on_is_told_with_a_command():
    done = DisableResult(ACCOUNTS["sandbox-1"], replace(ACCOUNTS["sandbox-1"], open=()), True)
    assert shown(users_screen.after_lines("sandbox-1", "rosa", done)) == [
        "sandbox-1  goes on: 2 processes, 1 scheduled job",
        "           inv -H sandbox-1 run -- ps -fu rosa",
        "sandbox-1  starts again if the account is enabled again: /var/spool/cron/crontabs/rosa",
    ]
    assert (
        list(users_screen.after_lines("a", "rosa", DisableResult(done.before, None, False))) == []
    )
