"""Figures as text, and texts of others so that they can be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_genre.benchmarks.text import number, printable, short, size


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        (1.945, None, "1.95"),
        (0.003_976, None, "0.00398"),
        (310.2, None, "310"),
        (12_345.6, None, "12,346"),
        (9.996, None, "10.0"),
        (0, None, "0"),
        (0.057, 1.95, "0.06"),
        (0.0123, 250.0, "0"),
    ],
)
def test_figures(value, like, text):
    assert number(value, like=like) == text


@pytest.mark.parametrize(
    ("count", "text"), [(195_938, "196 kB"), (999_500, "1.00 MB"), (12_345_678, "12.3 MB")]
)
def test_sizes(count, text):
    assert size(count) == text


@given(st.text(max_size=100), st.integers(5, 60))
def test_short_text_keeps_both_ends(text, length):
    found = short(text, length)
    assert len(found) == min(len(text), length)
    assert found == text or (found[:2] == text[:2] and found[-1] == text[-1])


def test_what_cannot_be_shown_is_replaced():
    assert printable("a\x00b\udcffc\u202ed\n") == "a\ufffdb\ufffdc\ufffdd\n"
