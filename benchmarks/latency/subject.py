"""One model as a benchmark sees it: what it is, what it costs, what it answers."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_genre.audio.file import AudioFile
from edge_genre.audio.source import naming
from edge_genre.benchmarks.latency.result import (
    Answer,
    AnyAccuracy,
    BatchTime,
    Graph,
    Identity,
    Memory,
    OperatorTime,
)
from edge_genre.benchmarks.latency.streaming import Loop, Steps, Streaming
from edge_genre.classifier import Classifier
from edge_genre.errors import AudioError, DataError, EdgeGenreError
from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.together import Features
from edge_genre.host.memory import peak_mb, resident_mb
from edge_genre.host.record import Record
from edge_genre.task import Task

if TYPE_CHECKING:
    from edge_genre.benchmarks.accuracy.labelled import LeftOut

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_WARM_UP = 5  # runs of each batch size: a GPU chooses its kernels for each shape anew
_ROUNDS = 20  # runs of each that are timed


@dataclass(frozen=True)
class Job(Record):
    """What to measure, and how.

    Parameters
    ----------
    model : path of the file
    audio : path of the music
    hop : seconds from one window to the next
    threads, engine, device : see `edge_genre.engines.Engine`
    front_end, labels, output, task : of a file that does not describe itself; see
        `Classifier.load`. Specs are by the names of the inputs
    paced : one window a hop, as in real life
    """

    model: str
    audio: str
    hop: float = 0.5
    threads: int = 1
    engine: str | None = None
    device: str = "cpu"
    front_end: dict[str, FrontEndSpec] | None = None
    labels: tuple[str, ...] | None = None
    output: str | None = None
    task: Task | None = None
    paced: bool = False

    def load(self, *, check: bool = True) -> Classifier:
        """Load the model."""
        return Classifier.load(
            self.model,
            front_end=self.front_end,
            labels=self.labels,
            output=self.output,
            task=self.task,
            threads=self.threads,
            engine=self.engine,
            device=self.device,
            check=check,
        )


@dataclass(frozen=True)
class Loading(Record):
    """What it took to load a model.

    Parameters
    ----------
    hop : seconds from one window to the next, in whole frames
    load_ms, self_test_ms, first_window_ms : times of the steps
    self_test_deviation : largest difference of a probability; None for a file without a self-test
    python_mb : in RAM before
    ready : when it was done, by the clock that is monotonic, seconds
    """

    hop: float
    load_ms: float
    self_test_ms: float
    self_test_deviation: float | None
    first_window_ms: float
    python_mb: float | None
    ready: float


@dataclass(frozen=True)
class Scored(Record):
    """How right a model is, and the numbers of the labels that each window was given."""

    accuracy: AnyAccuracy
    answers: tuple[tuple[int, ...], ...]


class Subject:
    """A model that was loaded for measuring, in a process that has loaded no other.

    Parameters
    ----------
    job : which model, and how it is run
    left_out : is told of the files of labelled music that cannot be used

    Raises
    ------
    EdgeGenreError
        The model or the audio cannot be used.
    """

    def __init__(self, job: Job, left_out: LeftOut = lambda line, files=1: None) -> None:
        self._job = job
        self._left_out = left_out
        python_mb = resident_mb()
        begin = time.perf_counter()
        self.classifier = job.load(check=False)
        loaded = time.perf_counter()
        deviation = self.classifier.self_test()
        checked = time.perf_counter()
        self._samples, self._rate = _samples(job.audio)
        hop = self.classifier.round_hop(job.hop)
        loop = Loop(self._samples, self._rate, hop=hop, paced=job.paced)
        self._loaded_mb = resident_mb()
        self._streaming = Streaming(self.classifier, loop, hop=hop)
        self.loading = Loading(
            hop=hop,
            load_ms=(loaded - begin) * 1e3,
            self_test_ms=(checked - loaded) * 1e3,
            self_test_deviation=deviation,
            first_window_ms=self._streaming.first_ms,
            python_mb=python_mb,
            ready=time.monotonic(),
        )

    def identity(self) -> Identity:
        """The file, and what runs it."""
        file, info, engine = self.classifier.model, self.classifier.info, self.classifier.engine
        return Identity(
            model=info.name or file.path.stem,
            file=file.path.name,
            format=file.kind,
            weights=info.quantization,
            bytes=file.size,
            sha256=hashlib.sha256(file.path.read_bytes()).hexdigest(),
            engine=engine.name,
            device=engine.device,
            threads=engine.threads,
            noun=self.classifier.task.noun,
        )

    def result(self) -> Answer:
        """What the model says of the audio."""
        with AudioFile(self._job.audio) as source:
            song = self.classifier.classify(source)
        labels = () if self.classifier.task.exclusive else song.labels
        return Answer(song.label, song.probabilities, labels)

    def measure(self, windows: int) -> Steps:
        """Classify windows and take their times."""
        return self._streaming.measure(windows)

    def memory(self) -> Memory:
        """MB in RAM: before the model, with it, now, and at most."""
        return Memory(self.loading.python_mb, self._loaded_mb, resident_mb(), peak_mb())

    def graph(self) -> Graph:
        """Operators and parameters; None where the package that reads the format is missing."""
        from edge_genre.convert.verify.graph_facts import graph_facts

        try:
            facts = graph_facts(self.classifier.model.content)
        except (ImportError, EdgeGenreError):
            return Graph(None, None, None)
        outside = facts.outside_xnnpack if self.classifier.model.kind == "tflite" else None
        return Graph(facts.parameters, facts.operators, outside)

    def accuracy(self, data: str, labels: str | None = None) -> Scored:
        """How right it is on labelled music, and what each window was given.

        Parameters
        ----------
        data : path of the music
        labels : path of a CSV file with the labels of a folder
        """
        from edge_genre.benchmarks.accuracy.labelled import labelled_tracks
        from edge_genre.benchmarks.accuracy.labels_csv import read_labels
        from edge_genre.benchmarks.latency.accuracy import accuracy_of

        listed = None if labels is None else read_labels(Path(labels), Path(data))
        labelled = labelled_tracks(
            self.classifier, Path(data), labels=listed, left_out=self._left_out
        )
        tracks, task = list(labelled.tracks), self.classifier.task
        if not tracks:
            raise DataError(f"{data}: holds nothing that could be classified")
        answers = (sorted(task.decide(row)) for each in tracks for row in each.probabilities)
        found = accuracy_of(tracks, self.classifier.labels, task, Path(data).name)
        return Scored(found, tuple(map(tuple, answers)))

    def profile(self) -> tuple[OperatorTime, ...] | None:
        """Time of each kind of operator in one run, dearest first; None if the engine says none."""
        if self.classifier.model.kind != "onnx":
            return None
        from edge_genre.benchmarks.latency.onnx_profile import onnx_profile

        engine = self.classifier.engine
        return onnx_profile(
            self.classifier.model.content,
            engine.arranged(self._features(1)),
            threads=engine.threads,
            device=engine.device,
        )

    def batches(self) -> tuple[BatchTime, ...] | None:
        """Time of several windows at once, copies to the device and back included.

        None for a file that takes one window at a time.
        """
        engine = self.classifier.engine
        if not engine.takes_batches:
            return None
        found = []
        for size in _BATCHES:
            windows = self._features(size)
            for _ in range(_WARM_UP):
                engine.run_batch(*windows)
            times = []
            for _ in range(_ROUNDS):
                begin = time.perf_counter()
                engine.run_batch(*windows)  # returns when the results are in the CPU's memory
                times.append(time.perf_counter() - begin)
            median = float(np.median(times))
            found.append(BatchTime(size, median * 1e3, size / median))
        return tuple(found)

    def _features(self, count: int) -> Features:
        """Noise in place of windows, an array an input."""
        draw = np.random.default_rng(0)
        return tuple(
            draw.normal(size=(count, *spec.shape)).astype(np.float32)
            for spec in self.classifier.specs
        )


def _samples(audio: str) -> tuple[NDArray[np.float32], int]:
    with naming(audio), AudioFile(audio) as source:
        blocks = list(source.blocks())
        if not blocks:
            raise AudioError("holds no samples")
        return np.concatenate(blocks), source.rate
