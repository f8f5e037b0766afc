"""The two readers of an env file, compared with bash (with systemd: test_config_sandbox.py)."""

import shutil
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opstasks.config.onhost.edit import assign
from opstasks.config.onhost.shell_reader import ShellReader
from opstasks.config.onhost.systemd_reader import read_systemd

# Lines as people write them, each with systemd's and a shell's value (None: not set).
LINES = {
    "A=plain": ("plain", "plain"),
    "A=": ("", ""),
    "A=two words": ("two words", None),
    "A='two words'": ("two words", "two words"),
    'A="two words"': ("two words", "two words"),
    "A=x # c": ("x # c", "x"),
    "A=x#c": ("x#c", "x#c"),
    "A=a;b": ("a;b", "a"),
    'A="a;b"': ("a;b", "a;b"),
    "A='$HOME'": ("$HOME", "$HOME"),
    'A="\\$HOME"': ("$HOME", "$HOME"),
    "export A=x": (None, "x"),
    "A = x": ("x", None),
    " A=x": ("x", "x"),
    "A=x ": ("x", "x"),
    "A=x\r": ("x", "x\r"),
    "A=a\\ b": ("a b", "a b"),
    "A=a\\nb": ("anb", "anb"),
    'A="a\\nb"': ("a\\nb", "a\\nb"),
    "A='a'b": ("ab", "ab"),
    "A=b'a'": ("b'a'", "ba"),
    "A='it'\\''s'": ("it''s'", "it's"),
    "#A=x": (None, None),
    ";A=x": (None, None),
    "A=x=y": ("x=y", "x=y"),
    "A=1\\\n2": ("12", "12"),
    "A=x;B=y": ("x;B=y", "x"),
    "B=1 A=$B": (None, "1"),
    "A=a!b": ("a!b", "a!b"),
    "A=*": ("*", "*"),
    "A={a,b}": ("{a,b}", "{a,b}"),
    "1A=x": (None, None),
    "A-B=x": (None, None),
    "no equals": (None, None),
}
# Values that only a shell could compute, or that must not be run.
UNTOLD = ["A=$HOME", 'A="$HOME"', "A=`id`", "A=$(id)", "A=~", "A=x:~/y", "A=$$", "A=$UNSET"]
# Lines in which a shell does more than assign.
LOST = [
    "A=(1 2)",
    "A=x &",
    "A=x > f",
    "if true",
    "A=${B:=x}",
    "A=$'x'",
    "read A",
    "A[0]=x",
    "A=1;;",
]


@pytest.mark.parametrize("line", LINES, ids=repr)
def test_each_reader_reads_a_line_like_the_real_one(line):
    by_systemd, by_shell = LINES[line]
    assert read_systemd(line + "\n").values().get("A") == by_systemd
    assert ShellReader(line + "\n").read().values().get("A") == by_shell
    assert bash(line + "\n").get("A") == by_shell


@pytest.mark.parametrize("line", UNTOLD)
def test_the_shell_reader_does_not_guess_unknown_values(line):
    reading = ShellReader(line + "\n").read()
    assert reading.values() == {"A": None}
    assert reading.problems
    assert not reading.lost


@pytest.mark.parametrize("line", LOST)
def test_more_than_an_assignment_makes_the_whole_file_uncertain(line):
    reading = ShellReader(f"B=1\n{line}\nC=2\n").read()
    assert reading.lost == 2
    assert reading.values().get("B") is None
    assert "C" not in reading.values()


def test_an_open_quote_hides_the_following_lines_from_both_readers():
    text = "A=1\nB='x\nC=2\n"
    assert ShellReader(text).read().values() == {"A": "1"}
    assert read_systemd(text).values() == {"A": "1", "B": "x\nC=2\n"}


def test_a_later_file_sees_values_of_an_earlier_one():
    assert ShellReader("A=$B/x\n", {"B": "/srv"}).read().values() == {"A": "/srv/x"}


def test_problems_name_lines_and_no_values():
    text = "# fine\nA=hunter2 hunter3\nB=`hunter2`\nhunter2\nexport C=x hunter2=1\n"
    for reading in (read_systemd(text), ShellReader(text).read()):
        assert reading.problems
        assert "hunter" not in repr(reading.problems)


def bash(text):
    """Bash's variables after sourcing, run where it finds no program and no file."""
    script = 'set -a; . /dev/stdin >/dev/null; printf "%s\\0" "A=${A-<unset>}" "B=${B-<unset>}"'
    done = subprocess.run(
        [shutil.which("bash"), "--norc", "-c", script],
        input=text.encode("utf-8", "surrogateescape"),
        env={"PATH": "/nonexistent"},
        cwd="/",
        capture_output=True,
        timeout=20,
        check=False,
    )
    pairs = (item.partition("=") for item in done.stdout.decode("utf-8", "replace").split("\0"))
    return {key: value for key, _, value in pairs if key and value != "<unset>"}


PIECES = st.one_of(
    st.sampled_from("AB==xy\n\n '\"\\$#;`~:*{}!\t\r,&|()[]ü-?@"),
    st.sampled_from(["A=", "B=", "$A", "${B}", "+=", "true", "zz"]),
    st.sampled_from(["\nA=", "\nB=", "export ", "A=1 "]),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
@example("A=1 B=$A\n")
@example("A=1\nA=2 export B=$A\n")
@example("export A=1 B=$A")
@example("A=1 $A")
@example("A=x A\\\nA=")
@example("A='\n'B=x")
@example("A=x\\")
@example("A=;'")
@example("A=1\nB=2; A=3;'")
def test_where_the_shell_reader_is_sure_bash_agrees(text):
    reading = ShellReader(text).read()
    if reading.lost:
        return
    told = reading.values()
    real = bash(text)
    for key in ("A", "B"):
        if key not in told:
            assert key not in real, text
        elif told[key] is not None:
            assert real.get(key) == told[key], text


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_neither_reader_ever_fails(text):
    for reading in (read_systemd(text), ShellReader(text).read()):
        for item in reading.assignments:
            assert 0 <= item.start <= item.end <= len(text)


VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30)


@settings(max_examples=100, deadline=None)
@given(VALUES)
@example("it's")
@example("""all of ' " \\ ` $ # ; ! ~ %""")
@example("~")
@example("-")
@example("$(touch /tmp/pwned)`id`")
@example("\\")
@example("'\\''")
def test_an_assignment_reads_back_the_same_in_every_reader(value):
    text = assign("# a comment\nB=1\n", "A", value)
    assert text.startswith("# a comment\nB=1\nA=")
    assert read_systemd(text).values() == {"A": value, "B": "1"}
    assert ShellReader(text).read().values() == {"A": value, "B": "1"}
    assert bash(text) == {"A": value, "B": "1"}


def test_a_value_that_doubles_itself_does_not_fill_the_memory():
    text = "A=aa\n" + "A=$A$A\n" * 60 + "B=b\n"
    found = ShellReader(text).read()
    assert found.values() == {"A": None, "B": "b"}
    assert any("very long" in problem for _, problem in found.problems)


def test_the_lines_of_many_problems_are_right():
    found = read_systemd("a\n" * 3 + "B=1\n" + "c\n")
    assert [line for line, _ in found.problems] == [1, 2, 3, 5]
