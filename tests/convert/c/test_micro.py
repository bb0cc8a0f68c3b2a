"""What TFLite Micro does not run is refused, before it is tried where that can be known."""

import keras
import numpy as np
import pytest
from keras import layers

from edge_genre.convert.c.micro import require_micro, run_micro, smallest_arena
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.convert.verify.graph_facts import graph_facts
from edge_genre.errors import ConversionError


def _recurrent(steps: int) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((steps, 8))
    tensor = layers.GRU(8, return_sequences=True)(inputs)
    tensor = layers.GlobalAveragePooling1D()(tensor)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(tensor))


@pytest.fixture(scope="module")
def small() -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 8))
    tensor = layers.Conv1D(32, 3, padding="same", activation="relu")(inputs)
    tensor = layers.Flatten()(tensor)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(tensor))


def _windows(model: keras.Model, n: int = 40) -> np.ndarray:
    shape = (n, *model.input_shape[1:])
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_a_loop_does_not_hang() -> None:
    """100 steps, which LiteRT's form keeps as a loop: of a kind that does not end there."""
    content = keras_to_tflite(_recurrent(100))
    assert "WHILE" in graph_facts(content).operators
    with pytest.raises(ConversionError, match="did not end in 3 s, a loop perhaps; make one"):
        smallest_arena(content, timeout=3)


def test_the_form_for_it_runs() -> None:
    model = _recurrent(12)
    content = keras_to_tflite(model, target="micro")
    require_micro(content)
    windows = _windows(model)
    expected = model.predict(windows, verbose=0)
    arena = smallest_arena(content)
    np.testing.assert_allclose(run_micro(content, windows, arena=arena), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("quantize", "message"),
    [("fp16", "in half precision"), ("dynamic", "weights in 8 bits and computes in float")],
)
def test_weights_that_it_does_not_take(small: keras.Model, quantize: str, message: str) -> None:
    content = keras_to_tflite(small, quantize=quantize)
    with pytest.raises(ConversionError, match=message):
        require_micro(content)
    with pytest.raises(ConversionError, match="TFLite Micro does not run it"):
        run_micro(content, _windows(small, 1))


def test_8_bits_outside_too(small: keras.Model) -> None:
    """A quarter of the input's memory, and quantized here as a device would."""
    windows, options = _windows(small), {"quantize": "int8", "target": "micro"}
    forms = [
        keras_to_tflite(small, calibration=[windows], integer_io=integer_io, **options)
        for integer_io in (False, True)
    ]
    expected = small.predict(windows, verbose=0)
    for content in forms:
        require_micro(content)
        np.testing.assert_allclose(run_micro(content, windows), expected, atol=0.05)
    wide, narrow = map(smallest_arena, forms)
    assert narrow < wide
