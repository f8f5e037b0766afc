"""Folding: no host and no line gets lost, whatever hosts print."""

from hypothesis import given
from hypothesis import strategies as st

from opstasks.shell.fold import MOST_LINES, differences, fold, majority

# Few different texts, so that hosts agree.
LINES = st.lists(st.sampled_from(["a", "b", "", "c d"]), max_size=6)
TEXTS = LINES.map(lambda lines: "".join(f"{line}\n" for line in lines))
OUTPUTS = st.dictionaries(st.text("abcdefgh", min_size=1), st.tuples(TEXTS, TEXTS), max_size=12)


@given(OUTPUTS)
def test_every_host_is_in_one_group_with_its_own_output(outputs):
    groups = fold(outputs)
    assert sorted(host for group in groups for host in group.hosts) == sorted(outputs)
    for group in groups:
        for host in group.hosts:
            out, err = outputs[host]
            assert (group.out, group.err) == (tuple(out.splitlines()), tuple(err.splitlines()))


@given(OUTPUTS)
def test_equal_outputs_are_one_group_and_the_largest_comes_first(outputs):
    groups = fold(outputs)
    assert len({(group.out, group.err) for group in groups}) == len(groups)
    sizes = [len(group.hosts) for group in groups]
    assert sizes == sorted(sizes, reverse=True)


@given(OUTPUTS)
def test_hosts_keep_their_order(outputs):
    order = list(outputs)
    for group in fold(outputs):
        places = [order.index(host) for host in group.hosts]
        assert places == sorted(places)


@given(LINES, LINES)
def test_a_difference_has_every_line_that_only_one_side_has(usual, other):
    first, second = (
        fold({"a": (text(usual), ""), "b": (text(usual), ""), "c": (text(other), "")})[:2]
        or (None, None)
        if usual != other
        else (None, None)
    )
    if first is None:
        return
    shown = differences(second, first)
    if shown is None:  # nothing in common: the whole text is shown
        assert not set(usual) & set(other)
        return
    added = [line[2:] for line in shown if line.startswith("+ ")]
    removed = [line[2:] for line in shown if line.startswith("- ")]
    assert len(other) - len(usual) == len(added) - len(removed)
    assert set(added) <= set(other)
    assert set(removed) <= set(usual)
    assert set(other) - set(usual) <= set(added)
    assert set(usual) - set(other) <= set(removed)


def text(lines):
    return "".join(f"{line}\n" for line in lines)


def test_another_output_is_shown_as_a_difference():
    same = ("ID=debian\nVERSION=12\nHOME=x\n", "")
    outputs = {"a": same, "b": ("ID=debian\nVERSION=11\nHOME=x\n", ""), "c": same}
    usual, other = fold(outputs)
    assert (usual.title, other.title) == ("2 hosts: a,c", "b")
    assert differences(other, usual) == [
        "  ID=debian",
        "- VERSION=12",
        "+ VERSION=11",
        "  HOME=x",
    ]


def test_differences_far_apart_have_a_mark_between_them():
    usual = [str(n) for n in range(20)]
    other = ["x", *usual[1:19], "y"]
    first, second = fold({"a": (text(usual), ""), "b": (text(usual), ""), "c": (text(other), "")})
    assert differences(second, first) == [
        *["- 0", "+ x", "  1", "...", "  18", "- 19", "+ y"],
    ]


def test_without_two_equal_hosts_there_is_no_majority():
    assert majority(fold({"a": ("1\n", ""), "b": ("2\n", "")})) is None
    assert majority([]) is None


def test_a_very_long_text_is_not_compared():
    long = "x\n" * (MOST_LINES + 1)
    usual, other = fold({"a": (long, ""), "b": (long, ""), "c": (long + "y\n", "")})
    assert differences(other, usual) is None
