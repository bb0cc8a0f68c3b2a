"""The report page: well formed, all of its own, and never more than the result says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from edge_genre.benchmarks.latency.benchmark import Plan, benchmark
from edge_genre.benchmarks.latency.subject import Job
from edge_genre.benchmarks.report.page import html_report
from edge_genre.benchmarks.report.plots import names
from edge_genre.demo import clip
from edge_genre.model.bundled import find_model
from tests.support.benchmark_results import HOSTILE, emulated, result, run

_VOID = {"meta"}


class Page(HTMLParser):
    """A page's elements, headings and text; what is not closed in its turn is an error."""

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__()
        self.source = html_report(found)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self._open: list[str] = []
        self._pieces: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self._open
        self.text = " ".join(" ".join(self._pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "h2":
            self.headings[-1] += data
        if "style" not in self._open:
            self._pieces.append(data)

    def of(self, kind: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of a class."""
        return [at for _, at in self.elements if kind in (at.get("class") or "").split()]


MUSIC = "gtzan_logmel.npz"
TWO = ("1 thread", "2 threads")
TIMINGS = ["Time of a window", "Where the time goes", "Resident memory", "Start"]
FACTS = ["What the models say", "Models", "Machine"]


@pytest.fixture(scope="module")
def ten() -> dict[str, Any]:
    runs = [run(threads=n, seed=n, accuracy=MUSIC) for n in (1, 2, 4)]
    runs += [run("tiny-gtzan", "onnx", threads=n, seed=n, accuracy=MUSIC) for n in (1, 2, 4)]
    runs += [run("songnet-fma", seed=8, milliseconds=21, accuracy="fma.npz")]
    runs += [run(f"mine-{n}", seed=n, accuracy=MUSIC) for n in range(3)]
    return result(*runs)


@pytest.fixture(scope="module")
def gpu() -> dict[str, Any]:
    times = {"cpu": 2.2, "cuda": 0.9, "tensorrt": 0.6}
    return result(
        *(run(kind="onnx", device=on, milliseconds=ms, more=True) for on, ms in times.items())
    )


def test_one_model():
    found = result(run())
    page = Page(found)
    total, stages = found["runs"][0]["stages"]["total"], found["runs"][0]["stages"]
    assert page.headings == [*TIMINGS, *FACTS]
    assert "songnet-gtzan.tflite on Raspberry Pi 4 Model B Rev 1.4" in page.text
    assert f"window, median {total['median']:.2f} ms" in page.text
    assert f"p90 {total['p90']:.2f} · p99 {total['p99']:.2f}" in page.text
    parts = [stages["front_end"]["mean"], stages["inference"]["mean"]]
    parts.append(total["mean"] - sum(parts))
    assert " + ".join(f"{part:.2f}" for part in parts) in page.text
    assert "46.2 MB peak 49.5" in page.text
    assert "edge-genre benchmark songnet-gtzan --report report.html" in page.text
    assert "numpy 2.4.6, ai-edge-litert 2.3.0" in page.text
    assert "temperature 48 °C 56 °C" in page.text
    assert not page.of("warnings")


def test_nothing_is_loaded_from_elsewhere(ten, gpu):
    for found in (ten, gpu):
        page = Page(found)
        assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "img", "iframe"})
        assert not re.search(r"(src|href|xmlns)=|url\(|@import|https?:", page.source)


def test_marks_stand_where_the_figures_are():
    found = result(run(milliseconds=2), run("tiny-gtzan", milliseconds=0.5, seed=1))
    page = Page(found)
    medians, p99s = (
        np.log([each["stages"]["total"][key] for each in found["runs"]])
        for key in ("median", "p99")
    )
    dots = [place(at["cx"]) for at in page.of("dot")]
    ends = [place(at["x2"]) for at in page.of("span") if at["x1"] != at["x2"]]
    # The axis is logarithmic: both models' figures lie on one line.
    percent_of = np.polyfit([*medians, *p99s], [*dots, *ends], 1)
    assert np.polyval(percent_of, medians) == pytest.approx(dots, abs=0.02)
    assert np.polyval(percent_of, p99s) == pytest.approx(ends, abs=0.02)


def test_bars_are_as_long_as_the_figures():
    found = result(run())
    page, memory = Page(found), found["runs"][0]["memory_mb"]
    widths = [place(at["width"]) for at in page.of("part")][3:]
    parts = [memory["python"], memory["loaded"] - memory["python"]]
    parts.append(memory["resident"] - memory["loaded"])
    assert widths == pytest.approx([2 * part for part in parts], abs=0.02)  # of 50 MB
    [peak] = page.of("peak")
    assert place(peak["x1"]) == pytest.approx(2 * memory["peak"], abs=0.02)


def test_memory_that_was_given_back_does_not_make_negative_bars():
    found = result(run())
    found["runs"][0]["memory_mb"] |= {"python": 30.0, "loaded": 60.0, "resident": 25.0}
    widths = [place(at["width"]) for at in Page(found).of("part")][3:]
    assert min(widths) >= 0
    assert "25.0 MB" in Page(found).text


def test_histogram_holds_all_samples_and_shows_the_rare():
    found = result(run())
    bars = Page(found).of("samples")
    heights = sorted(float(at["height"] or 0) for at in bars)
    assert heights[-1] == 28
    assert heights[0] >= 1.5
    samples = np.log(found["runs"][0]["stages"]["total"]["samples"])
    low, high = samples.min() - np.log(1.05), samples.max() + np.log(1.05)
    counts, _ = np.histogram(samples, 120, (low, high))
    assert len(bars) == np.count_nonzero(counts)


def test_warnings_come_first():
    lines = ["the clock's governor is powersave", "the firmware reports under-voltage"]
    page = Page(result(run(), trusted=False, warnings=lines))
    assert page.headings[0] == "Do not trust these timings"
    assert page.headings[1:] == [*TIMINGS, *FACTS]
    start = page.text.index("Do not trust")
    assert page.text.index("window, median") > page.text.index(lines[1]) > start


def test_an_emulated_machine_shows_results_only():
    page = Page(emulated(run(), run("tiny-gtzan", "onnx", seed=1)))
    assert page.headings == ["No timings: the machine is emulated", *FACTS]
    assert "EMULATED (QEMU, a process)" in page.text
    assert "off by 1e-05" in page.text
    assert " ms" not in page.text
    assert "svg" not in {tag for tag, _ in page.elements}


def test_names_are_text_and_nothing_else():
    runs = [run(HOSTILE, accuracy=HOSTILE), run(HOSTILE * 9, "onnx", more=True, accuracy=HOSTILE)]
    for each in runs:
        chances = each["result"]["probabilities"]
        each["result"] = {"label": HOSTILE, "probabilities": {HOSTILE: 0.5} | chances}
        each |= {"operators": {HOSTILE: 1}, "engine": HOSTILE, "weights": HOSTILE}
    found = result(*runs, command=HOSTILE, warnings=[HOSTILE], trusted=False)
    found["machine"] |= {"board": HOSTILE, "system": HOSTILE, "packages": {HOSTILE: HOSTILE}}
    found["before"]["throttled"] = [HOSTILE]
    page = Page(found)
    allowed = "html head meta title style body main header section p h1 h2 h3 b small code i div"
    allowed += " ul li table thead tbody tr th td svg rect line circle text"
    assert {tag for tag, _ in page.elements} == set(allowed.split())
    assert not any(name.startswith("on") for _, at in page.elements for name in at)
    assert page.text.count('<script src="https://example.org/x.js">alert(1)</script>') > 10
    page.source.encode("utf-8")
    assert "\u202e" not in page.source
    assert "\0" not in page.source


def test_runs_of_several_models_and_threads(ten):
    page = Page(ten)
    sections = ["Overview", *TIMINGS, "Accuracy on fma.npz", f"Accuracy on {MUSIC}", *FACTS]
    assert page.headings == sections
    assert len(page.of("samples")) > 10 * 15
    assert len(page.of("part")) == 10 * 3 * 2
    assert len(page.of("plane")) == 1  # one file alone on fma.npz
    for name in names(ten["runs"]):
        # overview, three charts, start, answers
        assert page.text.count(name) >= 6


def test_a_file_has_one_accuracy_whatever_its_threads(ten):
    page = Page(ten)
    assert page.text.count("of 1,773 (") == 1 + 5  # a row a file
    [plane] = re.findall(r'<div class="plane">.*?</div></div>', page.source)
    assert re.findall(r"<text [^>]*>([^<]*(?:tflite|onnx))</text>", plane) == [
        "songnet-gtzan.tflite",
        "tiny-gtzan.onnx",
        "mine-0.tflite",
        "mine-1.tflite",
        "mine-2.tflite",
    ]


def test_intervals_are_drawn_in_the_plane():
    runs = [run(accuracy=MUSIC), run("tiny-gtzan", accuracy=MUSIC)]
    for each, right in zip(runs, (129, 100), strict=True):
        each["accuracy"] |= {"tracks_correct": right}
    page = Page(result(*runs))
    [first, second] = [at for at in page.of("span") if str(at["y1"]).endswith("%")]
    # R: prop.test(x, 197, correct = FALSE)$conf.int, on an axis from 40 to 80
    assert 80 - 0.4 * place(first["y2"]) == pytest.approx(71.77, abs=0.02)
    assert 80 - 0.4 * place(first["y1"]) == pytest.approx(58.60, abs=0.02)
    assert 80 - 0.4 * place(second["y1"]) == pytest.approx(43.82, abs=0.02)
    assert "58.6 to 71.8 %" in page.text


def test_batches_are_curves_of_devices(gpu):
    page = Page(gpu)
    assert "Many windows at once" in page.headings
    assert len(page.of("plane")) == 1
    assert len(page.of("curve")) == 3 * 8
    [plane] = re.findall(r'<div class="plane">.*?</div></div>', page.source)
    assert re.findall(r">(cpu|cuda|tensorrt)</text>", plane) == ["cpu", "cuda", "tensorrt"]
    assert re.findall(r">(\d+)</text>", plane)[-5:] == ["1", "4", "16", "64", "256"]
    row = gpu["runs"][1]["batches"][-1]
    said = f"cuda: 256 windows in {row['ms']:.2f} ms, {row['windows_per_second']:,.0f} a second"
    assert said in page.text


def test_profiles_add_up_what_they_leave_out(gpu):
    page = Page(gpu)
    assert "Time by operator" in page.headings
    last = gpu["runs"][0]["profile"][8:]
    assert f"3 others {sum(row['ms'] for row in last):.2f} ms" in page.text
    bars = [place(at["width"]) for at in page.of("inference") if at.get("height") == "12"]
    assert bars[0] == 100
    longest = [row["ms"] for row in gpu["runs"][0]["profile"][:2]]
    assert bars[1] == pytest.approx(100 * longest[1] / longest[0], abs=0.01)


def test_what_is_unknown_is_left_out():
    found = result(run())
    found["runs"][0] |= dict.fromkeys(("parameters", "operators", "outside_delegate"))
    found["runs"][0]["memory_mb"] = dict.fromkeys(("python", "loaded", "resident", "peak"))
    found["machine"]["memory_mb"] = None
    for moment in ("before", "after"):
        found[moment] |= {"governor": None, "celsius": None, "load": None}
    page = Page(found)
    assert "Resident memory" not in page.headings
    for word in ("None", "Parameters", "Operators", "governor", "temperature", "nan"):
        assert word not in page.text


def test_silence_has_no_probabilities():
    found = result(run())
    found["runs"][0]["result"] = {"label": "silence", "probabilities": None}
    assert "answer songnet-gtzan.tflite silence Models" in Page(found).text


def test_models_of_other_genres_have_a_table_of_their_own():
    other = run("mine")
    other["result"] = {"label": "polka", "probabilities": {"polka": 0.75, "waltz": 0.25}}
    page = Page(result(run(), other))
    assert len(page.of("chances")) == 2
    assert "answer polka waltz mine.tflite polka 0.75 0.25" in page.text


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([run(), run(kind="onnx")], ["songnet-gtzan.tflite", "songnet-gtzan.onnx"]),
        ([run(threads=1), run(threads=2)], [f"songnet-gtzan.tflite, {n}" for n in TWO]),
        (
            [run(threads=1), run(threads=1, device="cuda"), run(threads=2, device="cuda")],
            ["cpu", "cuda, 1 thread", "cuda, 2 threads"],
        ),
        ([run(), run(), run("tiny")], ["no. 1", "no. 2", "tiny.tflite"]),
    ],
)
def test_names_say_as_little_as_tells_runs_apart(runs, expected):
    for name, end in zip(names(runs), expected, strict=True):
        assert name in (end, f"songnet-gtzan.tflite, {end}")


def test_the_results_here_are_like_real_ones(tmp_path):
    job = Job(model=str(find_model("tiny-gtzan.onnx")), audio=str(clip()))
    real = {"command": "edge-genre benchmark", **benchmark([job], Plan(seconds=0.1, profile=True))}
    made = result(run(kind="onnx", more=True))
    assert keys(made) == keys(real)
    page = Page(json.loads(json.dumps(real)))
    assert "tiny-gtzan.onnx" in page.text


def keys(found: dict[str, Any]) -> dict[str, set[str]]:
    run = found["runs"][0]
    parts = {name: found[name] for name in ("machine", "before", "after", "input")}
    parts |= {"": found, "run": run, "row": run["profile"][0]}
    parts |= {name: run[name] for name in ("memory_mb", "stages", "result")}
    parts |= run["stages"]
    return {name: set(part) for name, part in parts.items()}


def place(text: str | None) -> float:
    assert text is not None
    assert text.endswith("%")
    return float(text[:-1])
