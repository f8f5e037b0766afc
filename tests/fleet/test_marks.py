"""The end of a command's output is found however the output arrives."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from opstasks.fleet.marks import MAX_PID, EndMarks, taken

OUT, ERR = b"\0mark %d\0", b"\0mark\0"
NOISE = st.lists(st.sampled_from([b"\0", b"m", b"mark", b" ", b"7", b"\0mark", b"x"])).map(b"".join)


def fed(data, marks, buffer, look):
    """Feed byte by byte; how many bytes it took."""
    for number in range(len(data)):
        buffer += data[number : number + 1]
        if look(buffer):
            return number + 1
    return None


@given(NOISE, st.integers(0, 255), NOISE)
def test_the_end_is_found_as_soon_as_it_is_there(text, code, rest):
    assume(b"\0mark " not in text)
    end = OUT % code
    out, marks = bytearray(), EndMarks("mark")
    assert fed(text + end + rest, marks, out, marks.is_in_out) == len(text + end)
    out += rest
    assert (marks.number, taken(out, marks.out_at, marks.out_next)) == (code, text)
    assert out == rest


@given(NOISE, NOISE)
def test_the_end_of_standard_error_is_found(text, rest):
    assume(ERR not in text + ERR[:-1])
    err, marks = bytearray(), EndMarks("mark")
    assert fed(text + ERR + rest, marks, err, marks.is_in_err) == len(text + ERR)
    assert taken(err, marks.err_at, marks.err_next) == text


@pytest.mark.parametrize("number", [b"", b"-1", b"257", b"1e3", b"x", b"0x1", b"9" * 5000, b" 1"])
def test_a_wrong_exit_code_is_an_error(number):
    with pytest.raises(ValueError, match="end mark"):
        EndMarks("mark").is_in_out(bytearray(b"\0mark " + number + b"\0"))


def test_a_number_without_an_end_is_an_error_as_soon_as_it_is_too_long():
    marks = EndMarks("mark")
    assert not marks.is_in_out(bytearray(b"\0mark 123"))
    with pytest.raises(ValueError, match="end mark"):
        marks.is_in_out(bytearray(b"\0mark 1234"))


def test_a_process_id_may_be_longer_than_an_exit_code():
    marks = EndMarks("mark", MAX_PID)
    assert marks.is_in_out(bytearray(b"\0mark 4194304\0"))
    assert marks.number == 4194304


def test_both_marks_are_needed():
    marks = EndMarks("mark")
    assert not marks.is_in(bytearray(OUT % 3), bytearray(b""))
    assert marks.is_in(bytearray(OUT % 3), bytearray(ERR))
