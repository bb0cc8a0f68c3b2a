"""Audio in, genres out: the one object that most programs need."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_genre.audio.file import AudioFile
from edge_genre.audio.source import Metered, Source, naming
from edge_genre.engines import Engine
from edge_genre.errors import ModelError, SelfTestError
from edge_genre.frontend import FrontEndSpec
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.together import FrontEnds
from edge_genre.listening.rolling import Rolling, Window, rolling_windows
from edge_genre.model import self_test
from edge_genre.model.bundled import find_model
from edge_genre.model.file import ModelFile, ModelInfo, read
from edge_genre.model.input import inputs_of
from edge_genre.results import SILENCE_DBFS, Moment, SongResult, WindowResult, vote
from edge_genre.task import GENRES, Task


class Classifier:
    """A model with its front end and its engine, ready to run.

    Make one with `load`. It is for one thread at a time.
    """

    def __init__(
        self,
        model: ModelFile,
        info: ModelInfo,
        *,
        threads: int = 1,
        engine: str | None = None,
        device: str = "cpu",
        check: bool = True,
    ) -> None:
        if not info.inputs:
            raise ModelError(
                f"{model.path}: has no audio front end: it takes features that edge-genre does not "
                "compute; run it with edge_genre.engines.Engine"
            )
        self.model = model
        self.info = info
        self.specs = tuple(each.front_end for each in info.inputs)
        self.spec = self.specs[0]
        self.labels = info.labels
        self.task = info.task
        self.engine = Engine(
            model,
            shape={each.name: each.front_end.shape for each in info.inputs},
            output=info.output,
            task=info.task,
            threads=threads,
            engine=engine,
            device=device,
        )
        self._front_end = FrontEnds(self.specs)
        classes = self.engine.n_classes
        if classes is not None and classes != len(self.labels):
            raise ModelError(
                f"{model.path}: the model has {classes} outputs, but {len(self.labels)} labels"
            )
        if check:
            self.self_test()

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        front_end: FrontEndSpec | str | Mapping[str, FrontEndSpec | str] | None = None,
        labels: Sequence[str] | None = None,
        output: str | None = None,
        task: Task | None = None,
        threads: int = 1,
        engine: str | None = None,
        device: str = "cpu",
        check: bool = True,
    ) -> Classifier:
        """Load a model and let it prove itself.

        Parameters
        ----------
        model : a path, a bundled name (see ``edge-genre models``), or None for the default
        front_end, labels, output, task : for a file that says nothing of itself: a spec or the
            name of a preset (of several inputs, by the names of the inputs), the classes in the
            order of the outputs, what the outputs are (probabilities where it is left out), and
            what they mean (one genre where it is left out)
        threads, engine, device : see `edge_genre.engines.Engine`
        check : run the file's self-test

        Raises
        ------
        ModelError
            The file cannot be used; see `edge_genre.model.file.read`. Or it needs ``front_end`` and
            ``labels``, or has its own and they are given all the same.
        SelfTestError
            It loads, but answers otherwise than when it was made.
        EngineError
            No engine for it is installed, or it cannot use the device.
        """
        file = read(find_model(model))
        info = file.info
        if info is None:
            if front_end is None or labels is None:
                raise ModelError(
                    f"{file.path}: says nothing of its front end and labels: "
                    "give both (--frontend and --labels), convert the model again, or, if it is a "
                    "copy that may be cut off, copy it again"
                )
            info = ModelInfo(
                inputs=inputs_of(front_end),
                labels=tuple(labels),
                output=output or "probabilities",
                task=task or GENRES,
            )
        elif (front_end, labels, output, task) != (None, None, None, None):
            raise ModelError(
                f"{file.path}: describes itself: leave --frontend, --labels, --outputs and --task "
                "out"
            )
        return cls(file, info, threads=threads, engine=engine, device=device, check=check)

    def probabilities(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Classify one window.

        Parameters
        ----------
        samples : float [shape=(spec.window_samples,)], mono at ``spec.sample_rate``, full scale 1

        Returns
        -------
        float32 [shape=(n_classes,)], in the order of ``labels``

        Raises
        ------
        AudioError
            A wrong number of samples, or NaN or infinity among them.
        """
        return self.run(*self._front_end(samples))

    def run(self, *features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify features [shape=spec.shape] that were computed before, an array an input."""
        return self._complete(self.engine.run(*features))

    def _complete(self, result: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(result) != len(self.labels):
            raise ModelError(
                f"{self.model.path}: the model has {len(result)} outputs, "
                f"but {len(self.labels)} labels"
            )
        return result

    def self_test(self) -> float | None:
        """Compute features of the self-test's signal, classify them, and compare both.

        Returns
        -------
        The largest difference of a probability, or None for a file without a self-test

        Raises
        ------
        SelfTestError
            It is larger than the file's own tolerance.
        """
        test = self.info.self_test
        if test is None:
            return None
        spec = self.spec
        features = self._front_end(
            self_test.signal(test.seed, n_samples=spec.window_samples, rate=spec.sample_rate)
        )
        for given, expected, tolerance in zip(
            features, test.features, test.features_tolerance, strict=True
        ):
            drift = self_test.deviation(self_test.probe(given), expected)
            if drift > tolerance:
                raise SelfTestError(
                    f"{self.model.path}: self-test failed: a feature is off by {drift:.3g}, "
                    f"{tolerance:.3g} allowed: the front end is not the one that the model was "
                    "made with; update edge-genre and NumPy, or convert the model again"
                )
        deviation = self_test.deviation(self.run(*features), test.probabilities)
        if deviation > test.tolerance:
            raise SelfTestError(
                f"{self.model.path}: self-test failed with {self.engine.name}: a probability is "
                f"off by {deviation:.3g}, {test.tolerance:.3g} allowed: install another version of "
                "the engine, or convert the model again"
            )
        return deviation

    def stream(
        self,
        source: Source,
        *,
        hop: float | None = None,
        silence_dbfs: float = SILENCE_DBFS,
        live: bool = False,
        explain: bool = False,
    ) -> Iterator[WindowResult]:
        """Classify rolling windows of a source, each as soon as its last sample is there.

        Parameters
        ----------
        source : audio at any rate
        hop : seconds from one window to the next; one window where it is left out. A multiple of
            the spec's ``hop_length`` (see `round_hop`) costs least
        silence_dbfs : windows below this level are silence
        live : the source does not wait: where classifying falls 1.5 s behind, all complete
            windows but the newest are left out and counted
        explain : results have what the model's further outputs say, if it has any

        Raises
        ------
        AudioError
            See `edge_genre.listening.rolling.rolling_windows`.
        """
        for window in rolling_windows(source, self.specs, hop=_samples(self.spec, hop), live=live):
            yield self._result(window, silence_dbfs, explain=explain)

    def _result(
        self, window: Window, silence_dbfs: float, *, explain: bool = False
    ) -> WindowResult:
        labels: tuple[str, ...] = ()
        probabilities = None
        explanations: dict[str, tuple[Moment, ...]] = {}
        begin = time.perf_counter()
        if window.level_dbfs >= silence_dbfs:
            if explain:
                row, others = self.engine.explain(*window.features)
                self._complete(row)
                explanations = {name: self._moments(window, each) for name, each in others.items()}
            else:
                row = self.run(*window.features)
            labels = tuple([self.labels[number] for number in self.task.decide(row)])
            probabilities = dict(zip(self.labels, row.tolist(), strict=True))
        return WindowResult(
            start=window.start,
            end=window.end,
            labels=labels,
            probabilities=probabilities,
            level_dbfs=window.level_dbfs,
            front_end_ms=window.front_end_ms,
            inference_ms=(time.perf_counter() - begin) * 1e3,
            dropped_samples=window.dropped_samples,
            skipped_windows=window.skipped_windows,
            padded_seconds=window.padded_seconds,
            explanations=explanations,
        )

    def _moments(self, window: Window, values: NDArray[np.float32]) -> tuple[Moment, ...]:
        """Steps of equal length of a window and the numbers that explain it."""
        edges = window.start + np.linspace(0, self.spec.window_seconds, len(values) + 1)
        return tuple(map(Moment, edges[:-1].tolist(), edges[1:].tolist(), values.tolist()))

    def classify(
        self,
        source: Source,
        *,
        path: str = "",
        hop: float | None = None,
        vote_by: str = "mean",
        silence_dbfs: float = SILENCE_DBFS,
        explain: bool = False,
    ) -> SongResult:
        """Classify a source to its end; see `stream` and `edge_genre.results.vote`."""
        metered = Metered(source)
        windows = list(self.stream(metered, hop=hop, silence_dbfs=silence_dbfs, explain=explain))
        return vote(
            windows,
            vote_by,
            task=self.task,
            temperature=self.info.song_temperature,
            path=path,
            duration=metered.seconds,
        )

    def classify_file(
        self,
        path: str | Path,
        *,
        hop: float | None = None,
        vote_by: str = "mean",
        silence_dbfs: float = SILENCE_DBFS,
        explain: bool = False,
    ) -> SongResult:
        """Classify an audio file.

        A file shorter than a window is padded with zeros, and the result says by how much.

        Raises
        ------
        AudioError
            It is missing, empty, not audio, cut off, or holds NaN or infinity.
        """
        with naming(path), AudioFile(path) as source:
            return self.classify(
                source,
                path=str(path),
                hop=hop,
                vote_by=vote_by,
                silence_dbfs=silence_dbfs,
                explain=explain,
            )

    def listen(
        self,
        device: str | int | None = None,
        *,
        hop: float = 1.0,
        silence_dbfs: float = SILENCE_DBFS,
    ) -> Iterator[WindowResult]:
        """Classify rolling windows of the microphone, for ever.

        Parameters
        ----------
        device : index, part of a name, or None for the default
        hop : seconds, rounded to whole frames

        Raises
        ------
        DeviceError
            PortAudio or the device is missing, or the device goes away.
        """
        from edge_genre.audio.microphone import Microphone, block_seconds

        hop = self.round_hop(hop)
        with Microphone(device, block=block_seconds(hop)) as source:
            yield from self.stream(source, hop=hop, silence_dbfs=silence_dbfs, live=True)

    def round_hop(self, hop: float) -> float:
        """The nearest number of seconds that is a whole number of frames, one at least.

        Such a hop reuses the frames that two windows share; from a window's length on there are
        none, and the hop stays as it is.
        """
        if not isinstance(self.spec, Framed) or hop >= self.spec.window_seconds:
            return hop
        frame = self.spec.hop_length / self.spec.sample_rate
        return max(1, round(hop / frame)) * frame


def stream_together(
    classifiers: Mapping[str, Classifier],
    source: Source,
    *,
    hop: float | None = None,
    silence_dbfs: float = SILENCE_DBFS,
    live: bool = False,
) -> Iterator[tuple[str, WindowResult]]:
    """Classify rolling windows of one source with several models.

    Every block of the source goes to one model after another, in the thread of whoever takes the
    results: no model waits for another, and nothing is kept but what each model's window needs. So
    the slowest sets the pace; with ``live``, each leaves out what it is late for, and counts it.
    An error of the source or of a model ends the stream for all. Models with the same front end
    share their windows, which are computed once (and whose time each result gives).

    Parameters
    ----------
    classifiers : models by names of your choice
    source, hop, silence_dbfs, live : as of `Classifier.stream`; without ``hop``, each model has its
        own windows one after another

    Yields
    ------
    A model's name and its result of a window. A model's own results are in order; between models
    the order is that of the blocks that complete the windows.

    Raises
    ------
    ValueError
        There are no classifiers.
    AudioError
        As of `Classifier.stream`.
    """
    if not classifiers:
        raise ValueError("there are no classifiers to stream to")
    groups: dict[tuple[FrontEndSpec, ...], dict[str, Classifier]] = {}
    for name, classifier in classifiers.items():
        groups.setdefault(classifier.specs, {})[name] = classifier
    windows = [
        (Rolling(source, specs, hop=_samples(specs[0], hop), live=live), group)
        for specs, group in groups.items()
    ]

    def results(
        complete: Iterable[Window], group: dict[str, Classifier]
    ) -> Iterator[tuple[str, WindowResult]]:
        for window in complete:
            for name, classifier in group.items():
                yield name, classifier._result(window, silence_dbfs)

    for block in source.blocks():
        for rolling, group in windows:
            yield from results(rolling.accept(block), group)
    for rolling, group in windows:
        yield from results(rolling.finish(), group)


def _samples(spec: FrontEndSpec, hop: float | None) -> int:
    """A hop in seconds, or a whole window's, as samples."""
    return max(1, round((spec.window_seconds if hop is None else hop) * spec.sample_rate))
