"""Axes against round values chosen by hand, and labels that keep out of each other's way."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_genre.benchmarks.report.axis import Axis
from edge_genre.benchmarks.report.markup import number, short, size, tag
from edge_genre.benchmarks.report.svg import HEIGHT, Point, plane

positive = st.floats(1e-3, 1e6)


@pytest.mark.parametrize(
    ("values", "end", "ticks"),
    [
        ([1.95], 2, [0, 0.5, 1, 1.5, 2]),
        ([0.3, 21.6], 25, [0, 5, 10, 15, 20, 25]),
        ([49.5], 50, [0, 10, 20, 30, 40, 50]),
        ([0], 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_linear_axis(values, end, ticks):
    axis = Axis.from_zero(values)
    assert axis.high == pytest.approx(end)
    assert axis.ticks() == pytest.approx(ticks)
    assert axis.percent(end / 4) == pytest.approx(25)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.6, 80], [1, 2, 5, 10, 20, 50]),
        ([1, 7.5], [1, 1.5, 2, 3, 4, 6]),
        ([53, 900], [100, 200, 500]),
        ([0.5, 200_000], [1, 10, 100, 1_000, 10_000, 100_000]),
        ([2.0, 2.1], [2, 2.1, 2.2]),
    ],
)
def test_logarithmic_axis(values, ticks):
    assert Axis.around(values).ticks() == pytest.approx(ticks)


def test_equal_ratios_are_equally_far():
    axis = Axis(1, 100, log=True)
    assert [axis.percent(value) for value in (0.1, 1, 10, 100, 1e9)] == [0, 0, 50, 100, 100]


@given(st.lists(positive, min_size=1, max_size=5), st.booleans())
def test_ticks_are_inside_and_neither_few_nor_many(values, log):
    axis = Axis.around(values) if log else Axis.from_zero(values)
    ticks = axis.ticks()
    assert 3 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    slack = 1e-6 * axis.high
    assert axis.low - slack <= ticks[0] <= ticks[-1] <= axis.high + slack


_LABEL = re.compile(
    r'x="([\d.]+)%" y="([\d.]+)%"><text x="(-?\d+)" y="(-?[\d.]+)"[^>]*>(model-\d+.tflite)'
)


@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(0, 100)), min_size=1, max_size=9))
def test_labels_do_not_overlap(places):
    points = [Point(x, y, f"model-{i}.tflite", "", "") for i, (x, y) in enumerate(places)]
    drawn = plane(points, [], Axis(1, 1000, log=True), Axis(0, 100), ("", ""))
    boxes = []
    for across, down, left, up, name in _LABEL.findall(drawn):
        first = float(across) / 100 * 270 + int(left)  # pixels of a narrow screen
        last = first + 6.6 * len(name) * (1 if int(left) > 0 else -1)
        boxes.append((*sorted((first, last)), float(down) / 100 * HEIGHT + float(up)))
    assert len(boxes) == len(places)
    for index, (start, end, here) in enumerate(boxes):
        assert -1 <= here <= HEIGHT + 1
        for first, last, there in boxes[:index]:
            assert end < first or last < start or abs(here - there) >= 14


def test_a_label_with_room_is_beside_its_point():
    points = [Point(10, 50, "a", "", ""), Point(100, 51, "b", "", "")]
    drawn = plane(points, [], Axis(1, 1000, log=True), Axis(0, 100), ("", ""))
    assert "lead" not in drawn


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


def test_elements_escape_text_and_attributes_but_not_elements():
    inner = tag("b", "1 < 2")
    assert tag("p", inner, " & ", class_="a\"'", aria_label=None) == (
        '<p class="a&quot;&#x27;"><b>1 &lt; 2</b> &amp; </p>'
    )


def test_what_cannot_be_shown_is_replaced():
    assert tag("p", "a\x00b\udcffc\u202ed\n") == "<p>a\ufffdb\ufffdc\ufffdd\n</p>"
