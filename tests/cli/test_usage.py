"""What a wrong word or flag of a task leads to: the whole message, for the real tasks."""

import shlex
from dataclasses import replace

import pytest
from invoke import Parser

from opstasks.cli import extra_words
from opstasks.cli.argv import MisfitWord, arrange
from opstasks.cli.catalogue import Catalogue, core_shape
from opstasks.cli.program import CommandLine
from opstasks.cli.usage import KnownWords
from opstasks.core.errors import Refused
from opstasks.fleet.inventory import HostSpec, Inventory
from opstasks.namespace import namespace
from tests.cli.test_suggest import CHANGING, GROUPS, NOTHING, OF_NO_GROUP, READING

CATALOGUE = Catalogue(namespace)
CORE = core_shape(CommandLine(name="inv").core_args())
INVENTORY = Inventory(
    {name: HostSpec(name=name) for name in ("tpp", "emis", "dead-1")}, {"prod": ("tpp", "emis")}
)
KNOWN = KnownWords(CATALOGUE.changes, CATALOGUE.groups, CATALOGUE.shapes, CORE, lambda: INVENTORY)


def explained(line):
    """The error for a line with a word or flag that does not fit."""
    words = shlex.split(line)
    count = words.index("--") if "--" in words else len(words)
    with pytest.raises(MisfitWord) as caught:
        arrange(words[:count], CORE, CATALOGUE.shapes)
    return replace(KNOWN, after=words[count:]).explained(caught.value, words[:count])


# -- flags -----------------------------------------------------------------------------------------

# What was typed, and the flag that is offered.
FLAGS = {
    "jobs.ls --limt 5": "--limit",
    "jobs.ls --tail 5": "--limit",
    "jobs.ls --last 5": "--limit",
    "jobs.ls --head 5": "--limit",
    "deploy.releases --count 5": "--limit",
    "history --max 5": "--limit",
    "logs --tail 5": "--lines",
    "logs --head 5": "--lines",
    "host.stats --max 3": "--top",
    "status --format json": "--json",
    "status --output json": "--json",
    "status --verbose": "--echo",
    "status --host tpp": "--hosts",
    "status --nocolor": "--no-color",
    "status --wid": "--wide",
    "deploy --dryrun": "--dry",
    "deploy --dry-run": "--dry",
    "deploy --check": "--dry",
    "deploy --reff x": "--ref",
    "deploy --release v2": "--ref",
    "deploy --unf back": "--unfinished",
    "deploy --forks 3": "--parallel",
    "deploy --yess": "--yes",
    "deploy --timeout 3": "--connect-timeout",
    "jobs.kill --keep": "--no-cleanup",
    "jobs.kill --nocleanup": "--no-cleanup",
    "prepare-reboot --keep": "--keep-paused",
    "pause --duration 2h": "--for",
    "pause --message x": "--reason",
    "pause --replce": "--replace",
}
# No flag is offered: the nearest means something else, or the opposite.
NO_FLAG = (
    "deploy --no-restart",
    "deploy --all",
    "deploy --force",
    "deploy --re",
    "jobs.stats --limt",
    "jobs.stats --lst",
    "manage --all",
    "manage --force",
    "outputs.rm --force",
    "pause --force",
    "pause --release",
    "prepare-reboot --duration 1h",
    "prepare-reboot --release",
    "status --color",
    "status --colour",
    "status --hel",
    "status --id 5",
    "status --ident x",
    "status --in x",
    "status --inv x",
    "status --last",
    "status --lis",
    "status --no-wide",
    "status --no-yes",
    "status --warn",
)


@pytest.mark.parametrize(("line", "flag"), FLAGS.items())
def test_a_wrong_flag_leads_to_the_one_that_was_meant(line, flag):
    error = explained(line)
    assert error.message.endswith(f"Did you mean {flag}?")
    assert error.hint == f"inv --help {line.split()[0]}"


@pytest.mark.parametrize("line", NO_FLAG)
def test_a_flag_that_means_something_else_is_not_offered(line):
    error = explained(line)
    assert "Did you mean" not in error.message
    assert error.hint == f"inv --help {line.split()[0]}"


@pytest.mark.parametrize("name", CATALOGUE.changes)
def test_no_flag_leads_to_its_opposite_or_to_another_question(name):
    flags = [*CATALOGUE.shapes[name].flags, *CORE.flags]
    for flag in (flag for flag in flags if flag.startswith("--")):
        for typed in (f"--no-{flag[2:]}", flag.replace("--no-", "--"), flag[:4], flag[:-1]):
            if typed in flags or typed == "--":
                continue
            message = explained(f"{name} {typed}").message
            offered = message.partition("Did you mean ")[2].rstrip("?")
            assert offered not in ("--help", "--list", "--list-format", "--identity", "--inventory")
            assert not offered.startswith("--no-") or typed.startswith("--no")
            assert not offered or offered.startswith("--no-") or not typed.startswith("--no-")


# -- values that look like flags -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *CATALOGUE.changes])
def test_a_flag_in_the_place_of_a_value_is_refused_by_name_or_is_the_value(name):
    """Invoke would take it for the flag, and say so in its own words or run the task without -H."""
    shape = CATALOGUE.shapes[name] if name else CORE
    task = name or "status"
    parser = Parser(
        initial=CommandLine(name="inv").initial_context, contexts=[CATALOGUE.context(task)]
    )
    for flag in (flag for flag, takes_value in shape.flags.items() if takes_value):
        needed = ["abc" for each in CATALOGUE.shapes[task].needs if f"--{each}" != flag]
        for value in ("--", *shape.flags, *(CORE.flags if name else ())):
            words = [*(() if name else [f"{flag}={value}"]), task, *needed]
            words += [f"{flag}={value}"] if name else []
            try:
                arranged = arrange(words, CORE, CATALOGUE.shapes)
            except Refused as error:
                assert flag in error.message
                continue
            (core, *tasks) = parser.parse_argv(arranged)
            found = next(each for each in (*tasks, core) if flag in each.flags)
            assert value in found.flags[flag].value


# -- words after a task ----------------------------------------------------------------------------

EXTRA = {
    "deploy pending": ("'deploy pending' is not a task. Did you mean deploy.pending?", ".pending"),
    "deploy releases": ("Did you mean deploy.releases?", "deploy.releases"),
    "deploy rollback": ("Did you mean deploy.rollback?", "deploy.rollback"),
    "scheduled cancel": ("Did you mean scheduled.cancel?", "inv --help scheduled.cancel"),
    "hosts check": ("hosts takes no word such as 'check'. Did you mean --check?", "hosts"),
    "status watch": ("Did you mean --watch?", "status"),
    "-H tpp jobs.ls all": ("Did you mean --all?", "jobs.ls"),
    "jobs.ls all": ("'all' is a group of hosts", "inv -H all jobs.ls"),
    "deploy v2.73.0": ("Did you mean --ref v2.73.0?", "deploy"),
    "deploy main": ("Did you mean --ref main?", "deploy"),
    "deploy.rollback 30": ("Did you mean --watch 30?", "deploy.rollback"),
    "manage config": ("Did you mean --only config?", "manage"),
    "manage packages": ("Did you mean --only packages?", "manage"),
    "history 20": ("Did you mean --limit 20?", "history"),
    "history 7d": ("Did you mean --since 7d?", "history"),
    "history alice": ("Did you mean --who alice?", "history"),
    "history tpp": ("'tpp' is a host", "inv -H tpp history"),
    "jobs.ls 5": ("Did you mean --limit 5?", "jobs.ls"),
    "jobs.ls 5m": ("Did you mean --since 5m?", "jobs.ls"),
    "jobs.ls running": ("Did you mean --state running?", "jobs.ls"),
    "jobs.ls study-b": ("Did you mean --workspace study-b?", "jobs.ls"),
    "host.stats 5": ("Did you mean --top 5?", "host.stats"),
    "status --watch 5": ("Did you mean --every 5?", "status"),
    "prepare-reboot 22:00": ("Did you mean --at 22:00?", "prepare-reboot"),
    "pause 2h": ("Did you mean --for 2h?", "pause"),
    "pause upgrade": ("Did you mean --reason upgrade?", "pause"),
}
# The name of a flag without its dashes: the command to type has the whole line.
NAMED = {
    "pause for 2h": "inv pause --for 2h",
    "pause for=2h": "inv pause --for 2h",
    "pause for 2h reason upgrade": "inv pause --for 2h reason upgrade",
    "pause reason db upgrade --for 2h": "inv pause --reason 'db upgrade' --for 2h",
    "-H tpp prepare-reboot at 22:00 --yes": "inv -H tpp prepare-reboot --at 22:00 --yes",
    "jobs.ls since 1h": "inv jobs.ls --since 1h",
    "jobs.ls limit 5 -H tpp": "inv jobs.ls --limit 5 -H tpp",
    "history since yesterday": "inv history --since yesterday",
    "history task deploy": "inv history --task deploy",
    "db.progress table X": "inv db.progress --table X",
    "deploy ref v2": "inv deploy --ref v2",
    "logs since 1h": "inv logs --since 1h",
    "-H tpp shell ls": "inv -H tpp run -- ls",
    "-H tpp shell --user rosa ls -l": "inv -H tpp run --user rosa -- ls -l",
}
NO_WORD = (
    "jobs.ls json",
    "jobs.ls limit",
    "pause dry",
    "pause for",
    "pause until",
    "prepare-reboot at",
    "prepare-reboot in",
    "completion bash zsh",
    "deploy now",
    "deploy stop",
    "images.ls 5",
    "manage now",
    "manage tpp2",
    "pause now",
    "prepare-reboot now",
    "service.stop now",
    "status 5",
    "users.disable a b",
)


@pytest.mark.parametrize(("line", "told"), EXTRA.items())
def test_an_extra_word_leads_to_what_it_can_mean(line, told):
    error = explained(line)
    assert error.message.endswith(told[0])
    assert error.hint.endswith(told[1])


@pytest.mark.parametrize(("line", "command"), NAMED.items())
def test_the_name_of_a_flag_without_dashes_leads_to_the_line_with_them(line, command):
    assert explained(line).hint == command


@pytest.mark.parametrize(
    ("line", "secret"),
    [("pause reason token=opensesame", "opensesame"), ("-H a pause reason 'key: abc'", "abc")],
)
def test_the_value_of_a_flag_without_dashes_is_not_in_the_message(line, secret):
    assert secret not in explained(line).message


@pytest.mark.parametrize("name", CATALOGUE.changes)
def test_no_name_of_a_flag_is_offered_as_the_value_of_another(name):
    """`prepare-reboot at 22:00` must not lead to a reboot that begins now, with the reason `at`."""
    shape = CATALOGUE.shapes[name]
    needed = ["bash" if name == "completion" else "abc" for _ in shape.needs]
    flags = {flag[2:] for flag in [*shape.flags, *CORE.flags] if flag.startswith("--")}
    for word in sorted(flags - {"complete"} | extra_words.FILLERS):  # it is for shells only
        for value in ("", "2h", "22:00"):
            words = [*("-H", "tpp", name), *needed, *[word, value][: 1 + bool(value)]]
            try:
                arrange(words, CORE, CATALOGUE.shapes)
            except MisfitWord as misfit:
                if misfit.word != word:
                    continue
                error = KNOWN.explained(misfit, words)
            except Refused:
                continue
            else:
                continue
            offered = error.message.partition("Did you mean --")[2].rstrip("?")
            assert offered in ("", word) or (name, word) == ("manage", "config"), error
            command = shlex.split(error.hint)[1:]
            if offered and f"--{word}" in command:
                assert arrange(command, CORE, CATALOGUE.shapes)


@pytest.mark.parametrize("line", NO_WORD)
def test_an_extra_word_is_offered_no_flag_that_it_does_not_fit(line):
    task, *_, word = line.split()
    assert explained(line).message == f"{task} takes no word such as {word!r}"


@pytest.mark.parametrize("name", CATALOGUE.changes)
@pytest.mark.parametrize("word", ["5", "2h", "v2", "now", "stop", "config", "x", "22:00", "all"])
def test_a_flag_offered_for_an_extra_word_can_be_typed_like_that(name, word):
    """With the flag, the line is accepted as it is."""
    needed = ["abc" for _ in CATALOGUE.shapes[name].needs]
    words = ["-H", "tpp", name, *(["bash"] if name == "completion" else needed)]
    try:
        arrange([*words, word], CORE, CATALOGUE.shapes)
    except MisfitWord as misfit:
        message = KNOWN.explained(misfit, [*words, word]).message
    else:
        return
    offered = message.partition("Did you mean -")[2].rstrip("?")
    if offered:
        assert arrange([*words, *shlex.split(f"-{offered}")], CORE, CATALOGUE.shapes)


# -- words in the place of a task ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("outputs.show", "; those of outputs are: ls, rm, pending, attest", "inv --help outputs"),
        ("users.add", "; those of users are: disable", "inv --help users"),
        ("deploy.list", "deploy are: deploy, pending, rollback, releases", "inv --help deploy"),
        ("lock.release", "; those of lock are: show, break", "inv --help lock"),
        ("jobs.restart", "; those of jobs are: ls, show", "inv --help jobs"),
        ("service.stat", "; those of service are: start, stop, restart", "inv --help service"),
        ("scheduled.list", "; those of scheduled are: scheduled, cancel", "inv --help scheduled"),
        ("hosts.list", "'hosts.list' is not a task", "inv --help hosts"),
        ("hosts.check", "Did you mean hosts --check?", "inv --help hosts"),
        ("manage.plan", "Did you mean manage --plan?", "inv --help manage"),
        ("install", "'install' is not a task", "inv --list"),
        ("reload", "'reload' is not a task", "inv --list"),
        ("Dead1", "Did you mean the host dead-1?", "inv -H dead-1 status"),
        ("prods jobs.ls", "Did you mean the group of hosts prod?", "inv -H prod jobs.ls"),
        ("prods deploy", "Did you mean the group of hosts prod?", "inv -H prod status"),
        ("kil", "Did you mean jobs.kill?", "inv --help jobs.kill"),
    ],
)
def test_a_word_that_is_no_task_leads_to_its_group_task_or_host(line, message, hint):
    error = explained(line)
    assert message in error.message
    assert error.hint == hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("prepare-reboot tpp --at 22:00", "inv -H tpp prepare-reboot --at 22:00"),
        ("prepare-reboot --at 22:00 tpp", "inv -H tpp prepare-reboot --at 22:00"),
        ("--yes deploy tpp --ref v2", "inv -H tpp --yes deploy --ref v2"),
        ("tpp,emis pause --reason 'a b' --for 2h", "inv -H tpp,emis pause --reason 'a b' --for 2h"),
        ("tpp status deploy", "inv -H tpp status deploy"),
        ("tpp --json", "inv -H tpp status"),
        ("tppp logs --since 5m", "inv -H tpp logs --since 5m"),
        ("tppp status deploy", "inv -H tpp status"),
        ("tpp run -- ls -l", "inv -H tpp run -- ls -l"),
        ("run tpp -- ls -l", "inv -H tpp run -- ls -l"),
        ("run tpp ls -l", "inv -H tpp run -- ls -l"),
        ("run tpp -- curl -H x", "inv -H tpp run -- curl -H x"),
        ("run tpp", "inv --help run"),
        ("jobs.strace abc tpp", "inv --help jobs.strace"),
        ("tppp run -- ls -l", "inv -H tpp status"),
    ],
)
def test_the_command_for_a_host_is_the_whole_line(line, hint):
    """Another one might do something else: a reboot at once, another release."""
    assert explained(line).hint == hint


@pytest.mark.parametrize(
    ("line", "help_of"),
    [
        ("-H emis service.stop tpp", "service.stop"),
        ("service.stop tpp --hosts=emis", "service.stop"),
        ("-Hemis tpp status", "status"),
        ("tpp -H emis", "flags"),
    ],
)
def test_hosts_that_were_chosen_with_the_flag_are_never_dropped(line, help_of):
    error = explained(line)
    assert error.message == "'tpp' is a host, and -H is given already"
    assert error.hint == f"inv --help {help_of}"
    assert explained(line.replace("tpp", "tppp")).hint.startswith("inv --help")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("run ls -l", "inv run -- ls -l"),
        ("run reboot -H tpp", "inv -H tpp run -- reboot"),
        ("run reboot -Htpp now", "inv -H tpp run -- reboot now"),
        ("run reboot --hosts=tpp,emis -- now", "inv --hosts tpp,emis run -- reboot now"),
        ("run ls -H prod --hosts tpp", "inv -H prod --hosts tpp run -- ls"),
        ("jobs.strace abc f -H tpp", "inv -H tpp jobs.strace abc -- f"),
        ("--yes run reboot -H ops@tpp", "inv -H ops@tpp --yes run -- reboot"),
        ("-H emis run tail -f x", "inv -H emis run -- tail -f x"),
        # Which program they are for is not clear.
        ("run reboot -H tpp --user root", "inv --help run"),
        ("run reboot --yes", "inv --help run"),
        ("run ls --json -H tpp", "inv --help run"),
        ("run curl -H 'Accept: x' http://y", "inv --help run"),
        ("run reboot -H nosuch", "inv --help run"),
        ("-H emis run reboot -H tpp", "inv --help run"),
        ("run tpp ls -H emis", "inv --help run"),
        ("-H emis run tpp -- ls", "inv --help run"),
    ],
)
def test_no_hint_makes_a_command_run_on_other_hosts_than_were_typed(line, hint):
    """Behind ``--``, -H is a flag of the command, which then runs on this machine."""
    assert explained(line).hint == hint


@pytest.mark.parametrize(
    "name", [name for name in CATALOGUE.shapes if CATALOGUE.shapes[name].after_dashes]
)
@pytest.mark.parametrize("flag", ["-H tpp", "-Htpp", "--hosts tpp", "--hosts=tpp", "-H x,tpp"])
@pytest.mark.parametrize("rest", ["{}", "a {} b", "{} --user root", "{} -- c", "a --yes {} -x"])
def test_hosts_never_move_behind_the_dashes(name, flag, rest):
    first = ["job"] if CATALOGUE.shapes[name].variadic else []
    hint = explained(" ".join([name, *first, "ls", rest.format(flag)])).hint
    assert not any(word.startswith(("-H", "--hosts")) for word in hint.partition(" -- ")[2].split())
    assert hint.startswith(("inv -H tpp ", "inv --hosts tpp ", "inv --help "))


WRONG = [word for word in (*READING, *CHANGING, *NOTHING, *GROUPS, *OF_NO_GROUP) if word.strip()]


@pytest.mark.parametrize(
    "line", ["{}", "-H tpp {}", "-H tpp status {}", "history {} -H tpp", "x {}"]
)
def test_the_next_command_runs_no_change_that_was_not_typed(line):
    """It is a help text, a list, or a command that only reads."""
    for word in WRONG:
        words = line.format(word).split()
        try:
            arrange(words, CORE, CATALOGUE.shapes)
        except MisfitWord as misfit:
            hint = KNOWN.explained(misfit, words).hint.removeprefix("inv ").split()
            if hint[0] in ("--help", "--list"):
                continue
            named = {each for each in hint if CATALOGUE.changes.get(each)}
            assert named <= set(words), word
