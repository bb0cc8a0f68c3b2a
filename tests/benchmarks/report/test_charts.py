"""Charts: marks stand where the figures are, and the drawing is HTML that does no harm."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from edge_genre.benchmarks.latency.result import TimedRun
from edge_genre.benchmarks.report import charts, drawing
from tests.support.benchmark_results import HOSTILE, read, result, run

MUSIC = "gtzan_logmel.npz"


def timed(*runs: dict[str, Any]) -> list[TimedRun]:
    return read(result(*runs)).timed


def bars(figure: Figure) -> list[list[tuple[float, float]]]:
    """Begin and length of the horizontal bars, drawn one after another, of each height."""
    rows: dict[float, list[tuple[float, float]]] = {}
    for bar in figure.axes[0].patches:
        if hasattr(bar, "get_width"):
            rows.setdefault(bar.get_y(), []).append((bar.get_x(), bar.get_width()))
    return list(rows.values())


def dots(figure: Figure) -> list[float]:
    lines = figure.axes[0].get_lines()
    return [float(line.get_xdata()[0]) for line in lines if line.get_marker() == "o"]


def spans(figure: Figure) -> list[tuple[float, float]]:
    """Ends of the lines across."""
    found = [line.get_xdata() for line in figure.axes[0].get_lines() if line.get_marker() != "o"]
    return [(float(ends[0]), float(ends[1])) for ends in found if ends[0] != ends[1]]


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_median_and_percentiles_stand_where_they_are(width: str) -> None:
    runs = timed(run(milliseconds=2), run("tiny-gtzan", milliseconds=0.5, seed=1))
    figure = getattr(charts.latency(runs), width)
    totals = [each.stages.total for each in runs]
    assert figure.axes[0].get_xscale() == "log"
    assert dots(figure) == [total.median for total in totals]
    assert spans(figure) == [(total.median, total.p99) for total in totals]
    low, high = figure.axes[0].get_xlim()
    assert low < min(total.samples[0] for total in totals)
    assert high > max(total.samples[-1] for total in totals)


def test_a_histogram_holds_all_samples_and_shows_the_rare() -> None:
    runs = timed(run())
    (steps,) = (p for p in charts.latency(runs).wide.axes[0].patches if hasattr(p, "get_data"))
    values, edges, base = steps.get_data()
    heights = base - values
    counts, _ = np.histogram(runs[0].stages.total.samples, edges)
    assert counts.sum() == len(runs[0].stages.total.samples)
    assert (heights[counts > 0] >= 1.5).all()
    assert not heights[counts == 0].any()
    assert heights.argmax() == counts.argmax()


def test_the_parts_of_a_bar_add_up() -> None:
    runs = timed(run(), run("tiny-gtzan", seed=1))
    for each, row in zip(runs, bars(charts.stages(runs).wide), strict=True):
        means = each.stages.front_end.mean, each.stages.inference.mean
        assert [length for _, length in row[:2]] == pytest.approx(means)
        assert sum(row[2]) == pytest.approx(each.stages.total.mean)


def test_memory_by_what_it_is_for_and_its_peak() -> None:
    runs = timed(run())
    drawn, memory = charts.memory(runs), runs[0].memory_mb
    assert drawn is not None
    edges = [begin for begin, _ in bars(drawn.wide)[0]]
    assert edges == pytest.approx([0, memory.python, memory.loaded])
    (peak,) = drawn.wide.axes[0].get_lines()
    assert list(peak.get_xdata()) == [memory.peak, memory.peak]
    assert "46.2 MB, peak 49.5" in drawn.description


def test_memory_that_was_given_back_does_not_make_negative_bars() -> None:
    found = run()
    found["memory_mb"] |= {"python": 30.0, "loaded": 60.0, "resident": 25.0}
    drawn = charts.memory(timed(found))
    assert drawn is not None
    assert min(length for _, length in bars(drawn.wide)[0]) >= 0
    assert "25.0 MB" in drawn.description


def test_unknown_memory_is_left_out() -> None:
    unknown = run("tiny-gtzan")
    unknown["memory_mb"] = dict.fromkeys(("python", "loaded", "resident", "peak"))
    assert charts.memory(timed(unknown)) is None
    drawn = charts.memory(timed(unknown, run()))
    assert drawn is not None
    assert "tiny" not in drawn.description


def test_intervals_are_drawn() -> None:
    runs = [run(accuracy=MUSIC), run("tiny-gtzan", accuracy=MUSIC)]
    for each, right in zip(runs, (129, 100), strict=True):
        each["accuracy"] |= {"tracks_correct": right}
    scored = [(each, each.accuracy) for each in timed(*runs) if each.accuracy]
    figure = charts.accuracy(scored).wide
    # R: prop.test(x, 197, correct = FALSE)$conf.int
    (first, second) = spans(figure)
    assert first == pytest.approx((58.60, 71.77), abs=0.02)
    assert second[0] == pytest.approx(43.82, abs=0.02)
    assert dots(figure) == pytest.approx([100 * 129 / 197, 100 * 100 / 197])
    assert figure.axes[0].get_xlim() == (40, 80)


def test_a_line_of_batches_is_a_device() -> None:
    times = {"cpu": 2.2, "cuda": 0.9, "tensorrt": 0.6}
    runs = timed(
        *(run(kind="onnx", device=on, milliseconds=ms, more=True) for on, ms in times.items())
    )
    ((name, drawn),) = charts.batches([(each, each.batches or ()) for each in runs])
    assert name == "songnet-gtzan.onnx"
    (axes,) = drawn.wide.axes
    assert [line.get_label() for line in axes.get_lines()] == list(times)
    for line, each in zip(axes.get_lines(), runs, strict=True):
        assert list(line.get_ydata()) == [row.windows_per_second for row in each.batches or ()]
    # Told apart without colours, too.
    assert len({line.get_marker() for line in axes.get_lines()}) == 3
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "16", "64", "256"]
    row = (runs[1].batches or ())[-1]
    said = f"cuda: 256 windows in {row.ms:.2f} ms, {row.windows_per_second:,.0f} a second"
    assert said in drawn.description


def test_a_profile_adds_up_what_it_leaves_out() -> None:
    (found,) = timed(run(kind="onnx", more=True))
    rows = found.profile
    assert rows is not None
    drawn = charts.profile(rows)
    lengths = [length for ((_, length),) in bars(drawn.wide)]
    assert lengths[0] == 1
    assert lengths[1] == pytest.approx(rows[1].ms / rows[0].ms)
    assert f"3 others: {sum(row.ms for row in rows[8:]):.2f} ms" in drawn.description


def test_figures_are_written_beside_the_marks() -> None:
    runs = timed(run(threads=1), run(threads=2, seed=1))
    drawn = charts.latency(runs)
    total = runs[1].stages.total
    for svg in (drawn.svg(), drawn.svg(narrow=True)):
        found = " ".join(texts(svg))
        assert f"{total.median:.2f} ms" in found
        assert f"p90 {total.p90:.2f} · p99 {total.p99:.2f}" in found
    assert "songnet-gtzan.tflite, 2 threads" in texts(drawn.svg(narrow=True))
    assert {"songnet-gtzan.tflite,", "2 threads"} <= set(texts(drawn.svg()))


def test_the_same_figures_make_the_same_drawing() -> None:
    runs = timed(run(), run("tiny-gtzan", seed=1))
    assert charts.latency(runs).svg() == charts.latency(runs).svg()


def test_a_drawing_is_html_of_its_own() -> None:
    """One element, in the colours of the page, with no identifier that another chart has too."""
    runs = timed(run(more=True), run("tiny-gtzan", more=True, seed=1))
    known: set[str] = set()
    for drawn in (charts.latency(runs), charts.stages(runs), charts.memory(runs)):
        assert drawn is not None
        for svg in (drawn.svg(), drawn.svg(narrow=True)):
            assert svg.startswith("<svg")
            assert svg.endswith("</svg>")
            assert not re.search(r"https?:|xmlns|<metadata|<style>[^<]*@|\d+-\d+-\d+T", svg)
            assert "var(--blue)" in svg
            used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
            ids = re.findall(r' id="([^"]*)"', svg)
            assert sorted(used) == sorted(ids)
            assert known.isdisjoint(ids)
            known |= used


@pytest.mark.parametrize(
    "name", [HOSTILE, ' id="a" href="#b" #2a74c8', "$x^2$ {y} \\alpha", "日本語 💿", "-", "#"]
)
def test_names_are_text_and_nothing_else(name: str, recwarn: pytest.WarningsRecorder) -> None:
    runs = timed(run(name, more=True), run(name, "onnx", more=True))
    profile = runs[0].profile
    assert profile is not None
    for drawn in (charts.latency(runs), charts.profile(profile)):
        for svg in (drawn.svg(), drawn.svg(narrow=True)):
            assert "<script" not in svg
            assert not re.search("[\x00\u202e\ud800-\udfff]", svg)
            tags = set(re.findall(r"<(\w+)", svg))
            assert "#2a74c8" not in re.sub("<text[^>]*>[^<]*</text>", "", svg)
            assert tags <= {"svg", "g", "defs", "style", "path", "text", "use", "clipPath", "rect"}
    if name.startswith("$"):
        assert "$x^2$ {y} \\alpha.tflite" in texts(charts.latency(runs).svg(narrow=True))
    assert not [each for each in recwarn if "Glyph" in str(each.message)]


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=5), st.booleans())
def test_ticks_are_inside_and_neither_few_nor_many(values: list[float], log: bool) -> None:
    scale = drawing.from_zero(values, "ms")
    if log:
        scale = drawing.Scale(min(values) / 1.05, max(values) * 1.05, "ms", log=True)
    for most in (5, 7):
        ticks = scale.ticks(most)
        assert 2 <= len(ticks) <= most
        assert ticks == sorted(set(ticks))
        assert scale.low <= ticks[0] <= ticks[-1] <= scale.high * (1 + 1e-9)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.6, 80, [1, 2, 5, 10, 20, 50]),
        (1, 7.5, [1, 1.5, 2, 3, 4, 6]),
        (53, 900, [100, 200, 500]),
        (0.5, 200_000, [1, 10, 100, 1_000, 10_000, 100_000]),
        (1.9, 2.2, [1.9, 2, 2.1, 2.2]),
    ],
)
def test_round_values_of_a_logarithmic_scale(low: float, high: float, ticks: list[float]) -> None:
    assert drawing.Scale(low, high, "ms", log=True).ticks() == pytest.approx(ticks)
