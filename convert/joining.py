"""Files that take samples: the front end goes into the graph, and is compared with NumPy's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_genre.convert.conversion import Conversion
from edge_genre.convert.report import FORCED, REFUSED, FormatResult, WaveformResult
from edge_genre.convert.steps import JoinFrontEnd
from edge_genre.convert.tensors import one_input
from edge_genre.convert.verify.windows import load_windows
from edge_genre.convert.waveform import require_graph, waveform_spec
from edge_genre.convert.waveform.comparison import judge_front_end

_WINDOWS = 500  # at most
_SAMPLES = 2**27  # of all of them, at most: half a gigabyte


class Joiner:
    """Puts the front end into graphs of one model.

    Parameters
    ----------
    conversion : of the model

    Raises
    ------
    ConversionError, DataError
        There is no front end that can be a graph, or no windows of audio to compare on.
    """

    def __init__(self, conversion: Conversion) -> None:
        self._conversion, self._options = conversion, conversion.options
        info = conversion.description.info
        spec, data = waveform_spec(require_graph(info.front_end)), self._options.music
        windows = load_windows(
            data if data is not None and data.is_dir() else None,  # a file holds features
            inputs=one_input(spec.shape),
            specs=[spec],
            labels=info.labels,
            wanted=min(_WINDOWS, max(1, _SAMPLES // spec.window_samples)),
        )
        self._samples, self._origin = conversion.folder / "samples.npy", windows.origin
        np.save(self._samples, windows.features[0])

    def join(self, result: FormatResult, graph: Path) -> tuple[FormatResult, Path]:
        """Put the front end into a graph that agrees, and compare it with the split form."""
        facts, verdict = result.facts, result.verdict
        assert facts is not None
        assert verdict is not None
        joined = graph.with_name(f"waveform-{graph.name}")
        outputs = joined.with_name(f"{joined.name}.npz")
        done = self._conversion.children.run(
            JoinFrontEnd(
                graph=str(graph),
                suffix=result.suffix,
                target=self._options.target,
                front_ends={
                    each.name: each.front_end for each in self._conversion.description.info.inputs
                },
                output=self._conversion.output_of(result.suffix),
                task=self._conversion.task,
                samples=str(self._samples),
                joined=str(joined),
                outputs=str(outputs),
            )
        )
        result = replace(result, seconds=result.seconds + done.seconds)
        if done.found is None:
            message = f"the front end cannot be put into the graph: {done.message}"
            return replace(result, status=done.status, message=message, log=done.log), joined
        with np.load(outputs) as rows:
            parity, reasons = judge_front_end(
                result.quantization, rows["split"], rows["joined"], self._conversion.task
            )
        if reasons:
            result = replace(result, status=FORCED if self._options.force else REFUSED)
        # These are about the classifier: the front end is always in float.
        alone, found = facts.graph, done.found
        graph_facts = replace(
            found.facts.graph,
            layers=alone.layers,
            in_8_bits=alone.in_8_bits,
            parameters=alone.parameters,
        )
        result = replace(
            result,
            message="; ".join((*verdict.reasons, *reasons)),
            size=joined.stat().st_size,
            facts=replace(found.facts, graph=graph_facts),
            waveform=WaveformResult(
                self._origin, parity, found.split_size, found.split_milliseconds
            ),
        )
        return result, joined
