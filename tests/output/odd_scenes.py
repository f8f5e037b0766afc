"""Answers that belong together, for tasks that need more than one odd answer to show a plan."""

import json
from dataclasses import replace

import msgspec

from opstasks.deploy.facts import Commit, DeployFacts
from opstasks.deploy.fit import FitFacts
from opstasks.deploy.release import ReleasesAnswer
from opstasks.history.read import HistoryAnswer, JournalEntry
from opstasks.images.facts import RegistryOffer
from opstasks.jobs.find import FindAnswer, FoundJob
from opstasks.jobs.model import Container, Job
from opstasks.outputs.plan import FoundOutput, InspectedOutput, OutputFacts
from tests.deploy import screens_help as deploys
from tests.fake_host import Reply
from tests.fuzz import answers, commands
from tests.manage import manage_help
from tests.output.odd_hosts import ACTIONS, IMAGES, PATHS, PEOPLE, REFS, TEXTS, WORKSPACES

NOW = answers.NOW
STATES = ("running", "pending", "failed", "succeeded")
CODES = ("executing", "waiting_on_dependencies", "internal_error", "nonzero_exit")


def id_of(number):
    return f"{number:02}jobs{'abcdefghij2345'[number % 10 :]}"[:16].ljust(16, "q")


def job(number, state="", **more):
    """One of many jobs: each state, short and long names, odd messages."""
    long = number % 3 == 1
    return Job(
        id=id_of(number),
        workspace=WORKSPACES[number % 3] if long else ("", "study-b", "研究")[number % 3],
        action=ACTIONS[number % 3] if long else "extract",
        state=state or STATES[number % 4],
        status_code=CODES[number % 4],
        created_at=NOW - 3600 * number,
        started_at=NOW - 3000 * number if number % 5 else 0.0,
        updated_at=NOW - 60,
        image=IMAGES[number % 2],
        status_message=TEXTS[number % len(TEXTS)],
        memory_bytes=(None, 0, 10**15)[number % 3],
        **more,
    )


def jobs_answer(count):
    return {
        "counts": dict.fromkeys(STATES, count),
        "docker": {"containers": [], "jobs": [], "problem": ""},
        "flags": {},
        "jobs": [msgspec.to_builtins(job(number)) for number in range(count)],
        "more": count > 0,
        "now": NOW,
    }


def found_jobs(count):
    """So many running jobs for each word."""

    def answer(request):
        return FindAnswer(matches={word: matches(word) for word in request.words}, now=NOW)

    def matches(word):
        if count == 1:
            return (found(replace(job(1, "running"), id=word)),)
        return tuple(found(replace(job(n, "running"), action=f"{word}-{n}")) for n in range(count))

    def found(one):
        container = Container(one.container_name, IMAGES[0], "running", started_at=NOW - 100)
        return FoundJob(job=one, row=msgspec.to_builtins(one), container=container)

    return answer


def commit(number):
    return Commit(f"{number:07x}", PEOPLE[number % 3], TEXTS[number % len(TEXTS)])


def _source(name):
    """Where the checkouts of a real host come from."""
    found = msgspec.convert(answers.RECORDED["deploy.inspect"][0], DeployFacts)
    return {"path": getattr(found, name).path, "source": getattr(found, name).source}


def _longer(checkout, **more):
    more |= _source("code")
    return replace(checkout, head_name=REFS[0], target_name=REFS[1], ref=REFS[1], **more)


DEPLOY = replace(
    deploys.OLD,
    code=_longer(deploys.OLD.code, gained=tuple(map(commit, range(12)))),
    lib=replace(deploys.OLD.lib, **_source("lib")),
    missing_keys=("OTEL_EXPORTER_OTLP_HEADERS", "A_KEY_" * 10),
    unit_drop_ins=(PATHS[0],),
    is_confined=False,
)
LOSES = replace(DEPLOY, code=replace(DEPLOY.code, lost=tuple(map(commit, range(5)))))
ROLLBACK = replace(
    deploys.BACK,
    code=_longer(deploys.BACK.code),
    lib=replace(deploys.OLD.lib, **_source("lib")),
    releases=(
        replace(
            deploys.UNDONE,
            from_code="a" * 40,
            to_code="b" * 40,
            from_lib="c" * 40,
            to_lib="c" * 40,
            from_name=REFS[1],
            to_name=REFS[0],
            who=PEOPLE[1],
            started_at=NOW,
        ),
    ),
)
UNFINISHED = replace(
    DEPLOY,
    releases=(
        replace(deploys.UNDONE, outcome="", step="moved", snapshot=PATHS[1], to_name=REFS[2]),
    ),
)


def outputs_of(request):
    """Each file that is asked for, with long owners and other sizes."""
    facts = OutputFacts(1, 2, 10**12, 1_790_000_000_000_000_000, PEOPLE[1], "f" * 64)
    files = [
        InspectedOutput(path, FoundOutput(facts), FoundOutput(facts)) for path in request.files
    ]
    return {"files": msgspec.to_builtins(files), "source_away": False, "now_at": NOW}


def manage_facts():
    """A host without some of what is described."""
    spec = {"level3_source": "/e/FILESFORL4", "level4_folder": "D:\\x"}
    facts = manage_help.facts_of(manage_help.described("sandbox", **spec))
    facts["packages"] = dict.fromkeys(facts["packages"], False)
    facts["users"]["rosa"] = None
    facts["users"]["eve"] = facts["users"]["ada"] | {"uid": 2000, "home": "/home/eve"}
    facts["paths"] |= {path: None for path in list(facts["paths"])[:8]}
    facts["units"] = {
        name: {"file_state": "disabled", "active_state": "failed"} for name in facts["units"]
    }
    facts["trees"] = {path: {"wrong": 10**6, "examples": PATHS[:2]} for path in facts["trees"]}
    return facts


def images_of(request):
    digest = f"sha256:{'d' * 64}"
    names = request.sources
    images = [
        {
            "id": f"sha256:{number:064x}",
            "created_at": int(NOW) - 1000,
            "digests": [],
            "size_bytes": 10**9,
            "tags": [name],
            "users": [WORKSPACES[0], "x"],
        }
        for number, name in enumerate([*names, *IMAGES])
    ]
    offers = {name: msgspec.to_builtins(RegistryOffer(digest)) for name in names}
    return {"images": images, "free_bytes": 10**9, "offers": offers}


def _entry(number, **more):
    entry = commands.ENTRY | {"run_id": f"20270115T08000{number}-abcdef", **more}
    return JournalEntry(json.dumps(entry), by="root", login=PEOPLE[number % 3], at=NOW - 100)


HISTORY = HistoryAnswer(
    (
        _entry(0, who=PEOPLE[1], args={"ref": REFS[0], "hosts": WORKSPACES[1]}),
        _entry(1, who=PEOPLE[0], task="outputs.rm", outcome="failed", detail=TEXTS[2]),
        _entry(2, who="", task="jobs.kill", phase="begin", args={"jobs": " ".join(PATHS)}),
        _entry(3, task="pause", args={"reason": TEXTS[5]}),
    ),
    ignored=3,
)
ROLLBACKS = ReleasesAnswer(ROLLBACK.releases)
NO_RELEASES, UNKNOWN_FIT = ReleasesAnswer(()), FitFacts()
OWNER = json.dumps(commands.OWNER | {"who": PEOPLE[1], "task": "outputs.rm"})
# A command that says who has the lock, and one that succeeds if it is free.
HELD = {"echo held": Reply(out=OWNER), "flock -n": Reply(1)}
HOLDERS = {
    "holders": [
        {
            "pid": 4_000_000_000,
            "user": PEOPLE[1],
            "command": f"rsync {PATHS[0]} {PATHS[1]}",
            "start_ticks": 1,
            "age_s": 10**9,
            "session": 1,
        }
    ]
}
