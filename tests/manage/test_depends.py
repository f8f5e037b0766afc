"""Which steps are still done after a failure, over every kind of action."""

import dataclasses
import typing

import pytest

from opstasks.manage import actions, depends
from opstasks.manage.actions import (
    ChangePackages,
    CloneRepository,
    CreatePath,
    FixProbe,
    SetDirectory,
    SetGroup,
    SetMember,
    SetUser,
    StartUnit,
    WriteFile,
)
from opstasks.manage.steps import ManageStep

RIGHTS = {"owner": "opensafely", "group": "opensafely", "mode": "0750"}
UPGRADE = ChangePackages(verb="upgrade")
INSTALL = ChangePackages(verb="install", names=("git",))
GROUP = SetGroup(name="reviewers", gid=0, exists=False)
EVE = SetUser(
    name="eve",
    uid=0,
    group="eve",
    groups=("reviewers",),
    home="/home/eve",
    shell="/bin/sh",
    personal=True,
    exists=False,
)
SHOWN = {"replaces": "absent", "kept_in": "/kept"}
SERVICE = actions.msgspec.structs.replace(
    EVE, name="opensafely", group="opensafely", personal=False
)
MEMBER = SetMember(group="docker", user="eve", joins=True)
HOME = SetDirectory(path="/home/eve", owner="eve", group="eve", mode="0700")
CONFIG = SetDirectory(path="/home/opensafely/config", **RIGHTS)
ENV = WriteFile(path="/home/opensafely/config/01.env", content="x", **SHOWN, **RIGHTS)
CODE = CloneRepository(path="/home/opensafely/code", url="u", ref="r", owner="opensafely")
MIGRATE = CreatePath(path="/home/opensafely/db", run="migrate", owner="opensafely")
PROBE = FixProbe(test=("t",), run=("r",))
START = StartUnit(name="jobrunner")
SUDOERS = WriteFile(path="/etc/sudoers.d/x", content="x", **SHOWN, **RIGHTS | {"owner": "root"})
AREAS = {
    **dict.fromkeys((GROUP, EVE, SERVICE, MEMBER, HOME), "accounts"),
    **dict.fromkeys((UPGRADE, INSTALL), "packages"),
    **{CONFIG: "directories", ENV: "config", CODE: "code", MIGRATE: "database", SUDOERS: "access"},
    **dict.fromkeys((PROBE, START), "service"),
}


def step(action):
    area = AREAS[action]
    return ManageStep(area, "x", "", "", action, access=area == "access")


def blocked(failed):
    """The steps that are not begun after a failure."""
    return [
        other
        for other in AREAS
        if other != failed and depends.is_blocked(step(other), [step(failed)])
    ]


@pytest.mark.parametrize(
    ("failed", "not_begun"),
    [
        (UPGRADE, [INSTALL]),
        (INSTALL, [UPGRADE, MIGRATE, SUDOERS, PROBE, START]),
        (GROUP, [EVE, SERVICE, MIGRATE, SUDOERS, PROBE, START]),
        (EVE, [MEMBER, HOME, SUDOERS]),
        (SERVICE, [CONFIG, ENV, CODE, MIGRATE, SUDOERS, PROBE, START]),
        (MEMBER, [SUDOERS]),
        (HOME, [SUDOERS]),
        (CONFIG, [ENV, MIGRATE, PROBE, START]),
        (ENV, [MIGRATE, PROBE, START]),
        (CODE, [MIGRATE, PROBE, START]),
        (MIGRATE, [PROBE, START]),
        (PROBE, [MIGRATE, START]),
        (START, [MIGRATE, PROBE]),
        (SUDOERS, []),
    ],
)
def test_only_steps_that_need_what_failed_are_not_begun(failed, not_begun):
    assert set(blocked(failed)) == set(not_begun)


def test_a_step_that_only_reports_is_never_in_the_way():
    told = dataclasses.replace(step(EVE), action=None, area="system")
    assert not any(depends.is_blocked(step(action), [told]) for action in AREAS)


def test_every_action_with_a_path_needs_the_folder_above_it():
    folder = SetDirectory(path="/srv", owner="root", group="root", mode="0750")
    kinds = typing.get_args(actions.AnyAction)
    fields = {"path": "/srv/x", "names": (), "groups": (), "exists": False, "uid": 0}
    fillings = {str: "x", int: 0, bool: False, tuple[str, ...]: ()}
    with_path = 0
    for kind in kinds:
        hints = typing.get_type_hints(kind)
        values = {n: fields.get(n, fillings.get(h, "purge")) for n, h in hints.items()}
        made = kind(**values)
        if "path" in hints:
            with_path += 1
            assert depends.is_blocked(
                ManageStep("system", "x", "", "", made),
                [ManageStep("system", "/srv", "", "", folder)],
            ), kind
    assert with_path >= 9
