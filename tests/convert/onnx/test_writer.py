import time

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

from edge_genre.convert.onnx.writer import keras_to_onnx
from edge_genre.convert.verify.parity import compare
from edge_genre.errors import ConversionError
from tests.support.waiting import on_time


def operators(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


@pytest.fixture(scope="module")
def songnet_file(songnet) -> bytes:
    return keras_to_onnx(songnet)


def test_songnet_keeps_its_probabilities(songnet, songnet_file, windows, run_onnx):
    parity = compare(songnet.predict(windows, verbose=0), run_onnx(songnet_file, windows))
    assert parity.max_difference <= 1e-4
    assert parity.top1_agreement == 1


def test_cnn_keeps_its_probabilities(cnn, windows, run_onnx):
    outputs = run_onnx(keras_to_onnx(cnn), windows)
    parity = compare(cnn.predict(windows, verbose=0), outputs)
    assert parity.max_difference <= 1e-4
    assert parity.top1_agreement == 1


def test_the_gru_is_one_operator(songnet_file):
    names = operators(songnet_file)
    assert names.count("GRU") == 1
    assert not {"Loop", "Scan", "If"} & set(names)


def test_interface_is_named_and_takes_batches(songnet_file, windows, run_onnx):
    graph = onnx.load_from_string(songnet_file).graph
    assert [value.name for value in graph.input] == ["features"]
    assert [value.name for value in graph.output] == ["output"]
    single = np.concatenate([run_onnx(songnet_file, window[None]) for window in windows])
    batch = run_onnx(songnet_file, windows)
    np.testing.assert_allclose(single, batch, atol=1e-5)


def converted_and_expected(model: keras.Model, run_onnx) -> tuple[bytes, np.ndarray, np.ndarray]:
    shape = model.inputs[0].shape[1:]
    windows = np.random.default_rng(6).normal(size=(5, *shape)).astype(np.float32)
    content = keras_to_onnx(model)
    return content, run_onnx(content, windows), model.predict(windows, verbose=0)


def assert_operator(layer, operator: str, run_onnx) -> None:
    """One operator and no loop, with the layer's own outputs."""
    inputs = keras.Input((9, 4))
    model = keras.Model(inputs, layer(inputs))
    for index, weight in enumerate(model.weights):
        weight.assign(np.random.default_rng(index).normal(0, 0.5, weight.shape))
    content, outputs, expected = converted_and_expected(model, run_onnx)
    names = operators(content)
    assert (names.count(operator), names.count("Loop")) == (1, 0)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize(
    ("kind", "operator", "options"),
    [
        (layers.GRU, "GRU", {}),
        (layers.GRU, "GRU", {"reset_after": False}),
        (layers.GRU, "GRU", {"use_bias": False, "activation": "relu"}),
        (layers.LSTM, "LSTM", {}),
        (layers.LSTM, "LSTM", {"activation": "softsign", "use_bias": False}),
        (layers.SimpleRNN, "RNN", {}),
    ],
)
def test_a_recurrent_layer_is_one_operator(kind, operator, options, return_sequences, run_onnx):
    assert_operator(kind(6, return_sequences=return_sequences, **options), operator, run_onnx)


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave", "mul"])
@pytest.mark.parametrize(("kind", "operator"), [(layers.GRU, "GRU"), (layers.LSTM, "LSTM")])
def test_both_directions_are_one_operator(kind, operator, merge_mode, return_sequences, run_onnx):
    inner = kind(6, return_sequences=return_sequences)
    assert_operator(layers.Bidirectional(inner, merge_mode=merge_mode), operator, run_onnx)


def test_a_layer_that_runs_backwards_to_its_last_state_is_one_operator(run_onnx):
    assert_operator(layers.GRU(6, go_backwards=True), "GRU", run_onnx)


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
    tensor = layers.GRU(5, activation="silu", return_sequences=True)(tensor)
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


def test_native_grus_are_faster_than_loops(monkeypatch, report):
    inputs = keras.Input((130, 13))
    model = keras.Model(inputs, layers.GRU(64)(inputs))
    native = keras_to_onnx(model)
    monkeypatch.setattr("edge_genre.convert.onnx.writer.has_operator", lambda layer: False)
    loop = keras_to_onnx(model)
    assert "Loop" in operators(loop)
    native_time, loop_time = interleaved_medians(native, loop, shape=(1, 130, 13))
    report(f"GRU(64), 130 steps: native {native_time * 1e3:.2f} ms, loop {loop_time * 1e3:.2f} ms")
    on_time(loop_time > native_time, "a loop is as fast")


def interleaved_medians(*contents: bytes, shape: tuple[int, ...]) -> list[float]:
    """Seconds that each file takes, one thread, in turns so that all meet the same load."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for content in contents
    ]
    window = np.zeros(shape, np.float32)
    seconds = []
    for _ in range(50):
        for session in sessions:
            start = time.perf_counter()
            session.run(None, {"features": window})
            seconds.append(time.perf_counter() - start)
    return list(np.median(np.reshape(seconds, (-1, len(sessions))), axis=0))
