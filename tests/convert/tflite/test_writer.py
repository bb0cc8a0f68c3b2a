import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from tensorflow.lite.python import schema_py_generated as schema

from edge_genre.convert.tflite.writer import function_to_tflite, keras_to_tflite
from edge_genre.convert.verify.parity import compare
from edge_genre.errors import ConversionError

# Largest difference of a probability and smallest share of equal decisions. fp16 keeps 11 bits of
# a weight. With 8 bits each weight and activation is off by up to 1/256 of its range, and the
# random models answer noise, with steeper last layers than training makes: they have no margins.
TOLERANCES = {"fp32": (1e-4, 1.0), "fp16": (5e-3, 1.0), "dynamic": (0.1, 0.9), "int8": (0.1, 0.9)}
QUANTIZATIONS = list(TOLERANCES)


def convert(model: keras.Model, quantize: str, calibration: np.ndarray) -> bytes:
    windows = [calibration] if quantize == "int8" else None
    return keras_to_tflite(model, quantize=quantize, calibration=windows)


@pytest.fixture(scope="module")
def songnet_files(songnet, calibration) -> dict[str, bytes]:
    # One after the other in one process: options that leaked would spoil the second round.
    first = {quantize: convert(songnet, quantize, calibration) for quantize in QUANTIZATIONS}
    again = convert(songnet, "fp32", calibration)
    return {**first, "fp32 again": again}


def operators(content: bytes) -> dict[str, int]:
    """Names of the operators in a file, all subgraphs, with their versions."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    return {
        names[max(c.builtinCode, c.deprecatedBuiltinCode)]: c.version for c in model.operatorCodes
    }


@pytest.mark.parametrize("quantize", QUANTIZATIONS)
def test_songnet_keeps_its_probabilities(quantize, songnet, songnet_files, windows, run_tflite):
    outputs = run_tflite(songnet_files[quantize], windows)
    parity = compare(songnet.predict(windows, verbose=0), outputs)
    tolerance, agreement = TOLERANCES[quantize]
    assert parity.max_difference <= tolerance
    assert parity.top1_agreement >= agreement


@pytest.mark.parametrize("quantize", QUANTIZATIONS)
def test_cnn_keeps_its_probabilities(quantize, cnn, windows, calibration, run_tflite):
    outputs = run_tflite(convert(cnn, quantize, calibration), windows)
    parity = compare(cnn.predict(windows, verbose=0), outputs)
    tolerance, agreement = TOLERANCES[quantize]
    assert parity.max_difference <= tolerance
    assert parity.top1_agreement >= agreement


@pytest.mark.parametrize("quantize", QUANTIZATIONS)
def test_operators_are_built_in_and_without_loops(quantize, songnet_files):
    names = operators(songnet_files[quantize]).keys()
    assert not {"CUSTOM", "WHILE", "CALL_ONCE"} & names
    assert "FULLY_CONNECTED" in names


@pytest.mark.parametrize("quantize", QUANTIZATIONS)
def test_input_and_output_are_one_float_window(quantize, songnet_files):
    interpreter = Interpreter(model_content=songnet_files[quantize])
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (source["dtype"], tuple(source["shape"])) == (np.float32, (1, 39, 128))
    assert (result["dtype"], tuple(result["shape"])) == (np.float32, (1, 8))


def test_sizes_follow_the_quantization(songnet, songnet_files):
    weights = songnet.count_params()
    assert len(songnet_files["fp32"]) == pytest.approx(4 * weights, rel=0.05)
    assert len(songnet_files["fp16"]) == pytest.approx(2 * weights, rel=0.1)
    # Over 300k parameters; the rest is structure, scales and biases.
    assert len(songnet_files["dynamic"]) < 1.25 * weights
    assert len(songnet_files["int8"]) < 1.25 * weights


def test_options_do_not_leak_into_the_next_conversion(songnet_files, windows, run_tflite):
    first, again = songnet_files["fp32"], songnet_files["fp32 again"]
    assert len(first) == pytest.approx(len(again), abs=1024)  # names of tensors may differ
    np.testing.assert_array_equal(run_tflite(first, windows), run_tflite(again, windows))


def test_dynamic_files_load_in_tflite_runtime_2_14(songnet_files):
    # It knows FULLY_CONNECTED up to version 11; per-channel scales would make it 12.
    assert operators(songnet_files["dynamic"])["FULLY_CONNECTED"] <= 11


def test_conversion_prints_nothing(cnn, capsys):
    keras_to_tflite(cnn)
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def long_gru(with_random_weights) -> keras.Model:
    inputs = keras.Input((80, 6))
    outputs = layers.Dense(3, activation="softmax")(layers.GRU(8)(inputs))
    return with_random_weights(keras.Model(inputs, outputs))


def test_long_grus_stay_loops(long_gru, run_tflite):
    content = keras_to_tflite(long_gru)
    assert "WHILE" in operators(content)
    windows = np.random.default_rng(5).normal(size=(8, 80, 6)).astype(np.float32)
    expected = long_gru.predict(windows, verbose=0)
    np.testing.assert_allclose(run_tflite(content, windows), expected, atol=1e-4)


def test_long_grus_are_written_out_for_int8_and_micro(long_gru, run_tflite):
    rng = np.random.default_rng(6)
    windows, calibration = rng.normal(size=(2, 32, 80, 6)).astype(np.float32)
    expected = long_gru.predict(windows, verbose=0)
    for options, tolerance in (
        ({"target": "micro"}, 1e-6),
        ({"quantize": "int8", "calibration": [calibration]}, 0.02),
    ):
        content = keras_to_tflite(long_gru, **options)
        assert "WHILE" not in operators(content)
        assert np.abs(run_tflite(content, windows) - expected).mean() <= tolerance


@pytest.mark.parametrize("kind", [layers.GRU, layers.LSTM])
def test_both_directions_convert_with_built_in_operators(kind, with_random_weights, run_tflite):
    inputs = keras.Input((10, 6))
    tensor = layers.Bidirectional(kind(4, return_sequences=True))(inputs)
    tensor = layers.Bidirectional(kind(4), merge_mode="ave")(tensor)
    model = with_random_weights(keras.Model(inputs, layers.Dense(3)(tensor)))
    windows = np.random.default_rng(7).normal(size=(8, 10, 6)).astype(np.float32)
    content = keras_to_tflite(model)
    assert not {"CUSTOM", "WHILE"} & operators(content).keys()
    expected = model.predict(windows, verbose=0)
    np.testing.assert_allclose(run_tflite(content, windows), expected, atol=1e-5)


class Halving(layers.Layer):
    """A loop that nothing can write out."""

    def call(self, inputs):
        large = lambda value: tf.reduce_max(tf.abs(value)) > 1.0  # noqa: E731
        return tf.while_loop(large, lambda value: [value / 2], [inputs])[0]


def test_int8_of_any_other_loop_is_refused_instead_of_crashing():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Halving()(inputs))
    with pytest.raises(ConversionError, match="loop that cannot be written out"):
        keras_to_tflite(model, quantize="int8", calibration=[np.zeros((4, 4), np.float32)])


def test_integer_inputs_and_outputs(cnn, windows, calibration):
    content = keras_to_tflite(cnn, quantize="int8", calibration=[calibration], integer_io=True)
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert source["dtype"] == result["dtype"] == np.int8
    (scale, zero), (out_scale, out_zero) = source["quantization"], result["quantization"]
    outputs = []
    for window in windows:
        quantized = np.clip(np.round(window / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], quantized[np.newaxis])
        interpreter.invoke()
        codes = interpreter.get_tensor(result["index"])[0].astype(np.float32)
        outputs.append((codes - out_zero) * out_scale)
    expected = cnn.predict(windows, verbose=0)
    assert np.abs(np.stack(outputs) - expected).max() <= TOLERANCES["int8"][0]


def test_functions_convert_with_their_variables(run_tflite):
    weights = tf.Variable(np.random.default_rng(8).normal(size=(5, 3)).astype(np.float32))
    function = tf.function(
        lambda features: tf.matmul(features, weights),
        input_signature=[tf.TensorSpec((1, 5), tf.float32)],
    )
    windows = np.random.default_rng(9).normal(size=(6, 5)).astype(np.float32)
    logits = windows @ weights.numpy()
    content = function_to_tflite(function, name="dense")
    np.testing.assert_allclose(run_tflite(content, windows), logits, atol=1e-5)
    content = function_to_tflite(function, name="dense", activation="softmax")
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run_tflite(content, windows), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": "int4"}, "expected one of fp32, fp16, dynamic, int8"),
        ({"quantize": "int8"}, r"of shape \(windows, 39, 128\); got none"),
        (
            {"quantize": "int8", "calibration": [np.zeros((4, 128, 39), np.float32)]},
            r"got shape \(4, 128, 39\)",
        ),
        (
            {"quantize": "int8", "calibration": [np.full((4, 39, 128), np.nan, np.float32)]},
            "NaN or infinity",
        ),
        ({"calibration": [np.zeros((4, 39, 128), np.float32)]}, "takes no calibration"),
        ({"target": "coral"}, "expected one of litert, tflite-runtime, micro"),
        ({"target": "micro", "quantize": "dynamic"}, "runs fp32 and int8 files"),
        ({"integer_io": True}, "go with int8 only"),
    ],
)
def test_wrong_options_are_refused(options, message, cnn):
    with pytest.raises(ConversionError, match=message):
        keras_to_tflite(cnn, **options)
