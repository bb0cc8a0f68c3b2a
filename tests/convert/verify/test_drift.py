import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import numpy_helper

from edge_genre.convert.onnx.writer import keras_to_onnx
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.convert.verify.drift import LayerDrift, layer_drift
from edge_genre.errors import ConversionError


@pytest.fixture(scope="module")
def model(with_random_weights) -> keras.Model:
    return with_random_weights(
        keras.Sequential(
            [
                keras.Input((20, 12, 1)),
                layers.Conv2D(8, 3, activation="relu", name="first"),
                layers.BatchNormalization(name="norm"),
                layers.Conv2D(8, 3, activation="relu", name="second"),
                layers.Flatten(name="flat"),
                layers.Dense(16, activation="relu", name="third"),
                layers.Dense(16, activation="relu", name="fourth"),
                layers.Dense(5, activation="softmax", name="last"),
            ],
            name="network",
        )
    )


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(16, 20, 12, 1)).astype(np.float32)


def damaged(model: keras.Model, name: str) -> keras.Model:
    """A copy of which one layer has noise of half its weights' spread on them."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    kernel = copy.get_layer(name).kernel
    noise = np.random.default_rng(4).normal(size=kernel.shape) * np.std(kernel) / 2
    kernel.assign(np.asarray(kernel) + noise)
    return copy


def of_keras(model: keras.Model, windows: np.ndarray) -> dict[str, np.ndarray]:
    every = keras.Model(model.inputs, [layer.output for layer in model.layers])
    outputs = every.predict(windows, verbose=0)
    return {layer.name: output for layer, output in zip(model.layers, outputs, strict=True)}


@pytest.mark.parametrize("convert", [keras_to_tflite, keras_to_onnx])
@pytest.mark.parametrize("name", ["first", "second", "fourth"])
def test_a_damaged_layer_is_the_first(convert, name, model, windows):
    worst, *others = layer_drift(convert(model), convert(damaged(model, name)), [windows])
    assert worst.name.startswith(name)
    # What comes after it is as far off, but adds little.
    assert worst.growth > 0.1
    assert all(other.growth < worst.growth / 2 for other in others)


@pytest.mark.parametrize("convert", [keras_to_tflite, keras_to_onnx])
def test_the_source_gives_the_names_and_fits_the_file(convert, model, windows):
    exact = of_keras(model, windows)
    drifts = layer_drift(exact, convert(model), [windows])
    assert {drift.name for drift in drifts} == {*exact}
    assert max(drift.error for drift in drifts) < 1e-4
    worst, *_ = layer_drift(exact, convert(damaged(model, "second")), [windows])
    assert worst.name == "second"


def test_a_channel_that_ruins_the_others_is_found(model, windows):
    """One scale for a whole dense layer, of which one unit is a thousand times the others."""
    outlier = keras.models.clone_model(model)
    outlier.set_weights(model.get_weights())
    third, fourth = outlier.get_layer("third"), outlier.get_layer("fourth")
    third.kernel.assign(np.asarray(third.kernel) * ([1000] + 15 * [1]))
    third.bias.assign(np.asarray(third.bias) * ([1000] + 15 * [1]))
    fourth.kernel.assign(np.asarray(fourth.kernel) / ([[1000]] + 15 * [[1]]))
    candidate = keras_to_tflite(outlier, quantize="dynamic", target="tflite-runtime")
    worst, *_ = layer_drift(keras_to_tflite(outlier), candidate, [windows])
    assert worst.name.startswith("third")
    assert worst.operator == "FULLY_CONNECTED"


def test_errors_are_relative_to_the_spread(model, windows):
    """The last layer's input is as in the exact file, so that its error can be told by hand."""
    exact = keras_to_onnx(model)
    outputs = of_keras(model, windows)
    proto = onnx.load_from_string(exact)
    kernel = np.asarray(model.get_layer("last").kernel)
    for tensor in proto.graph.initializer:
        if numpy_helper.to_array(tensor).shape == kernel.shape:
            tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(kernel), tensor.name))
    worst, *_ = layer_drift(exact, proto.SerializeToString(), [windows])
    logits = outputs["fourth"] @ kernel + np.asarray(model.get_layer("last").bias)
    off = np.sqrt(((outputs["fourth"] @ kernel) ** 2).mean(axis=0)) / logits.std(axis=0)
    assert worst.name.startswith("last")
    assert worst.error == pytest.approx(np.minimum(off, 1).mean(), abs=1e-3)


def test_a_file_compared_with_itself_does_not_drift(songnet, windows):
    content = keras_to_tflite(songnet)
    some = np.random.default_rng(5).normal(size=(4, 39, 128)).astype(np.float32)
    drifts = layer_drift(content, content, [some])
    assert len(drifts) > 10
    assert all((drift.error, drift.growth) == (0, 0) for drift in drifts)


def test_an_input_whose_features_do_not_fit_one_scale_is_named():
    """One feature is lost between the steps that another one needs."""
    model = keras.Sequential(
        [keras.Input((8, 2)), layers.Conv1D(4, 3, name="conv"), layers.GlobalAveragePooling1D()]
    )
    windows = np.random.default_rng(6).normal(size=(64, 8, 2)).astype(np.float32) * [1000, 1]
    windows = windows.astype(np.float32)
    content = keras_to_tflite(model, quantize="int8", calibration=[windows])
    worst, *_ = layer_drift(keras_to_tflite(model), content, [windows])
    assert (worst.name, worst.operator) == ("the input", "QUANTIZE")
    assert worst.error == pytest.approx(0.5, abs=0.05)  # one of two features


def test_loops_are_not_taken_for_what_is_written_out():
    inputs = keras.Input((70, 6))
    model = keras.Model(inputs, layers.Dense(4)(layers.GRU(8, name="recurrent")(inputs)))
    windows = np.random.default_rng(7).normal(size=(8, 70, 6)).astype(np.float32)
    candidate = keras_to_tflite(model, quantize="int8", calibration=[windows], target="micro")
    drifts = layer_drift(keras_to_tflite(model), candidate, [windows])
    assert max(drift.error for drift in drifts) < 0.3


def test_a_line_for_people():
    drift = LayerDrift("conv2d_3", "CONV_2D", 0.314, 0.2)
    assert str(drift) == "conv2d_3 (CONV_2D): off by 31 % of its spread"


def test_what_cannot_be_compared_is_refused(model, windows):
    content = keras_to_tflite(model)
    with pytest.raises(ConversionError, match="2 windows or more, got 1"):
        layer_drift(content, content, [windows[:1]])
    with pytest.raises(ConversionError, match="'first' is given for 3 windows, expected 16"):
        layer_drift({"first": np.zeros((3, 4), np.float32)}, content, [windows])
    with pytest.raises(ConversionError, match="no layers in common"):
        layer_drift({"other": np.zeros((16, 4), np.float32)}, content, [windows])
    with pytest.raises(ConversionError, match="cannot be run layer by layer"):
        layer_drift(content, b"no model", [windows])
    with pytest.raises(ConversionError, match="cannot be run layer by layer"):
        layer_drift(content, content, [np.zeros((4, 3), np.float32)])
