"""The workflows that stop, start or move job-runner."""

from tests.faults.workflow import (
    NEW,
    START,
    STOP,
    Workflow,
    at,
    deployed,
    is_at,
    rolled_back,
    serves,
)

CONTROL = "^python3 onhost.unit_control"
STEPS = "^python3 deploy.steps"
DEPLOY = ("deploy", "--yes", "--watch", "1")
SERVICE = frozenset({"service"})
RELEASE = frozenset({"service", "code", "lib", "database", "releases"})

RELEASES = [
    Workflow(
        "deploy",
        DEPLOY,
        deployed,
        {
            "inspect": at("^python3 deploy.inspect"),
            "begin": at(STEPS),
            "stopped": at(STOP, "after"),
            "begun": at(STEPS, "after"),
            "switch": at(STEPS, number=2),
            "checkout of lib": at("^git .*checkout.*jobrunner.lib|^git .*lib.* checkout "),
            "checkout of code": at("^git .*jobrunner.code.* checkout "),
            "code is out": at("^git .*jobrunner.code.* checkout ", "after"),
            "migrate": at("^python3 -m jobrunner.cli.migrate"),
            "migrated": at("^python3 -m jobrunner.cli.migrate", "after"),
            "serve": at(STEPS, number=3),
            "started": at(START, "after"),
            "finish": at(STEPS, number=4),
            "finished": at(STEPS, "after", 4),
        },
        ("deploy.steps",),
        changes=RELEASE,
    ),
    Workflow(
        "deploy of a broken release",
        ("deploy", "--ref", "broken-crash", "--yes", "--watch", "30"),
        rolled_back,
        {
            "roll back": at(STEPS, number=4),
            "back stopped": at(STOP, "after", 2),
            "back checkout": at("^git .*jobrunner.code.* checkout ", "before", 2),
            "back started": at(START, "after", 2),
        },
        ("deploy.steps",),
        changes=RELEASE,
        codes=frozenset({1}),
    ),
    Workflow(
        "deploy --unfinished finish",
        (*DEPLOY, "--unfinished", "finish"),
        deployed,
        {"begin": at(STEPS), "switch": at(STEPS, number=2), "started": at(START, "after")},
        ("deploy.steps",),
        ground="half",
        changes=RELEASE,
    ),
    Workflow(
        "deploy --unfinished back",
        (*DEPLOY, "--unfinished", "back"),
        rolled_back,
        {"roll back": at(STEPS), "started": at(START, "after"), "back": at(STEPS, "after")},
        ("deploy.steps",),
        ground="half",
        changes=RELEASE,
    ),
    Workflow(
        "deploy.rollback",
        ("deploy.rollback", "--yes", "--watch", "1"),
        rolled_back,
        {
            "begin": at(STEPS),
            "stopped": at(STOP, "after"),
            "switch": at(STEPS, number=2),
            "checkout of code": at("^git .*jobrunner.code.* checkout "),
            "serve": at(STEPS, number=3),
            "started": at(START, "after"),
            "finish": at(STEPS, number=4),
        },
        ("deploy.steps",),
        ground="new",
        changes=RELEASE,
    ),
    Workflow(
        "deploy --restart",
        (*DEPLOY, "--restart"),
        lambda before, seen: is_at(seen, NEW) and serves(seen),
        {"begin": at(STEPS), "stopped": at(STOP, "after"), "started": at(START, "after")},
        ("deploy.steps",),
        ground="new",
        changes=SERVICE,
    ),
    Workflow(
        "service.restart",
        ("service.restart", "--yes", "--watch", "1"),
        lambda before, seen: serves(seen),
        {
            "control": at(CONTROL),
            "stop": at(STOP),
            "stopped": at(STOP, "after"),
            "start": at(START),
            "started": at(START, "after"),
            "controlled": at(CONTROL, "after"),
        },
        ("onhost.unit_control",),
        changes=SERVICE,
    ),
    Workflow(
        "service.stop",
        ("service.stop", "--yes"),
        lambda before, seen: not serves(seen),
        {"stop": at(STOP), "stopped": at(STOP, "after")},
        changes=SERVICE,
        rests=True,
    ),
    Workflow(
        "service.start",
        ("service.start", "--watch", "1"),
        lambda before, seen: serves(seen),
        {"start": at(START), "started": at(START, "after")},
        prepare="systemctl stop jobrunner",
        changes=SERVICE,
    ),
]
