"""Pictures of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_genre.benchmarks.studies.side_by_side.findings import (
    FIVE_CHANNEL,
    PUBLISHED,
    SAME,
    SONGNET,
    YAMNET,
    Format,
    Pipeline,
    Report,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_THEIRS, _OURS = "#9a9a9a", "#1f6fb2"
_ENGINES: dict[str, dict[str, Any]] = {
    "ai-edge-litert": {"color": "#1f6fb2", "marker": "o"},
    "tensorflow": {"color": "#d98c1f", "marker": "s", "fillstyle": "none"},
    "onnxruntime": {"color": "#3a9a5b", "marker": "^"},
}
_ABOVE = {"xytext": (0, 9), "ha": "center", "va": "bottom"}
_BELOW = {"xytext": (0, -9), "ha": "center", "va": "top"}
_LEFT = {"xytext": (-9, 0), "ha": "right", "va": "center"}
# Of files of nearly the same size.
_PLACES: dict[tuple[str, str], dict[str, Any]] = {
    ("tflite", "as bundled"): _BELOW,
    ("onnx", "dynamic"): _LEFT,
    **{("onnx", weights): _BELOW for weights in ("fp32", "fp16", "int8")},
}
_NETWORKS = {FIVE_CHANNEL: "five-channel CNN", SONGNET: "SongNet"}

Bar = tuple[str, float, str]


def plot(report: Report, folder: Path) -> None:
    """Draw all pictures of a report into a folder, as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    yamnet = next(row for row in report.yamnet if row.name == YAMNET)
    streams = _bars(report, lambda row: row.stream.cpu)
    streams.append((f"{YAMNET}, {yamnet.window:.0f} s", yamnet.stream.cpu, _THEIRS))
    _draw(
        "CPU time of one window of a stream",
        "ms, one thread, logarithmic; a window every half second",
        streams,
        folder / "streaming.png",
        log=True,
    )
    _draw(
        "Resident memory while listening",
        "MB",
        _bars(report, lambda row: row.resident),
        folder / "memory.png",
    )
    _draw(
        "From process start to the first answer",
        "s",
        _bars(report, lambda row: row.start.wall),
        folder / "start.png",
    )
    _formats(report.formats, folder / "formats.png")


def _bars(report: Report, value: Callable[[Pipeline], float]) -> list[Bar]:
    """A bar for each pipeline but the variants of the same network."""
    bars = []
    for kind, rows in report.pipelines.items():
        network = _NETWORKS[kind]
        for row in rows:
            if row.name.startswith(f"{SAME}, "):
                continue
            names = {PUBLISHED: f"{network}, published", SAME: f"{network}, converted"}
            name = f"{names.get(row.name, row.name)}, {row.window:g} s"
            bars.append((name, value(row), _THEIRS if row.name == PUBLISHED else _OURS))
    return bars


def _draw(title: str, unit: str, bars: Sequence[Bar], path: Path, *, log: bool = False) -> None:
    figure = _figure(title, 7.5, 1.0 + 0.34 * len(bars))
    axes = figure.add_subplot()
    names, values, colors = zip(*bars, strict=True)
    drawn = axes.barh(names, values, color=colors, height=0.68)
    axes.bar_label(drawn, [f"{value:.3g}" for value in values], padding=4)
    axes.invert_yaxis()
    if log:
        axes.set_xscale("log")
        axes.set_xlim(min(values) / 2, max(values) * 2)
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        axes.set_xlim(0, max(values) * 1.12)
    axes.set_xlabel(unit)
    figure.legend(
        [axes.patches[colors.index(color)] for color in (_OURS, _THEIRS)],
        ["edge-genre", "others"],
        loc="upper right",
        ncols=2,
        frameon=False,
    )
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _formats(rows: Sequence[Format], path: Path) -> None:
    figure = _figure("songnet-gtzan in every format and engine", 7.5, 4.6)
    axes = figure.add_subplot()
    for engine, style in _ENGINES.items():
        found = [row for row in rows if row.engine.startswith(engine)]
        sizes = [row.bytes / 1000 for row in found]
        times = [row.inference.cpu for row in found]
        axes.plot(sizes, times, linestyle="", markersize=8, label=found[0].engine, **style)
        if engine == "tensorflow":  # the same files, and often the same time
            continue
        for row, size, time in zip(found, sizes, times, strict=True):
            text = "as bundled" if row.bundled else row.weights
            place = _PLACES.get((row.format, text), _ABOVE)
            axes.annotate(
                text, (size, time), textcoords="offset points", color=style["color"], **place
            )
    axes.set_xlim(0, 1.1 * max(row.bytes / 1000 for row in rows))
    axes.set_ylim(0, 1.15 * max(row.inference.cpu for row in rows))
    axes.set(xlabel="size of the file, kB", ylabel="CPU time of an inference, ms, one thread")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)


def _figure(title: str, width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a screen, whatever is set elsewhere
    figure.suptitle(title, x=0.01, ha="left")
    return figure
