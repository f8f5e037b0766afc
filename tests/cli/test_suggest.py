"""A mistyped word leads to the task that was meant, and never by itself to a change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.cli.catalogue import Catalogue, core_shape
from opstasks.cli.options import CORE_HELP
from opstasks.cli.program import CommandLine
from opstasks.cli.suggest import FLAGS, WORDS, flag_for, is_one_mistake, tasks_for
from opstasks.cli.usage import KnownWords
from opstasks.fleet.inventory import HostSpec, Inventory
from opstasks.namespace import namespace

CATALOGUE = Catalogue(namespace)
CHANGES = CATALOGUE.changes
INVENTORY = Inventory(
    {name: HostSpec(name=name) for name in ("tpp", "emis", "sandbox-1")}, {"prod": ("tpp", "emis")}
)

# What was typed, and the tasks that are offered.
READING = {
    "stauts": "status",
    "satus": "status",
    "statuss": "status",
    "state": "status",
    "Status": "status",
    "dcotor": "doctor",
    "docter": "doctor",
    "health": "doctor status",
    "histroy": "history",
    "hosst": "hosts",
    "inventory": "hosts",
    "log": "logs jobs.logs",
    "lgos": "logs",
    "journalctl": "logs",
    "tail": "logs jobs.logs",
    "ps": "jobs.ls",
    "queue": "jobs.ls",
    "list": "jobs.ls images.ls outputs.ls",
    "ls": "jobs.ls images.ls outputs.ls",
    "jobs.lss": "jobs.ls",
    "jobs.list": "jobs.ls",
    "jobs_ls": "jobs.ls",
    "jobs-ls": "jobs.ls",
    "jobrunner/jobs-ls": "jobs.ls",
    "sync.stat": "sync.status",
    "top": "jobs.stats host.stats",
    "htop": "host.stats jobs.stats",
    "free": "host.stats",
    "df": "host.stats",
    "du": "host.stats",
    "docker": "jobs.ls images.ls",
    "systemctl": "status logs",
    "hosts.stats": "host.stats",
    "unlock": "lock.show",
    "preview": "deploy.pending",
    "deploy.status": "status",
    "deploy.pendin": "deploy.pending",
    "service.status": "status",
    "config.get": "config.show",
    "config.chekc": "config.check",
    "settings": "config.show",
    "files": "outputs.ls",
    "images.list": "images.ls",
    "schedule": "scheduled",
    "cron": "scheduled",
    "sql": "jobs.queries",
    "database": "db.progress jobs.queries",
    "conf": "config.show config.check",
    "container": "jobs.ls images.ls",
    "podman": "jobs.ls images.ls",
    "healthcheck": "doctor status",
    "lock.shwo": "lock.show",
    "outputs.pend": "outputs.pending",
    "deploy.history": "history",
    "service.logs": "logs",
}
# The group has no such task: no task of another group is offered.
OF_NO_GROUP = (
    "config.edit",
    "config.list",
    "deploy.list",
    "deploy.shutdown",
    "hosts.check",
    "hosts.list",
    "jobs.cancel",
    "jobs.restart",
    "jobs.upgrade",
    "lock.ls",
    "lock.release",
    "manage.check",
    "manage.plan",
    "outputs.show",
    "pause.stop",
    "scheduled.list",
    "service.reload",
    "service.resume",
    "service.stat",
    "users.add",
    "users.list",
)
# The word names the change: one typing mistake, the last part of the name, or a usual word for it.
CHANGING = {
    "stop": "service.stop sync.stop",
    "start": "service.start sync.start",
    "restart": "service.restart",
    "service.stpo": "service.stop",
    "depoly": "deploy",
    "deply": "deploy",
    "upgrade": "deploy",
    "rollback": "deploy.rollback",
    "undo": "deploy.rollback",
    "update": "deploy images.update",
    "kill": "jobs.kill",
    "job.kill": "jobs.kill",
    "kill-jobs": "jobs.kill",
    "retry": "jobs.retry",
    "rm": "outputs.rm",
    "delete": "outputs.rm",
    "outputs.delete": "outputs.rm",
    "puase": "pause",
    "unpasue": "unpause",
    "resume": "unpause",
    "cancel": "scheduled.cancel",
    "reboot": "prepare-reboot scheduled",
    "shutdown": "prepare-reboot",
    "prepare_reboot": "prepare-reboot",
    "ssh": "shell run",
    "exec": "run",
    "mange": "manage",
    "images.pull": "images.update",
    "bash": "shell",
    "rolback": "deploy.rollback",
    "killl": "jobs.kill",
    "kil": "jobs.kill",
    "cancell": "scheduled.cancel",
    "stopp": "service.stop sync.stop",
    "restrat": "service.restart",
}
# All of WORDS that lead to a change: nobody types them to look at something.
CHANGING_WORDS = [
    "ansible",
    "bash",
    "command",
    "connect",
    "delete",
    "drain",
    "exec",
    "execute",
    "halt",
    "hold",
    "login",
    "poweroff",
    "provision",
    "pull",
    "reboot",
    "remove",
    "requeue",
    "rerun",
    "resume",
    "revert",
    "setup",
    "sh",
    "ship",
    "shutdown",
    "ssh",
    "sudo",
    "suspend",
    "terminate",
    "undo",
    "update",
    "upgrade",
]
NOTHING = (
    *("xyzzy", "frobnicate", "please", "a", "", "-", "...", "rum", "ste", "seat", "count", "fill"),
    *("install", "reload", "mop", "till"),
)
GROUPS = ("users", "outputs", "service", "config", "sync", "lock")


def test_the_table_has_at_least_sixty_words():
    assert len(READING) + len(CHANGING) >= 60


@pytest.mark.parametrize(("word", "tasks"), (READING | CHANGING).items())
def test_a_word_leads_to_the_tasks_that_it_means(word, tasks):
    assert tasks_for(word, CHANGES) == tasks.split()


@pytest.mark.parametrize("word", [*READING, *NOTHING, *GROUPS, *OF_NO_GROUP])
def test_a_word_that_names_no_change_offers_none(word):
    assert not [name for name in tasks_for(word, CHANGES) if CHANGES[name]]


@pytest.mark.parametrize("word", [*NOTHING, *OF_NO_GROUP])
def test_a_word_that_means_nothing_offers_nothing(word):
    assert tasks_for(word, CHANGES) == []


def letters_apart(one, other):
    """The edit distance, with exchanged neighbours as one edit; written without `suggest`."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            least = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and (a, one[i - 2]) == (other[j - 2], b):
                least = min(least, rows[-2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]


@given(st.text(st.sampled_from("abc"), max_size=5), st.text(st.sampled_from("abc"), max_size=5))
def test_one_mistake_is_an_edit_distance_of_one(one, other):
    assert is_one_mistake(one, other) == (letters_apart(one, other) == 1)


@given(st.text(st.sampled_from("abcdeghijklmnoprstuvy.-"), max_size=14))
def test_no_word_leads_to_a_change_unless_it_is_nearly_its_name(word):
    plain = word.replace("-", ".").strip(".")
    for name in tasks_for(word, CHANGES):
        if CHANGES[name]:
            names = [each.replace("-", ".") for each in CATALOGUE.names_of(name)]
            parts = [each.rpartition(".")[2] for each in names]
            near = min(letters_apart(plain, each) for each in names)
            known = name in WORDS.get(plain.rpartition(".")[2], ())
            mistyped = [each for each in parts if len(each) > 3 and letters_apart(plain, each) < 2]
            assert near < 2 or plain.rpartition(".")[2] in parts or known or mistyped


def test_every_word_leads_to_tasks_that_exist():
    assert {name for names in WORDS.values() for name in names} <= set(CHANGES)


def test_the_usual_words_for_a_change_are_listed_here():
    found = {word for word, names in WORDS.items() if any(CHANGES[name] for name in names)}
    assert sorted(found) == CHANGING_WORDS


def test_no_word_hides_a_task_a_group_or_itself():
    assert not set(WORDS) & {*CHANGES, *CATALOGUE.groups}


# -- the whole message -----------------------------------------------------------------------------


def known(inventory=INVENTORY):
    core = core_shape(CommandLine(name="inv").core_args())
    return KnownWords(CHANGES, CATALOGUE.groups, CATALOGUE.shapes, core, lambda: inventory)


@pytest.mark.parametrize("group", CATALOGUE.groups)
def test_the_name_of_a_group_lists_its_tasks(group):
    if group in CATALOGUE.shapes:
        return  # `deploy` is a task, too
    error = known().unknown_task(group)
    assert f"'{group}' is a group of tasks: " in error.message
    for name in CATALOGUE.groups[group]:
        assert name.rpartition(".")[2] in error.message
    assert error.hint == f"inv --help {group}"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("stop", "'stop' is not a task. Did you mean service.stop, sync.stop?", "inv --list"),
        ("stauts", "'stauts' is not a task. Did you mean status?", "inv --help status"),
        ("jobs ls", "'jobs ls' is not a task. Did you mean jobs.ls?", "inv --help jobs.ls"),
        ("jbs", "'jbs' is not a task. Did you mean the group jobs?", "inv --help jobs"),
        ("sandbox-1", "'sandbox-1' is a host", "inv -H sandbox-1 status"),
        ("tpp jobs.ls", "'tpp' is a host", "inv -H tpp jobs.ls"),
        ("prod", "'prod' is a group of hosts", "inv -H prod status"),
        ("all", "'all' is a group of hosts", "inv -H all status"),
        ("tpp,emis", "'tpp,emis' is a list of hosts", "inv -H tpp,emis status"),
        ("me@db1 run", "'me@db1' is a host", "inv -H me@db1 run"),
        ("sandbox-2", "Did you mean the host sandbox-1?", "inv -H sandbox-1 status"),
        ("tppp jobs.ls", "Did you mean the host tpp?", "inv -H tpp jobs.ls"),
        ("tppp deploy", "Did you mean the host tpp?", "inv -H tpp status"),
        ("help", "'help' is not a task", "inv --help TASK"),
        ("help deploy", "'help' is not a task", "inv --help deploy"),
        ("xyzzy", "'xyzzy' is not a task", "inv --list"),
    ],
)
def test_a_word_in_the_place_of_a_task(line, message, hint):
    word, *rest = line.split()
    error = known().unknown_task(word, rest)
    assert message in error.message
    assert error.hint == hint


def test_a_broken_inventory_does_not_hide_the_message():
    assert known(None).unknown_task("tpp").message == "'tpp' is not a task"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--reff", "--ref"),
        ("--lib_ref", "--lib-ref"),
        ("-ref", "--ref"),
        ("--host", "--hosts"),
        ("--Json", "--json"),
        ("--follw", "--follow"),
        ("--unf", "--unfinished"),
        ("-x", ""),
        ("--colour", ""),
        ("--tag", "--ref"),
        ("--tail", ""),
    ],
)
def test_a_mistyped_flag_leads_to_the_nearest(typed, meant):
    flags = ["--ref", "--lib-ref", "--hosts", "-H", "--json", "--follow", "-f", "--unfinished"]
    assert flag_for(typed, flags) == meant


def test_the_flags_of_other_programs_lead_to_flags_that_exist():
    known_flags = {flag for shape in CATALOGUE.shapes.values() for flag in shape.flags}
    known_flags |= {f"--{name}" for name in CORE_HELP}
    for word, names in FLAGS.items():
        for meant in names:
            assert f"--{meant}" in known_flags, word
            assert flag_for(f"--{word}", [f"--{meant}", "--other"]) == f"--{meant}"
        assert flag_for(f"--{word}", ["--other", f"--{word}s", f"--{word}-more"]) == ""
