"""Sizes as people read them."""

import pytest

from opstasks.core.formats import size_text


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1400, "1.37 KiB"), (23e6, "21.9 MiB")]
)
def test_a_size_has_a_binary_unit_and_three_digits(count, shown):
    assert size_text(int(count)) == shown
