"""Write down what a converted model answers to the self-test's signal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_genre.classifier import Classifier
from edge_genre.frontend.together import FrontEnds
from edge_genre.model.container import kind_of
from edge_genre.model.file import ModelFile, ModelInfo
from edge_genre.model.self_test import SelfTest, probe, signal

# What other versions of an engine and other processors may differ by, all the way from the
# samples: float kernels add up in another order, integer ones then round to another step at times.
TOLERANCE = {"fp32": 1e-3, "fp16": 5e-3, "dynamic": 0.03, "int8": 0.05}


def with_self_test(model: bytes, info: ModelInfo, *, seed: int = 1) -> ModelInfo:
    """Return the description with a self-test: the model's own answer, here and now.

    Call it when the model has passed its parity gate: from then on its answer is the right one.

    Parameters
    ----------
    model : a TFLite or ONNX graph
    info : its description, whose ``quantization`` sets the tolerance; one without a front end has
        no self-test, and comes back as it is
    seed : of the signal
    """
    spec = info.front_end
    if spec is None:
        return info
    file = ModelFile(Path(info.name), kind_of(model), model, info)
    classifier = Classifier(file, info, check=False)
    samples = signal(seed, n_samples=spec.window_samples, rate=spec.sample_rate)
    features = FrontEnds(classifier.specs)(samples)
    answer = classifier.run(*features)
    test = SelfTest(
        seed=seed,
        features=tuple(_rounded(probe(each)) for each in features),
        # Other processors add up in another order: 1e-3 dB of features that spread by some 15 dB.
        features_tolerance=tuple(
            round(1e-3 * max(float(each.std()), 1e-3), 9) for each in features
        ),
        probabilities=_rounded(answer),
        tolerance=TOLERANCE[info.quantization],
    )
    return replace(info, self_test=test)


def _rounded(values: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)
