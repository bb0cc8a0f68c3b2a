"""Keras models of both formats: what they give, and what they are refused for."""

import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers, ops

from edge_genre.convert.sources import open_model
from edge_genre.convert.tensors import one_input
from edge_genre.models.networks.published_songnet import PublishedAttention, songnet_published
from tests.support.sources import answer, noise, refusal


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("mel_cnn.keras", (128, 130, 1), 111_370),
        ("mfcc_cnn.keras", (130, 13, 1), 299_786),
        ("tabular_conv1d.h5", (58, 1), 223_114),
    ],
)
def test_published_keras_models(name, shape, parameters, reference_models, run_onnx, run_tflite):
    source = open_model(reference_models / name)
    assert (source.inputs[0].shape, source.parameters) == (shape, parameters)
    assert source.versions["keras"] == keras.__version__
    windows = noise(shape, n=40)  # more than a batch, and no multiple of one
    outputs = answer(source, windows)
    assert outputs.dtype == np.float32
    model = keras.models.load_model(reference_models / name, compile=False)
    np.testing.assert_allclose(outputs, model.predict(windows, verbose=0), atol=1e-6)
    np.testing.assert_allclose(run_onnx(source.onnx(), windows), outputs, atol=1e-5)
    np.testing.assert_allclose(run_tflite(source.tflite(), windows), outputs, atol=1e-5)


def test_published_songnet_is_as_published():
    model = songnet_published()
    assert model.count_params() == 315_753
    assert model.input_shape == (None, 1292, 128)
    assert model.output_shape == (None, 8)


def test_published_attention_by_hand():
    layer = PublishedAttention()
    x = noise((7, 4), n=2)
    layer.build(x.shape)
    layer.set_weights([noise((1,), n=4, seed=1), noise((1,), n=7, seed=2)])
    kernel, bias = layer.get_weights()
    for window, found in zip(x, layer(x).numpy(), strict=True):
        scores = np.array(
            [np.tanh(step @ kernel[:, 0] + bias[i, 0]) for i, step in enumerate(window)]
        )
        weights = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(found, weights @ window, atol=1e-6)


class Attention(layers.Layer):
    """SongNet's, under the name of Keras's own attention, and with other names of weights."""

    def build(self, input_shape):
        self.W = self.add_weight(name="att_weight", shape=(input_shape[-1], 1))
        self.b = self.add_weight(name="att_bias", shape=(input_shape[1], 1))

    def call(self, x):
        score = ops.softmax(ops.tanh(ops.matmul(x, self.W) + self.b), axis=1)
        return ops.sum(x * score, axis=1)


def recurrent(attention, with_random_weights):
    """SongNet's head on 12 steps."""
    inputs = keras.Input((12, 5))
    steps = layers.GRU(6, return_sequences=True)(inputs)
    outputs = layers.Dense(3, activation="softmax")(attention(steps))
    return with_random_weights(keras.Model(inputs, outputs))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_published_attention_needs_no_file(suffix, with_random_weights, tmp_path):
    model = recurrent(Attention(), with_random_weights)
    model.save(tmp_path / f"songnet{suffix}")
    windows = noise((12, 5))
    found = answer(open_model(tmp_path / f"songnet{suffix}"), windows)
    np.testing.assert_allclose(found, model.predict(windows, verbose=0), atol=1e-6)


def test_published_attention_of_a_decorated_class(with_random_weights, tmp_path):
    """Its package stands in front of its name, and the class is not at hand."""
    model = recurrent(Attention(), with_random_weights)
    model.save(tmp_path / "plain.keras")
    path = tmp_path / "songnet.keras"
    with (
        zipfile.ZipFile(tmp_path / "plain.keras") as plain,
        zipfile.ZipFile(path, "w") as decorated,
    ):
        for name in plain.namelist():
            content = plain.read(name)
            if name == "config.json":
                text = content.decode()
                assert '"registered_name": "Attention"' in text
                text = text.replace(f'"module": "{__name__}"', '"module": "songnet.train"')
                content = text.replace(
                    '"registered_name": "Attention"', '"registered_name": "Custom>Attention"'
                ).encode()
            decorated.writestr(name, content)
    windows = noise((12, 5))
    found = answer(open_model(path), windows)
    np.testing.assert_allclose(found, model.predict(windows, verbose=0), atol=1e-6)


def test_another_attention_is_no_songnet(with_random_weights, tmp_path):
    """Of the same name, with weights of other shapes: 3 units."""

    class AttentionLayer(layers.Layer):
        def build(self, input_shape):
            self.W = self.add_weight(shape=(input_shape[-1], 3))
            self.b = self.add_weight(shape=(3,))

        def call(self, x):
            score = ops.sum(ops.tanh(ops.matmul(x, self.W) + self.b), axis=-1, keepdims=True)
            return ops.sum(x * ops.softmax(score, axis=1), axis=1)

    path = tmp_path / "other.h5"
    recurrent(AttentionLayer(), with_random_weights).save(path)
    assert "its attention was read as SongNet's: if it is another, give it" in refusal(path)


LAYER = """
import keras
from keras import ops

class MeanAndMax(keras.layers.Layer):
    def call(self, x):
        return ops.mean(x, axis=1) + 2 * ops.max(x, axis=1)
"""


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_other_layers_come_from_a_file(suffix, with_random_weights, tmp_path):
    custom = tmp_path / "own.py"
    custom.write_text(LAYER)
    namespace = {}
    exec(LAYER, namespace)
    model = recurrent(namespace["MeanAndMax"](), with_random_weights)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    windows = noise((12, 5))
    source = open_model(path, custom=custom)
    np.testing.assert_allclose(
        answer(source, windows), model.predict(windows, verbose=0), atol=1e-6
    )
    message = refusal(path)
    assert "'MeanAndMax'" in message
    assert "--custom FILE" in message


def test_files_that_define_no_layer(reference_models, tmp_path):
    path = reference_models / "mel_cnn.keras"
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "broken.py").write_text("1 / 0")
    assert "no subclass of keras.layers.Layer" in refusal(path, custom=tmp_path / "empty.py")
    assert "fails with ZeroDivisionError" in refusal(path, custom=tmp_path / "broken.py")
    assert "no such Python file" in refusal(path, custom=tmp_path / "missing.py")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_lambdas_are_refused_and_not_run(suffix, tmp_path):
    trace = str(tmp_path / "trace")
    inputs = keras.Input((4,))
    code = layers.Lambda(
        lambda x: (__import__("pathlib").Path(trace).touch(), x * 2)[1], output_shape=(4,)
    )
    model = keras.Model(inputs, layers.Dense(2)(code(inputs)))
    path = tmp_path / f"model{suffix}"
    model.save(path)
    assert "is a Lambda with Python code in it" in refusal(path)
    assert not Path(trace).exists()
    keras.models.load_model(path, safe_mode=False)(np.zeros((1, 4)))
    assert Path(trace).exists(), "it would have run"


def test_weights_alone_are_no_model(cnn, tmp_path):
    path = tmp_path / "model.weights.h5"
    cnn.save_weights(path)
    assert "weights only" in refusal(path)


def test_recurrent_layers_of_keras_2(with_random_weights, tmp_path):
    """Their configuration has an option that Keras 3 refuses."""
    model = recurrent(Attention(), with_random_weights)
    path = tmp_path / "songnet.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        (gru,) = (x for x in config["config"]["layers"] if x["class_name"] == "GRU")
        gru["config"].update(time_major=False, implementation=2)
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ValueError, match="time_major"):
        keras.models.load_model(path, custom_objects={"Attention": Attention})
    windows = noise((12, 5))
    found = answer(open_model(path), windows)
    np.testing.assert_allclose(found, model.predict(windows, verbose=0), atol=1e-6)
    with h5py.File(path) as file:
        assert "time_major" in file.attrs["model_config"], "the user's file is left alone"


def test_free_lengths_are_fixed(with_random_weights, run_onnx, run_tflite, tmp_path):
    inputs = keras.Input((None, 5))
    steps = layers.Conv1D(6, 3, padding="same")(inputs)
    steps = layers.GRU(6, return_sequences=True)(steps)
    outputs = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(steps))
    model = with_random_weights(keras.Model(inputs, outputs))
    model.save(tmp_path / "model.keras")
    assert open_model(tmp_path / "model.keras").inputs[0].shape == (None, 5)
    source = open_model(tmp_path / "model.keras", inputs=one_input((12, 5)))
    assert source.inputs[0].shape == (12, 5)
    windows = noise((12, 5))
    expected = model.predict(windows, verbose=0)
    np.testing.assert_allclose(answer(source, windows), expected, atol=1e-6)
    np.testing.assert_allclose(run_tflite(source.tflite(), windows), expected, atol=1e-5)
    np.testing.assert_allclose(run_onnx(source.onnx(), windows), expected, atol=1e-5)


def test_tflite_gives_probabilities_where_asked(with_random_weights, run_tflite, tmp_path):
    inputs = keras.Input((6,))
    model = with_random_weights(keras.Model(inputs, layers.Dense(3)(inputs)))
    model.save(tmp_path / "logits.keras")
    source = open_model(tmp_path / "logits.keras")
    windows = noise((6,))
    logits = model.predict(windows, verbose=0).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run_tflite(source.tflite(), windows), logits, atol=1e-5)
    found = run_tflite(source.tflite(activation="softmax"), windows)
    np.testing.assert_allclose(found, expected, atol=1e-5)
