import keras
import numpy as np
import onnx
import pytest
from keras import layers

from edge_genre.convert.onnx import keras_to_onnx
from edge_genre.convert.parity import compare
from edge_genre.errors import ConversionError

# As for TFLite: 8 bits on random models without margins.
TOLERANCES = {"fp32": (1e-4, 1.0), "dynamic": (0.1, 0.9)}


def operators(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


@pytest.fixture(scope="module")
def songnet_files(songnet) -> dict[str, bytes]:
    return {quantize: keras_to_onnx(songnet, quantize=quantize) for quantize in TOLERANCES}


@pytest.mark.parametrize("quantize", TOLERANCES)
def test_songnet_keeps_its_probabilities(quantize, songnet, songnet_files, windows, run_onnx):
    outputs = run_onnx(songnet_files[quantize], windows)
    parity = compare(songnet.predict(windows, verbose=0), outputs)
    tolerance, agreement = TOLERANCES[quantize]
    assert parity.max_difference <= tolerance
    assert parity.top1_agreement >= agreement


@pytest.mark.parametrize("quantize", TOLERANCES)
def test_cnn_keeps_its_probabilities(quantize, cnn, windows, run_onnx):
    outputs = run_onnx(keras_to_onnx(cnn, quantize=quantize), windows)
    parity = compare(cnn.predict(windows, verbose=0), outputs)
    tolerance, agreement = TOLERANCES[quantize]
    assert parity.max_difference <= tolerance
    assert parity.top1_agreement >= agreement


@pytest.mark.parametrize("quantize", TOLERANCES)
def test_the_gru_is_one_operator(quantize, songnet_files):
    names = operators(songnet_files[quantize])
    assert names.count("GRU") == 1
    assert not {"Loop", "Scan", "If"} & set(names)


def test_dynamic_quantizes_the_products_and_shrinks_the_file(songnet_files):
    assert {"ConvInteger", "MatMulInteger"} <= set(operators(songnet_files["dynamic"]))
    # The GRU, half of SongNet's weights, stays in float.
    assert len(songnet_files["dynamic"]) < 0.65 * len(songnet_files["fp32"])


def test_interface_is_named_and_takes_batches(songnet_files, windows, run_onnx):
    graph = onnx.load_from_string(songnet_files["fp32"]).graph
    assert [value.name for value in graph.input] == ["features"]
    assert [value.name for value in graph.output] == ["output"]
    single = np.concatenate([run_onnx(songnet_files["fp32"], window[None]) for window in windows])
    batch = run_onnx(songnet_files["fp32"], windows)
    np.testing.assert_allclose(single, batch, atol=1e-5)


def converted_and_expected(model: keras.Model, run_onnx) -> tuple[bytes, np.ndarray, np.ndarray]:
    shape = model.inputs[0].shape[1:]
    windows = np.random.default_rng(6).normal(size=(5, *shape)).astype(np.float32)
    content = keras_to_onnx(model)
    return content, run_onnx(content, windows), model.predict(windows, verbose=0)


@pytest.mark.parametrize("return_sequences", [True, False])
def test_a_gru_between_input_and_output(return_sequences, run_onnx):
    inputs = keras.Input((9, 4))
    model = keras.Model(inputs, layers.GRU(6, return_sequences=return_sequences)(inputs))
    content, outputs, expected = converted_and_expected(model, run_onnx)
    assert "GRU" in operators(content)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_several_grus_in_a_row_and_side_by_side(run_onnx):
    inputs = keras.Input((9, 4))
    left = layers.GRU(6, return_sequences=True)(inputs)
    left = layers.GRU(5)(left)
    right = layers.GRU(5)(layers.Dense(3)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Add()([left, right])))
    content, outputs, expected = converted_and_expected(model, run_onnx)
    assert operators(content).count("GRU") == 3
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_gru_of_another_kind_becomes_a_loop_beside_the_operator(run_onnx):
    inputs = keras.Input((9, 4))
    tensor = layers.GRU(6, return_sequences=True)(inputs)
    tensor = layers.GRU(5, reset_after=False, return_sequences=True)(tensor)
    model = keras.Model(inputs, layers.GRU(3)(tensor))
    content, outputs, expected = converted_and_expected(model, run_onnx)
    names = operators(content)
    assert (names.count("GRU"), names.count("Loop")) == (2, 1)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_grus_of_nested_models_are_operators_too(run_onnx):
    inputs = keras.Input((9, 4))
    inner = keras.Sequential([keras.Input((9, 4)), layers.GRU(6), layers.Dense(3)])
    content, outputs, expected = converted_and_expected(
        keras.Model(inputs, layers.Dense(2)(inner(inputs))), run_onnx
    )
    assert "GRU" in operators(content)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_gru_called_twice_is_refused():
    inputs = keras.Input((9, 4))
    shared = layers.GRU(4, return_sequences=True)
    with pytest.raises(ConversionError, match="called twice"):
        keras_to_onnx(keras.Model(inputs, shared(shared(inputs))))


def test_a_quantization_that_is_not_there_is_refused(cnn):
    with pytest.raises(ConversionError, match="expected one of fp32, dynamic"):
        keras_to_onnx(cnn, quantize="int8")
