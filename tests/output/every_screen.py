"""Every task with a screen: the words to type, and what its hosts answer."""

from dataclasses import dataclass, field, replace

from tests.fuzz.readers import READERS
from tests.output import odd_hosts as hosts
from tests.output import odd_scenes as scenes

BOTH = f"{hosts.SHORT},{hosts.LONG}"
# Forty hosts with the same error, two that do not answer, and one that does.
MANY = f"many,dead,{hosts.SHORT}"
# How much of the answers is odd, for each number of a script.
SHARES = {0: 0.3, 1: 0.4, 3: 0.6, 7: 1.0}


@dataclass(frozen=True)
class Row:
    """One line to type.

    `fixed` and `plain` are answers that belong together (see `OddScript`), `flags` core flags.
    """

    words: tuple[str, ...]
    on: str = BOTH
    flags: tuple[str, ...] = ("--yes",)
    numbers: tuple[int, ...] = (1, 3, 7)
    fixed: dict = field(default_factory=dict)
    plain: dict = field(default_factory=dict)
    shows: str = ""

    @property
    def name(self):
        where = {BOTH: "", hosts.SHORT: "", MANY: " on many hosts"}.get(self.on, f" on {self.on}")
        return f"{' '.join((*self.words, *self.flags))}{where}"

    def run(self, patch, number, columns, *more):
        """Run it in a window of a width (0: a pipe), with the answers of a number."""
        script = hosts.OddScript(
            number=number,
            seed=f"{self.name} {number}",
            share=SHARES[number],
            fixed=self.fixed,
            plain=self.plain,
        )
        where = ("-H", self.on) if self.on else ()
        argv = (*where, "--keep-going", *self.flags, *more, *self.words)
        return hosts.run(argv, script, patch, columns)


def _of_reader(reader):
    return Row(reader.words, hosts.SHORT if reader.alone else BOTH)


def scene(line, shows, on=BOTH, *, plain=None, numbers=(1,), **fixed):
    """A task whose answers belong together, by the name of a program with `__` for the dot.

    `shows` is a word of the screen that these answers are for.
    """
    named = {name.replace("__", "."): answer for name, answer in fixed.items()}
    return Row(tuple(line.split()), on, (), numbers, named, plain or {}, shows)


def asked_and_done(row):
    """A change twice: with its question, and carried out."""
    return [row, replace(row, flags=("--yes",))]


def _many(line):
    return Row(tuple(line.split()), MANY, (), (0,))


# A document, and the journal's own lines: the terminal divides them.
NOT_DRAWN = {"--json", "--raw"}
PLAIN = [_of_reader(reader) for reader in READERS if not NOT_DRAWN & set(reader.words)]
CHANGES = ("pause", "unpause", "service.stop", "prepare-reboot", "sync.start")
CHANGES += ("sync.stop", "sync.once", "scheduled.cancel", "config.set", "config.unset")
QUESTIONS = [replace(row, flags=(), numbers=(1,)) for row in PLAIN if row.words[0] in CHANGES]
FORTY = scenes.jobs_answer(40)
FILES = " ".join(["x", scenes.PATHS[0][1:], "a/b.csv"])
REMOVAL = f"outputs.rm {scenes.WORKSPACES[0]} {FILES} --source keep"
IDS = " ".join(map(scenes.id_of, range(3)))
HELD = {"plain": scenes.HELD, "locks__holders": scenes.HOLDERS}
CAN_START = {"deploy__releases": scenes.NO_RELEASES, "deploy__fit": scenes.UNKNOWN_FIT}
BACK = {"deploy__inspect": scenes.ROLLBACK, "deploy__releases": scenes.ROLLBACKS}
A = hosts.SHORT
SCENES = [
    scene("jobs.ls", "00jobs", jobs__read=FORTY),
    scene("jobs.ls --all", "00jobs", A, jobs__read=FORTY),
    scene("jobs.ls", "no job", jobs__read=scenes.jobs_answer(0)),
    scene("jobs.kill x", "Which number?", jobs__find=scenes.found_jobs(25)),
    *asked_and_done(scene(f"jobs.kill {IDS}", "3 jobs", A, jobs__find=scenes.found_jobs(1))),
    scene(f"jobs.show {scenes.id_of(1)}", "runs for", A, jobs__find=scenes.found_jobs(1)),
    scene("jobs.retry x", "Which number?", jobs__find=scenes.found_jobs(3)),
    *asked_and_done(scene("deploy", "12 commits", deploy__inspect=scenes.DEPLOY)),
    *asked_and_done(scene("deploy --all-commits", "LOSES", A, deploy__inspect=scenes.LOSES)),
    *asked_and_done(scene("deploy.rollback", "AFTERWARDS", **BACK)),
    *asked_and_done(scene("service.restart", "AFTERWARDS", **CAN_START)),
    scene("deploy", "UNFINISHED", A, deploy__inspect=scenes.UNFINISHED),
    scene("deploy.pending", "12 behind, 5 ahead", deploy__inspect=scenes.LOSES),
    *asked_and_done(scene(REMOVAL, "3 files", A, outputs__inspect=scenes.outputs_of)),
    *asked_and_done(scene("manage", "changes", manage__inspect=scenes.manage_facts())),
    scene("manage --plan --diff", "changes", manage__inspect=scenes.manage_facts()),
    *asked_and_done(scene("users.disable eve", "eve", manage__inspect=scenes.manage_facts())),
    *asked_and_done(
        scene("images.update python:v2 ehrql:v1", "2 images", images__inspect=scenes.images_of)
    ),
    scene("history", "outputs.rm", history__read=scenes.HISTORY),
    scene("history", "outputs.rm", A, history__read=scenes.HISTORY),
    scene("lock.show", "2 of 2", **HELD),
    *asked_and_done(scene("lock.break --reason x", "4000000000", A, **HELD)),
    scene("hosts", "2 of 44"),
    scene("hosts", "44 of 44", "all"),
    scene("hosts --check", "2 of 2"),
    scene("hosts --check", "no answer", MANY),
    scene("db.progress --temp-table tmp_1", "6 tables"),
    *map(_many, ("status", "jobs.ls", "doctor", "deploy.pending", "logs", "history", "scheduled")),
    *map(_many, ("service.stop", "deploy", "pause --reason x", "manage --plan")),
]
ROWS = [*PLAIN, *QUESTIONS, *SCENES]

SANDBOX = "it prints one short line for each sandbox host of this machine"
NO_SCREEN = {
    "completion": "it prints a script for a shell",
    "shell": "it connects a terminal",
    "jobs.mount": "it connects a terminal; what it says before that, jobs.strace says too",
    "sandbox.down": SANDBOX,
    "sandbox.many": SANDBOX,
    "sandbox.publish": SANDBOX,
    "sandbox.ssh-config": "it prints lines for ~/.ssh/config",
    "sandbox.status": SANDBOX,
    "sandbox.submit": "it prints ids of jobs",
    "sandbox.up": SANDBOX,
}
