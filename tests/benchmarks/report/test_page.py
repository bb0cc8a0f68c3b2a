"""The report page: well formed, all of its own, and never more than the result says."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from edge_genre.benchmarks.latency.benchmark import Plan, benchmark
from edge_genre.benchmarks.latency.subject import Job
from edge_genre.benchmarks.report.names import run_names
from edge_genre.benchmarks.report.page import html_report
from edge_genre.demo import clip
from edge_genre.model.bundled import find_model
from tests.support.benchmark_results import HOSTILE, emulated, read, result, run
from tests.support.browser import PAGE as SITE
from tests.support.browser import Visit, chromium, launched, playwright

_VOID = {"meta"}


class Page(HTMLParser):
    """A page's elements, headings and text; what is not closed in its turn is an error."""

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__()
        self.source = html_report(read(found))
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
        if "aria-label" in dict(attrs) and tag == "figure":
            self._pieces.append(dict(attrs)["aria-label"] or "")
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "h2":
            self.headings[-1] += data
        if not {"style", "svg"} & set(self._open):
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
    # The charts, for those who cannot see them.
    assert f"p90 {total['p90']:.2f} · p99 {total['p99']:.2f}" in page.text
    parts = [stages["front_end"]["mean"], stages["inference"]["mean"]]
    parts.append(total["mean"] - sum(parts))
    assert " + ".join(f"{part:.2f}" for part in parts) in page.text
    assert "46.2 MB, peak 49.5" in page.text
    assert "edge-genre benchmark songnet-gtzan --report report.html" in page.text
    assert "numpy 2.4.6, ai-edge-litert 2.3.0" in page.text
    assert "temperature 48 °C 56 °C" in page.text
    assert not page.of("warnings")


def test_nothing_is_loaded_from_elsewhere(ten, gpu):
    for found in (ten, gpu):
        page = Page(found)
        assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "img", "iframe"})
        assert not re.search(r"src=|xmlns|@import|https?:|href=\"[^#]|url\([^#]", page.source)


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
    assert "passed, difference 1e-05" in page.text
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
    allowed = "html head meta title style body main header section p h1 h2 h3 code i span div"
    allowed += " ul li table caption thead tbody tr th td figure svg defs g path text use clippath"
    assert {tag for tag, _ in page.elements} <= {*allowed.split(), "rect"}
    assert not any(name.startswith("on") for _, at in page.elements for name in at)
    assert page.text.count('<script src="https://example.org/x.js">alert(1)</script>') > 10
    page.source.encode("utf-8")
    assert "\u202e" not in page.source
    assert "\0" not in page.source


def test_runs_of_several_models_and_threads(ten):
    page = Page(ten)
    sections = ["Overview", *TIMINGS, "Accuracy on fma.npz", f"Accuracy on {MUSIC}", *FACTS]
    assert page.headings == sections
    assert len(page.of("chart")) == 3 + 1  # one file alone on fma.npz
    for name in run_names(read(ten).runs):
        # overview, three charts, start, answers
        assert page.text.count(name) >= 6


def test_a_file_has_one_accuracy_whatever_its_threads(ten):
    page = Page(ten)
    assert page.text.count("of 1,773 (") == 1 + 5  # a row a file
    (drawn,) = [at["aria-label"] for at in page.of("chart") if " to " in (at["aria-label"] or "")]
    assert [part.partition(":")[0] for part in (drawn or "").split("; ")] == [
        "songnet-gtzan.tflite",
        "tiny-gtzan.onnx",
        "mine-0.tflite",
        "mine-1.tflite",
        "mine-2.tflite",
    ]


def test_batches_and_profiles_have_their_places(gpu):
    page = Page(gpu)
    assert {"Many windows at once", "Time by operator"} < set(page.headings)
    assert len(page.of("half")) == 1 + 3


def test_tables_have_captions_and_scopes(ten):
    """And each chart is an image with a name."""
    page = Page(ten)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") > 5
    assert all(at.get("scope") in ("row", "col") for tag, at in page.elements if tag == "th")
    for at in page.of("chart"):
        assert at["role"] == "img"
        assert at["aria-label"]
    assert dict(page.elements[0][1])["lang"] == "en"


def test_is_accessible(ten, gpu, tmp_path):
    """For axe-core, light and dark, and as wide as a telephone or a desk's screen."""
    pages = {"ten": ten, "gpu": gpu, "emulated": emulated(run())}
    axe = (SITE / "node_modules/axe-core/axe.min.js").read_text() if chromium() else ""
    with playwright() as driver, launched(driver) as running:
        for name, found in pages.items():
            path = tmp_path / f"{name}.html"
            path.write_text(html_report(read(found)), encoding="utf-8")
            with Visit(running, path.as_uri()) as visit:
                page = visit.page
                page.evaluate(axe)
                for width, scheme in itertools.product((360, 1280), ("light", "dark")):
                    page.set_viewport_size({"width": width, "height": 740})
                    page.emulate_media(color_scheme=scheme)
                    assert page.evaluate("() => document.documentElement.scrollWidth") == width
                    broken = page.evaluate("() => axe.run().then(({ violations }) => violations)")
                    nodes = [(one["id"], [node["html"] for node in one["nodes"]]) for one in broken]
                    assert nodes == [], (name, width, scheme)
                assert visit.requests == [path.as_uri()]
                assert not visit.mistakes


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


def test_a_model_of_many_labels_has_its_own_figure_and_words():
    tags = run("tags", accuracy="music")
    chances = {f"tag {number}": 1 - number / 40 for number in range(40)}
    tags["noun"] = "tag"
    tags["result"] = {"label": "tag 0", "probabilities": chances, "labels": [*chances][:5]}
    figures = {"average_precision": 0.3125, "low": 0.25, "high": 0.4, "labels": 17}
    tags["accuracy"] = {"data": "music", "tracks": 90, "windows": 900, "agreement": None} | figures
    alone = Page(result(tags))
    assert "process to first tag" in alone.text
    assert "genre" not in alone.text.replace("edge-genre", "")
    assert "tag 0, tag 1, tag 2 and 2 more 1.00 0.97" in alone.text
    assert "tag 11" in alone.text
    assert "tag 12" not in alone.text  # of forty the twelve most probable ones
    both = Page(result(run(accuracy="music"), tags))
    assert both.text.count("Accuracy on music") == 4  # a heading and a caption for each figure
    assert "31.2 % 25.0 to 40.0 % 90 17" in both.text
    assert "process to first label" in both.text


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
    for name, end in zip(run_names(read(result(*runs)).runs), expected, strict=True):
        assert name in (end, f"songnet-gtzan.tflite, {end}")


def test_the_results_here_are_like_real_ones():
    job = Job(model=str(find_model("tiny-gtzan.onnx")), audio=str(clip()))
    found = benchmark([job], Plan(seconds=0.1, profile=True))
    made, real = result(run(kind="onnx", more=True)), found.to_dict()
    assert keys(made) == keys(real)
    assert list(made["runs"][0]) == list(real["runs"][0])
    assert "tiny-gtzan.onnx" in Page(json.loads(json.dumps(real))).text


def keys(found: dict[str, Any]) -> dict[str, set[str]]:
    run = found["runs"][0]
    parts = {name: found[name] for name in ("machine", "before", "after", "input")}
    parts |= {"": found, "run": run, "row": run["profile"][0]}
    parts |= {name: run[name] for name in ("memory_mb", "stages", "result")}
    parts |= run["stages"]
    return {name: set(part) for name, part in parts.items()}
