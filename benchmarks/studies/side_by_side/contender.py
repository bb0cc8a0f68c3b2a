"""One classifier in a process of its own, which measures it when it is told to.

`Contender` has what can be asked (see `edge_genre.host.process`). The process loads nothing
but what the classifier needs, so that its memory is the classifier's, and waits while others have
their turn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_genre.benchmarks.latency.streaming import Loop
from edge_genre.benchmarks.studies.side_by_side.findings import Cost, Facts, FileCost, InRam
from edge_genre.host.memory import peak_mb, resident_mb
from edge_genre.host.process import serve

Samples = NDArray[np.float32]


class EdgeGenre:
    """Ours: the path that ``listen`` and ``classify`` take, in the blocks of the microphone."""

    def __init__(self, path: str, hop: float, engine: str | None = None) -> None:
        from edge_genre import Classifier
        from edge_genre.audio.microphone import block_seconds

        self._classifier = Classifier.load(path, engine=engine)
        spec = self._classifier.spec
        self.facts = Facts(
            engine=self._classifier.engine.name,
            rate=spec.sample_rate,
            window=spec.window_seconds,
            hop=self._classifier.round_hop(hop),
        )
        self.block = block_seconds(self.facts.hop)

    def stream(self, source: Loop) -> Iterator[object]:
        """Yield an answer for each hop of the audio."""
        # What is quiet costs what is loud costs.
        return self._classifier.stream(source, hop=self.facts.hop, silence_dbfs=-math.inf)

    def of_file(self, path: Path) -> int:
        """Classify a file's windows, and count them."""
        return len(self._classifier.classify_file(path).windows)

    def of_window(self, samples: Samples) -> str:
        """Name a window's genre."""
        return self._classifier.labels[int(self._classifier.probabilities(samples).argmax())]

    def inference(self, samples: Samples) -> Callable[[], object]:
        """Compute a window's features, and return what classifies them."""
        from edge_genre.frontend import FrontEnd

        features = FrontEnd(self._classifier.spec)(samples)
        return lambda: self._classifier.run(features)


class Published:
    """A published pipeline, which computes every window anew.

    Parameters
    ----------
    kind : its name
    path : of its model
    hop : seconds
    """

    def __init__(self, kind: str, path: str, hop: float) -> None:
        from edge_genre.benchmarks.studies.side_by_side.published import PIPELINES, RATE

        self._pipeline = PIPELINES[kind](Path(path))
        self.facts = Facts(
            engine=self._pipeline.versions,
            rate=RATE,
            window=self._pipeline.window_seconds,
            hop=hop,
        )
        self.block = hop

    def stream(self, source: Loop) -> Iterator[object]:
        size = round(self._pipeline.window_seconds * source.rate)
        heard = np.zeros(0, np.float32)
        for block in source.blocks():
            heard = np.concatenate((heard, block))[-size:]
            if len(heard) == size:
                yield self._pipeline.probabilities(heard[None])

    def of_file(self, path: Path) -> int:
        from edge_genre.benchmarks.studies.side_by_side.published import windows_of

        windows = windows_of(path, self._pipeline.window_seconds)
        return len(self._pipeline.probabilities(windows))

    def of_window(self, samples: Samples) -> str:
        return self._pipeline.labels[int(self._pipeline.probabilities(samples[None]).argmax())]


class Waveform:
    """A TFLite file that takes samples, such as YAMNet, in the bare interpreter."""

    def __init__(self, path: str, hop: float) -> None:
        from importlib.metadata import version

        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=path, num_threads=1)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        self._size = int(np.prod(self._input["shape"]))
        self.facts = Facts(
            engine=f"ai-edge-litert {version('ai-edge-litert')}",
            rate=16_000,
            window=self._size / 16_000,
            hop=hop,
        )
        self.block = hop

    def stream(self, source: Loop) -> Iterator[object]:
        heard = np.zeros(0, np.float32)
        for block in source.blocks():
            heard = np.concatenate((heard, block))[-self._size :]
            if len(heard) == self._size:
                yield self._run(heard)

    def inference(self, samples: Samples) -> Callable[[], object]:
        return lambda: self._run(samples)

    def _run(self, samples: Samples) -> NDArray[np.float32]:
        shape = self._input["shape"]
        self._interpreter.set_tensor(self._input["index"], samples.reshape(shape))
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output["index"]))


class Contender:
    """A classifier under measurement; its methods are the requests.

    Parameters
    ----------
    kind : ``"edge-genre"``, ``"waveform"`` or a published pipeline's name
    path : of the model
    hop : seconds, roughly
    music : folder with a file ``{rate}.npy`` of samples for each rate
    engine : of ours, where it is not the best one
    """

    def __init__(
        self, kind: str, path: str, hop: float, music: str, engine: str | None = None
    ) -> None:
        # Not every kind can do everything: a bare interpreter reads no files.
        self._classifier: Any
        if kind == "edge-genre":
            self._classifier = EdgeGenre(path, hop, engine)
        elif kind == "waveform":
            self._classifier = Waveform(path, hop)
        else:
            self._classifier = Published(kind, path, hop)
        self._music = Path(music)
        self._stream: Iterator[object] | None = None
        self._inference: Callable[[], object] | None = None

    def facts(self) -> Facts:
        """Say what it is."""
        found: Facts = self._classifier.facts
        return found

    def stream(self, windows: int) -> Cost:
        """Measure windows of a stream, milliseconds each."""
        if self._stream is None:
            loop = Loop(self._samples(), self.facts().rate, hop=self._classifier.block)
            self._stream = self._classifier.stream(loop)
        stream = self._stream
        return _measured(lambda: next(stream), windows)

    def file(self, path: str) -> FileCost:
        """Measure a whole file, milliseconds a window."""
        self._classifier.of_file(Path(path))
        begin, cpu = time.perf_counter(), time.process_time()
        windows = self._classifier.of_file(Path(path))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
        return FileCost(cpu * 1e3 / windows, wall * 1e3 / windows, windows)

    def inference(self, runs: int) -> Cost:
        """Measure the model on the features of one window, milliseconds each."""
        if self._inference is None:
            window = self._samples()[: round(self.facts().window * self.facts().rate)]
            self._inference = self._classifier.inference(window)
        return _measured(self._inference, runs)

    def labels(self, path: str) -> list[str]:
        """Name the genres of windows, an array (n, window) in a file."""
        return [self._classifier.of_window(window) for window in np.load(path)]

    def memory(self) -> InRam:
        """Say how much memory the process has now and has had at most, MB."""
        return InRam(resident_mb(), peak_mb())

    def _samples(self) -> Samples:
        return np.asarray(np.load(self._music / f"{self.facts().rate}.npy"))


def _measured(task: Callable[[], object], count: int) -> Cost:
    """Mean CPU and median wall milliseconds of a call; one before is not counted."""
    task()  # the caches were another process's
    walls = []
    cpu = time.process_time()
    for _ in range(count):
        begin = time.perf_counter()
        task()
        walls.append(time.perf_counter() - begin)
    cpu = time.process_time() - cpu
    return Cost(cpu * 1e3 / count, float(np.median(walls)) * 1e3)


def _load(**arguments: Any) -> tuple[Contender, Facts]:
    contender = Contender(**arguments)
    return contender, contender.facts()


if __name__ == "__main__":
    serve(_load)
