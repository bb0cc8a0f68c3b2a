"""Forms of TFLite files that TensorFlow's converter does not write, in LiteRT."""

import keras
import numpy as np
import pytest
from keras import layers

from edge_genre.convert.quantization.rounding import in_steps
from edge_genre.convert.tflite.quantize import weights_in_8_bits, weights_in_half
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.convert.verify.graph_facts import graph_facts
from edge_genre.convert.verify.parity import compare
from edge_genre.errors import ConversionError

ROWS, COLUMNS, CHANNELS, SHADES = 12, 16, 4, 6
LOUD = 3000


@pytest.fixture(scope="module")
def even() -> keras.Model:
    """A network that has learned which of six shades a window is in: most windows are clear."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((ROWS, COLUMNS, CHANNELS)),
            layers.Conv2D(48, 3, activation="relu", name="first"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Conv2D(32, 3, activation="relu", name="second"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(SHADES, activation="softmax", name="last"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(*_shades(0, 600), epochs=12, verbose=0)
    return model


@pytest.fixture(scope="module")
def uneven(even) -> keras.Model:
    """The same for windows whose first channel is loud, which the first kernel makes up for."""
    model = keras.models.clone_model(even)
    model.set_weights(even.get_weights())
    kernel = np.array(model.get_layer("first").kernel)
    kernel[:, :, 0] /= LOUD
    model.get_layer("first").kernel.assign(kernel)
    return model


def _shades(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(SHADES, size=n)
    shades = np.random.default_rng(9).normal(size=(SHADES, 1, 1, CHANNELS))[labels]
    windows = rng.normal(size=(n, ROWS, COLUMNS, CHANNELS)) + shades
    return windows.astype(np.float32), labels


def _windows(seed: int, n: int, loud: float = 1) -> np.ndarray:
    return _shades(seed, n)[0] * np.array([loud, 1, 1, 1], np.float32)


@pytest.mark.parametrize(
    ("store", "size", "off"), [(weights_in_half, 0.62, 3e-3), (weights_in_8_bits, 0.42, 0.06)]
)
def test_smaller_weights_agree_and_stay_on_the_fast_path(even, run_tflite, store, size, off):
    exact = keras_to_tflite(even)
    content = store(exact)
    assert len(content) < size * len(exact)
    windows = _windows(1, 100)
    parity = compare(run_tflite(exact, windows), run_tflite(content, windows))
    assert 0 < parity.max_difference < off
    facts = graph_facts(content)
    assert facts.outside_xnnpack == {}
    assert facts.operators["DEQUANTIZE"] >= 4
    assert facts.in_8_bits == 0


def test_the_engine_multiplies_out_what_was_rounded(run_tflite):
    """The first layer alone, which sees one 1 at a time: its outputs are its weights."""
    inputs = keras.Input((20,))
    model = keras.Model(inputs, layers.Dense(30, use_bias=False)(inputs))
    content = weights_in_8_bits(keras_to_tflite(model))
    found = run_tflite(content, np.eye(20, dtype=np.float32))
    steps, step = in_steps(np.asarray(model.layers[-1].kernel), 1)
    np.testing.assert_allclose(found, steps * step, rtol=1e-6)


def test_weights_that_steps_share_are_stored_once():
    inputs = keras.Input((20, 16))
    model = keras.Model(inputs, layers.Dense(4)(layers.GRU(32, name="recurrent")(inputs)))
    exact = keras_to_tflite(model)
    facts = graph_facts(weights_in_8_bits(exact))
    assert facts.operators["FULLY_CONNECTED"] > 10
    assert facts.operators["DEQUANTIZE"] <= 3


def test_what_a_loop_writes_to_is_not_stored(run_tflite):
    inputs = keras.Input((1000, 6))
    outputs = layers.GRU(16, return_sequences=True)(inputs)
    model = keras.Model(inputs, layers.Dense(4)(outputs))
    content = keras_to_tflite(model)
    facts = graph_facts(content)
    assert (facts.operators["WHILE"], facts.operators["FILL"]) == (1, 1)
    assert len(content) < 1000 * 16 * 4 / 2
    windows = np.random.default_rng(8).normal(size=(4, 1000, 6)).astype(np.float32)
    found = run_tflite(content, windows)
    np.testing.assert_allclose(found, model.predict(windows, verbose=0), atol=1e-5)


def test_dynamic_computes_in_8_bits_where_that_agrees(even):
    facts = graph_facts(keras_to_tflite(even, quantize="dynamic", calibration=[_windows(2, 64)]))
    assert facts.in_8_bits > 0
    assert "DEQUANTIZE" not in facts.operators


def test_dynamic_computes_in_float_where_8_bits_do_not_agree(uneven, run_tflite):
    windows, expected = _windows(3, 200, LOUD), keras_to_tflite(uneven)
    agreements = []
    for calibration in (None, [_windows(2, 64, LOUD)]):
        content = keras_to_tflite(uneven, quantize="dynamic", calibration=calibration)
        parity = compare(run_tflite(expected, windows), run_tflite(content, windows))
        agreements.append(parity.top1_agreement)
    assert graph_facts(content).in_8_bits == 0
    assert agreements[0] < 0.9 < 0.97 < agreements[1]


def test_int8_leaves_leading_layers_that_do_not_bear_it(uneven, run_tflite):
    windows = _windows(3, 200, LOUD)
    content = keras_to_tflite(uneven, quantize="int8", calibration=[_windows(2, 64, LOUD)])
    facts = graph_facts(content)
    assert 0 < facts.in_8_bits < facts.layers
    assert len(content) < 0.5 * len(keras_to_tflite(uneven))
    parity = compare(run_tflite(keras_to_tflite(uneven), windows), run_tflite(content, windows))
    assert parity.top1_agreement > 0.95


def test_int8_for_microcontrollers_is_all_in_8_bits(uneven):
    calibration = [_windows(2, 64, LOUD)]
    for options in ({"target": "micro"}, {"integer_io": True}):
        content = keras_to_tflite(uneven, quantize="int8", calibration=calibration, **options)
        facts = graph_facts(content)
        assert facts.in_8_bits == facts.layers


@pytest.mark.parametrize("store", [weights_in_half, weights_in_8_bits])
def test_damaged_graphs_are_refused(store, even):
    with pytest.raises(ConversionError):
        store(keras_to_tflite(even)[:200])
