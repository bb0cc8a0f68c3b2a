"""The front end against librosa and other front ends: errors, cost, start-up.

    python -m edge_genre.benchmarks.studies.front_ends [--clips FOLDER] [--json FILE]
        [--markdown FILE]

One thread. R is the cost of the FFT alone: one warm float32
``np.fft.rfft(..., norm="forward", out=)`` of (130, 2048), the frames of 3 s.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

import click
import librosa
import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import AudioFile, find_audio
from edge_genre.audio.resample import Resampler
from edge_genre.benchmarks.markdown import table
from edge_genre.benchmarks.studies.other_front_ends import LIBROSA, PEERS
from edge_genre.benchmarks.studies.side_by_side.published import five_channels as published
from edge_genre.demo.compose import RATE, compose
from edge_genre.frontend import FrontEnd, FrontEndSpec, tables
from edge_genre.host.machine import Machine, this_machine
from edge_genre.host.record import Record
from edge_genre.host.timing import medians, one_thread

SPEC = FrontEndSpec.preset("five-channel-first")
LOG_MEL = FrontEndSpec(ref=1.0)
HOP = 22  # frames
log_mel = LIBROSA.make()
# Largest errors allowed, and the most that a task may cost.
LIMITS = {"log-mel": 1e-3, "MFCC": 5e-4, "delta": 1e-4, "delta-delta": 1e-4}
LIMITS |= {"beat-synchronous MFCC": 5e-4, "chroma": 1e-5}


def real_windows(clips: Path) -> Iterator[NDArray[np.float32]]:
    """Windows of 3 s of real clips."""
    for path in find_audio(clips):
        with AudioFile(path) as source:
            resampler = Resampler(source.rate, 22_050)
            pieces = [resampler.process(block) for block in source.blocks()]
        yield from _cut(np.concatenate(pieces))


def synthetic_windows() -> Iterator[NDArray[np.float32]]:
    """Windows of 3 s of the demo composition, and of tones and beats over noise of any level."""
    for seed in range(3):
        resampler = Resampler(RATE, 22_050)
        yield from _cut(resampler.process(compose(seed).mean(axis=1)))
    rng = np.random.default_rng(0)
    t = np.arange(SPEC.window_samples) / 22_050
    for index in range(60):
        notes = 55.0 * 2 ** (rng.integers(0, 48, size=4) / 12 + rng.uniform(-0.04, 0.04))
        tones = sum(np.sin(2 * np.pi * f * t) for f in notes)
        beat = np.exp(-rng.uniform(4, 20) * (t % rng.uniform(0.3, 0.9)))
        noise = rng.standard_normal(len(t)) * rng.choice([0.002, 0.05, 0.5])
        yield (0.1 * tones * (beat if index % 2 else 1) + noise * beat).astype(np.float32)


def _cut(samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    size = SPEC.window_samples
    for first in range(0, len(samples) - size + 1, size):
        yield samples[first : first + size]


@dataclass(frozen=True)
class Errors(Record):
    """How far features are from librosa's.

    Parameters
    ----------
    windows, other_bpm, other_beats, other_tuning : how many there are, and how many of them differ
    largest : difference of each feature
    """

    windows: int
    other_bpm: int = field(metadata={"key": "other bpm"})
    other_beats: int = field(metadata={"key": "other beats"})
    other_tuning: int = field(metadata={"key": "other tuning"})
    largest: dict[str, float] = field(metadata={"key": "largest error"})


@dataclass(frozen=True)
class Other(Record):
    """What another front end computes.

    Parameters
    ----------
    features, remark : in words
    error : largest difference from librosa's log-mel, dB; None of something else
    """

    features: str
    remark: str
    error: float | None = field(metadata={"key": "largest error, dB"})


@dataclass(frozen=True)
class StartUp(Record):
    """Wall seconds and peak MB of whole processes: NumPy alone, and to the first features."""

    numpy_s: float = field(metadata={"key": "import numpy, s"})
    features_s: float = field(metadata={"key": "first five-channel features, s"})
    numpy_mb: float = field(metadata={"key": "import numpy, MB"})
    features_mb: float = field(metadata={"key": "first five-channel features, MB"})


@dataclass(frozen=True)
class Report(Record):
    """Everything that was measured: seconds of each task, errors by kind of windows, and so on."""

    machine: Machine
    date: str
    seconds: dict[str, float]
    errors: dict[str, Errors]
    peers: dict[str, Other]
    start_up: StartUp = field(metadata={"key": "start-up"})


def errors(windows: Iterable[NDArray[np.float32]]) -> Errors:
    """Largest difference of each feature from librosa's, and how often rhythm and tuning differ."""
    stack, mel = FrontEnd(SPEC), FrontEnd(LOG_MEL)
    worst = dict.fromkeys(LIMITS, 0.0)
    count = other_bpm = other_beats = other_tuning = 0
    resize_chroma = tables.resize(12, SPEC.n_mfcc)
    for window in windows:
        count += 1
        ours, theirs = stack(window), published(window)
        rhythm = stack.rhythm
        assert rhythm is not None
        spectrum = np.abs(librosa.stft(window)) ** 2
        tuning = librosa.estimate_tuning(S=spectrum, sr=22_050)
        other_bpm += bool(rhythm.bpm != theirs["bpm"])
        other_beats += not np.array_equal(rhythm.beats, theirs["beats"])
        other_tuning += bool(abs(rhythm.tuning - tuning) > 1e-9)
        synchronous = theirs["beat-synchronous MFCC"]
        if not len(theirs["beats"]):  # librosa returns nothing; we, the whole window
            synchronous = theirs["MFCC"].mean(axis=1, keepdims=True)
        resize_time = tables.resize(synchronous.shape[1], SPEC.n_frames)
        theirs["beat-synchronous MFCC"] = synchronous @ resize_time.T
        theirs["chroma"] = resize_chroma @ theirs["chroma"]
        pairs = dict(zip(list(LIMITS)[1:], ours, strict=True))
        if not np.array_equal(rhythm.beats, theirs["beats"]):
            del pairs["beat-synchronous MFCC"]  # averaged over other stretches
        for name, channel in pairs.items():
            worst[name] = max(worst[name], float(np.abs(channel - theirs[name]).max()))
        difference = np.abs(mel(window) - log_mel(window)).max()
        worst["log-mel"] = max(worst["log-mel"], float(difference))
    return Errors(count, other_bpm, other_beats, other_tuning, worst)


def streaming(spec: FrontEndSpec, samples: NDArray[np.float32]) -> Callable[[], object]:
    """One hop of a stream in its steady state."""
    hop = HOP * spec.hop_length
    front_end = FrontEnd(spec, hop=hop)
    front_end.accept(samples[: spec.window_samples])
    front_end.window()
    blocks = [samples[i : i + hop] for i in range(0, len(samples) - hop, hop)]
    state = {"next": 0}

    def step() -> None:
        front_end.accept(blocks[state["next"] % len(blocks)])
        state["next"] += 1
        front_end.window()

    return step


def costs(rounds: int) -> dict[str, float]:
    """Median seconds of every task: ours, librosa's and the peers'."""
    samples = np.tile(Resampler(RATE, 22_050).process(compose().mean(axis=1)), 3)
    short, long = samples[: SPEC.window_samples], samples[: 30 * 22_050]
    rng = np.random.default_rng(0)
    frames = {n: rng.standard_normal((n, 2048)).astype(np.float32) for n in (130, HOP)}
    spectra = {n: np.empty((n, 1025), np.complex64) for n in frames}

    def fft(n: int) -> Callable[[], object]:
        return lambda: np.fft.rfft(frames[n], norm="forward", out=spectra[n])  # type: ignore[arg-type]

    mel, stack = FrontEnd(LOG_MEL), FrontEnd(SPEC)
    mel_30 = FrontEnd(LOG_MEL.replace(window_seconds=30))
    stack_30 = FrontEnd(SPEC.replace(window_seconds=30))
    mfcc = FrontEnd(FrontEndSpec.preset("mfcc-13"))
    pcen = FrontEnd(FrontEndSpec.preset("pcen"))
    return medians(
        {
            "FFT of 130 frames (R)": fft(130),
            f"FFT of {HOP} frames": fft(HOP),
            "log-mel, 3 s": lambda: mel(short),
            "13 MFCC, 3 s": lambda: mfcc(short),
            "PCEN, 3 s": lambda: pcen(short),
            "five channels, 3 s": lambda: stack(short),
            f"log-mel, hop of {HOP} frames": streaming(LOG_MEL, samples),
            f"five channels, hop of {HOP} frames": streaming(SPEC, samples),
            "log-mel, 30 s": lambda: mel_30(long),
            "five channels, 30 s": lambda: stack_30(long),
            "librosa: log-mel, 3 s": lambda: log_mel(short),
            "librosa: five channels, 3 s": lambda: published(short),
            **{
                f"{peer.module}: {peer.what}, 3 s": partial(peer.make(), short)
                for peer in PEERS
                if peer.installed
            },
        },
        rounds=rounds,
        burst=3,
    )


def peers(windows: Iterable[NDArray[np.float32]]) -> dict[str, Other]:
    """What the other front ends compute, and how far that is from librosa's log-mel."""
    there = [peer for peer in PEERS if peer.installed]
    worst: dict[str, float | None] = {peer.module: None for peer in there}
    for window in windows:
        reference = log_mel(window)
        for peer in there:
            if peer.comparable:
                known = worst[peer.module] or 0.0
                worst[peer.module] = max(known, peer.error(window, reference))
    return {peer.module: Other(peer.what, peer.remark, worst[peer.module]) for peer in there}


def start_up(rounds: int) -> StartUp:
    """Measure whole processes, from start to first features."""
    measured = """
{program}
for line in open('/proc/self/status'):
    if line.startswith('VmHWM'):  # peak memory; getrusage would count the process before exec
        print(int(line.split()[1]) / 1000)
"""
    front_end = (
        "from edge_genre.frontend import FrontEnd, FrontEndSpec; import numpy as np;"
        "FrontEnd(FrontEndSpec.preset('five-channel'))"
        "(np.random.default_rng(0).standard_normal(66150).astype('f'))"
    )
    programs = {"numpy": "import numpy", "features": front_end}
    memory: dict[str, float] = {}

    def task(name: str) -> Callable[[], object]:
        def start() -> None:
            result = subprocess.run(
                [sys.executable, "-c", measured.format(program=programs[name])],
                capture_output=True,
                text=True,
                check=True,
            )
            memory[name] = float(result.stdout)

        return start

    seconds = medians({name: task(name) for name in programs}, rounds=rounds)
    return StartUp(seconds["numpy"], seconds["features"], memory["numpy"], memory["features"])


def page(report: Report) -> str:
    """The report as Markdown."""
    start = report.start_up
    return "\n\n".join(
        (
            _cost_table(report.seconds),
            _error_table(report.errors),
            _peer_table(report.peers),
            "From process start to the first five-channel features: "
            f"{start.features_s / start.numpy_s:.2f} times `import numpy`, "
            f"{start.features_mb:.0f} MB.",
        )
    )


def _cost_table(cost: dict[str, float]) -> str:
    reference, hop = cost["FFT of 130 frames (R)"], cost[f"FFT of {HOP} frames"]
    mel, stack = cost["librosa: log-mel, 3 s"], cost["librosa: five channels, 3 s"]
    rows = []
    for name, seconds in cost.items():
        whole = mel if "log-mel" in name else stack if "five" in name else 0
        # A window of 30 s is ten of 3 s.
        faster = whole * (10 if "30 s" in name else 1) / seconds if whole else 0
        shown = f"{faster:.1f}" if faster and not name.startswith("librosa") else ""
        per_hop = f" ({seconds / hop:.2f} x its new frames' FFT)" if "hop" in name else ""
        rows.append([name, f"{seconds * 1e3:.3f}", f"{seconds / reference:.2f}{per_hop}", shown])
    return table(["task", "ms", "R", "times as fast as librosa"], rows)


def _error_table(errors: dict[str, Errors]) -> str:
    kinds = [f"{found.windows} {kind} windows" for kind, found in errors.items()]
    rows = [
        [name, *(f"{found.largest[name]:.1e}" for found in errors.values()), f"{goal:g}"]
        for name, goal in LIMITS.items()
    ]
    others = {
        "bpm": [found.other_bpm for found in errors.values()],
        "beats": [found.other_beats for found in errors.values()],
        "tuning": [found.other_tuning for found in errors.values()],
    }
    rows += [[f"windows with other {name}", *map(str, n), "0"] for name, n in others.items()]
    return table(["largest difference from librosa", *kinds, "goal"], rows)


def _peer_table(found: dict[str, Other]) -> str:
    rows = (
        [
            name,
            other.features,
            "something else" if other.error is None else f"{other.error:.1e}",
            other.remark,
        ]
        for name, other in found.items()
    )
    return table(["peer", "computes", "largest difference from librosa, dB", "remark"], rows)


@click.command()
@click.option(
    "--clips",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of real music for the errors.  [default: synthetic windows only]",
)
@click.option("--rounds", type=click.IntRange(1), default=40, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the report.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the table.")
def main(clips: Path | None, rounds: int, json_path: Path | None, markdown: Path | None) -> None:
    """Measure the front end and print the table."""
    one_thread("edge_genre.benchmarks.studies.front_ends")
    report = Report(
        machine=this_machine(*(peer.module for peer in (LIBROSA, *PEERS))),
        date=datetime.now(UTC).date().isoformat(),
        seconds=costs(rounds),
        errors={"synthetic": errors(synthetic_windows())}
        | ({"real": errors(real_windows(clips))} if clips else {}),
        peers=peers(islice(real_windows(clips) if clips else synthetic_windows(), 100)),
        start_up=start_up(max(3, rounds // 10)),
    )
    text = page(report)
    print(text)
    if json_path:
        json_path.write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    if markdown:
        about = report.machine
        packages = ", ".join(f"{name} {found}" for name, found in about.packages.items())
        markdown.write_text(
            f"{about.cpu}, {about.system}, Python {about.python}, {packages}, "
            f"{report.date}; one thread, medians.\n\n{text}\n"
        )


if __name__ == "__main__":
    main()
