"""Lines at the bottom of a terminal that are replaced in place."""

import io

from hypothesis import given
from hypothesis import strategies as st

from opstasks.output.region import CLEAR, Region


class Sheet(io.StringIO):
    """What was written since the last look."""

    def new(self):
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def test_lines_are_replaced_by_going_up_to_the_first_one():
    sheet = Sheet()
    region = Region(sheet, lambda: 80)
    region.show(["one", "two", "three"])
    assert sheet.new() == "one\ntwo\nthree"
    region.show(["four"])
    assert sheet.new() == "\x1b[2F\x1b[Jfour"
    region.erase()
    assert sheet.new() == CLEAR


def test_nothing_is_written_where_nothing_changes():
    sheet = Sheet()
    region = Region(sheet, lambda: 80)
    region.erase()
    region.show([])
    assert sheet.new() == ""
    region.show(["one"])
    sheet.new()
    region.show(["one"])
    assert sheet.new() == ""
    region.erase()
    region.erase()
    assert sheet.new() == CLEAR


def test_a_narrower_window_has_divided_the_lines():
    columns = 80
    sheet = Sheet()
    region = Region(sheet, lambda: columns)
    region.show(["\x1b[2m" + "x" * 70 + "\x1b[0m", "日" * 20])
    sheet.new()
    columns = 30
    region.erase()
    # 70 columns are three rows now, 40 are two.
    assert sheet.new() == "\x1b[4F\x1b[J"


@given(st.lists(st.lists(st.text("ab", max_size=20), max_size=5), max_size=6))
def test_the_cursor_goes_up_as_far_as_it_went_down(screens):
    sheet = Sheet()
    region = Region(sheet, lambda: 80)
    row = 0
    for lines in [*screens, []]:
        region.show(lines)
        text = sheet.new()
        if "\x1b[J" in text:
            up, _, text = text.partition("\x1b[J")
            row -= 0 if up == "\r" else int(up[2:-1])
            assert row == 0
        row += text.count("\n")
    assert row == 0
