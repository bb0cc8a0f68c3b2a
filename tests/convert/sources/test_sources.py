"""Sources of every kind: what they are taken for, what they give, what they are refused for."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from keras import layers, ops

from edge_genre.convert.sources import open_source
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.errors import ConversionError
from edge_genre.models.networks.published_songnet import PublishedAttention, songnet_published
from tests.support import models_on_the_fly as small
from tests.support.requirements import require_package

ARCHITECTURES = Path(__file__).parents[1] / "architectures"


def noise(shape, n=7, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)


def refusal(path, **options) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(ConversionError) as caught:
        open_source(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


# Kinds


def test_importing_the_package_loads_no_framework():
    names = ["tensorflow", "keras", "torch", "onnx", "tf2onnx", "onnxruntime", "h5py"]
    check = (
        f"import sys, edge_genre.convert.sources; print([n for n in {names} if n in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "kind", "wrong"),
    [
        ("mel_cnn.keras", "keras", ".h5"),
        ("tabular_conv1d.h5", "h5", ".keras"),
        ("mfcc_dense.tflite", "tflite", ".onnx"),
    ],
)
def test_content_tells_the_kind(name, kind, wrong, reference_models, tmp_path):
    path = tmp_path / f"model{wrong}"
    path.write_bytes((reference_models / name).read_bytes())
    assert open_source(path).kind == kind


@pytest.mark.parametrize("name", ["mel_cnn.keras", "tabular_conv1d.h5", "mfcc_dense.tflite"])
@pytest.mark.parametrize("part", [0.9, 0.5, 0.01])
def test_truncated_files_are_refused(name, part, reference_models, tmp_path):
    content = (reference_models / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(len(content) * part)])
    refusal(path)


@pytest.mark.parametrize("part", [0.9, 0.5, 0.01])
@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_checkpoints_are_refused(part, legacy, tmp_path):
    torch = require_package("torch")
    path = tmp_path / "weights.pt"
    torch.save({"w": torch.zeros(1000)}, path, _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    refusal(path, architecture="five-channel-cnn", input_shape=(5, 40, 130))


def test_truncated_onnx_is_refused(tmp_path):
    content = small.onnx_graph()
    for size in (len(content) - 1, len(content) // 2, 20):
        path = tmp_path / "model.onnx"
        path.write_bytes(content[:size])
        assert "only a part of one" in refusal(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "is a WAV file"),
        (b'{"labels": []}', "is a JSON file"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"w":{}}' + bytes(8), "is a safetensors file"),
        (b"genre,tempo\n", "is no model, or only a part of one"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is a damaged HDF5 file"),
    ],
)
def test_other_files_are_named(content, expected, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    assert expected in refusal(path)


def test_what_is_not_there_or_not_readable(tmp_path, monkeypatch):
    assert "no such file" in refusal(tmp_path / "model.keras")
    assert "without saved_model.pb" in refusal(tmp_path)
    path = tmp_path / "model.keras"
    path.write_bytes(b"PK\x03\x04")

    def denied(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)  # the tests may run as root, who may read all
    assert "cannot be read (Permission denied)" in refusal(path)


def test_other_archives_are_named(tmp_path):
    np.savez(tmp_path / "features.npz", X=np.zeros(3))
    assert "NumPy arrays (.npz)" in refusal(tmp_path / "features.npz")
    with zipfile.ZipFile(tmp_path / "songs.zip", "w") as archive:
        archive.writestr("song.txt", "la la")
    assert "a zip archive with song.txt in it" in refusal(tmp_path / "songs.zip")


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("keras", "mel_cnn.keras", "convert"), ("torch", "mfcc_gru.pth", "pytorch")],
)
def test_missing_frameworks_are_named(module, name, extra, reference_models):
    """In a fresh interpreter that has the package hidden."""
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from edge_genre.convert.sources import open_source\n"
        "from edge_genre.errors import ConversionError\n"
        f"try: open_source({str(reference_models / name)!r})\n"
        "except ConversionError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"pip install 'edge-genre[{extra}]'" in result.stdout


@pytest.mark.parametrize(
    "options", [{"architecture": "five-channel-cnn"}, {"custom": "layers.py"}], ids=str
)
def test_options_for_another_kind_are_refused(options, reference_models):
    assert "leave --" in refusal(reference_models / "mfcc_dense.tflite", **options)


def test_windows_of_another_shape_are_refused(reference_models):
    source = open_source(reference_models / "mfcc_dense.tflite")
    with pytest.raises(ConversionError, match="takes 130 x 13, but the windows are 13 x 130"):
        source.predict(noise((13, 130)))


# Keras


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("mel_cnn.keras", (128, 130, 1), 111_370),
        ("mfcc_cnn.keras", (130, 13, 1), 299_786),
        ("tabular_conv1d.h5", (58, 1), 223_114),
    ],
)
def test_published_keras_models(name, shape, parameters, reference_models, run_onnx, run_tflite):
    source = open_source(reference_models / name)
    assert (source.input_shape, source.parameters) == (shape, parameters)
    assert source.versions["keras"] == keras.__version__
    windows = noise(shape, n=40)  # more than a batch, and no multiple of one
    outputs = source.predict(windows)
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
    found = open_source(tmp_path / f"songnet{suffix}").predict(windows)
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
    found = open_source(path).predict(windows)
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
    source = open_source(path, custom=custom)
    np.testing.assert_allclose(
        source.predict(windows), model.predict(windows, verbose=0), atol=1e-6
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
    found = open_source(path).predict(windows)
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
    assert open_source(tmp_path / "model.keras").input_shape == (None, 5)
    source = open_source(tmp_path / "model.keras", input_shape=(12, 5))
    assert source.input_shape == (12, 5)
    windows = noise((12, 5))
    expected = model.predict(windows, verbose=0)
    np.testing.assert_allclose(source.predict(windows), expected, atol=1e-6)
    np.testing.assert_allclose(run_tflite(source.tflite(), windows), expected, atol=1e-5)
    np.testing.assert_allclose(run_onnx(source.onnx(), windows), expected, atol=1e-5)


def test_tflite_gives_probabilities_where_asked(with_random_weights, run_tflite, tmp_path):
    inputs = keras.Input((6,))
    model = with_random_weights(keras.Model(inputs, layers.Dense(3)(inputs)))
    model.save(tmp_path / "logits.keras")
    source = open_source(tmp_path / "logits.keras")
    windows = noise((6,))
    logits = model.predict(windows, verbose=0).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run_tflite(source.tflite(), windows), logits, atol=1e-5)
    found = run_tflite(source.tflite(probabilities=True), windows)
    np.testing.assert_allclose(found, expected, atol=1e-5)


# SavedModel


def exported(model, folder):
    model.export(folder, verbose=False)


def with_another_signature(model, folder):
    function = tf.function(lambda x: {"genre": model(x)}, autograph=False)
    spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="x")
    module = tf.Module()
    module.model = model
    tf.saved_model.save(module, folder, {"classify": function.get_concrete_function(spec)})


@pytest.mark.parametrize("save", [exported, with_another_signature])
def test_saved_models(save, songnet, windows, run_onnx, run_tflite, tmp_path):
    save(songnet, str(tmp_path / "saved"))
    source = open_source(tmp_path / "saved")
    assert (source.kind, source.input_shape) == ("saved_model", (39, 128))
    assert source.parameters == songnet.count_params()
    expected = songnet.predict(windows, verbose=0)
    np.testing.assert_allclose(source.predict(windows), expected, atol=1e-6)
    np.testing.assert_allclose(run_onnx(source.onnx(), windows), expected, atol=1e-5)
    np.testing.assert_allclose(run_tflite(source.tflite(), windows), expected, atol=1e-5)


def test_saved_models_that_do_not_fit(tmp_path):
    two = tmp_path / "two"
    module = tf.Module()
    spec = tf.TensorSpec((None, 3), tf.float32)
    double = tf.function(lambda x: x * 2).get_concrete_function(spec)
    half = tf.function(lambda x: x / 2).get_concrete_function(spec)
    tf.saved_model.save(module, str(two), {"double": double, "half": half})
    assert "signatures double, half" in refusal(two)
    pair = tmp_path / "pair"
    both = tf.function(lambda x, y: x + y).get_concrete_function(spec, spec)
    tf.saved_model.save(module, str(pair), both)
    assert "2 inputs and 1 outputs" in refusal(pair)
    (two / "saved_model.pb").write_bytes(b"\x08\x01\x12")
    assert "TensorFlow cannot load it" in refusal(two)


# PyTorch


@pytest.mark.parametrize(
    ("name", "architecture", "shape", "parameters"),
    [
        ("five_channel_cnn.ckpt", "five-channel-cnn", (5, 40, 130), 30_026),
        ("three_channel_cnn.ckpt", "five-channel-cnn", (3, 40, 130), 29_450),
        ("cnn_gru_attention.pth", "cnn_gru_attention.py:CnnGruAttention", (1, 128, 130), 38_889),
        ("mfcc_gru.pth", "mfcc_gru.py:MfccGru", (130, 13), 44_938),
    ],
)
def test_published_checkpoints(
    name, architecture, shape, parameters, reference_models, run_onnx, capfd
):
    torch = require_package("torch")
    if ":" in architecture:
        architecture = str(ARCHITECTURES / architecture)
    source = open_source(reference_models / name, architecture=architecture, input_shape=shape)
    assert (source.kind, source.input_shape, source.parameters) == ("pytorch", shape, parameters)
    assert source.versions["torch"] == torch.__version__
    windows = noise(shape, n=40)
    outputs = source.predict(windows)
    assert outputs.shape == (40, 8 if "attention" in name else 10)
    capfd.readouterr()
    content = source.onnx()
    assert capfd.readouterr() == ("", "")
    np.testing.assert_allclose(run_onnx(content, windows), outputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(source.predict(windows[:1]), outputs[:1], rtol=1e-5, atol=1e-5)
    (operator,) = {n.op_type for n in onnx.load_from_string(content).graph.node} & {
        "GRU",
        "Conv",
    } - ({"Conv"} if "gru" in name else set())
    assert operator == ("GRU" if "gru" in name else "Conv")


@pytest.mark.parametrize("name", ["five_channel_cnn.ckpt", "mfcc_gru.pth"])
def test_checkpoints_as_tflite(name, reference_models, run_tflite):
    require_package("torch")
    options = {"architecture": "five-channel-cnn"}
    if name == "mfcc_gru.pth":
        architecture = f"{ARCHITECTURES / 'mfcc_gru.py'}:MfccGru"
        options = {"architecture": architecture, "input_shape": (130, 13)}
    source = open_source(reference_models / name, **options)
    windows = noise(source.input_shape)
    outputs = source.predict(windows)
    np.testing.assert_allclose(run_tflite(source.tflite(), windows), outputs, rtol=1e-4, atol=1e-4)
    if name == "five_channel_cnn.ckpt":
        found = run_tflite(source.tflite(probabilities=True), windows)
        np.testing.assert_allclose(found, np.exp(outputs), atol=1e-5)


def five_channel_weights(seed=0):
    torch = require_package("torch")
    from edge_genre.models.networks.five_channel import FiveChannelCNN

    torch.manual_seed(seed)
    return FiveChannelCNN().state_dict()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.module.", "net."])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"state_dict": weights, "epoch": 3, "optimizer": {"state": {}}},
        lambda weights: {"model": weights, "accuracy": np.float64(0.5), "loss": np.float32(1)},
        lambda weights: {"my_weights": weights, "history": [1.0, 2.0]},
    ],
)
def test_checkpoints_of_all_sorts(wrap, prefix, legacy, tmp_path):
    torch = require_package("torch")
    weights = five_channel_weights()
    path = tmp_path / "checkpoint.bin"
    content = wrap({f"{prefix}{name}": weight for name, weight in weights.items()})
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    from edge_genre.models.networks.five_channel import FiveChannelCNN

    network = FiveChannelCNN().eval()
    network.load_state_dict(weights)
    windows = noise((5, 40, 130), n=2)
    with torch.no_grad():
        expected = network(torch.from_numpy(windows)).numpy()
    source = open_source(path, architecture="five-channel-cnn")
    np.testing.assert_allclose(source.predict(windows), expected, atol=1e-6)


def test_weights_that_do_not_match_are_named(tmp_path):
    torch = require_package("torch")
    weights = five_channel_weights()
    weights["fc2.weight"] = weights.pop("fc1.weight")
    weights["fc1.bias"] = torch.zeros(64)
    torch.save(weights, tmp_path / "weights.pt")
    message = refusal(tmp_path / "weights.pt", architecture="five-channel-cnn")
    assert "missing: fc1.weight;" in message
    assert "not in the network: fc2.weight;" in message
    assert "of another shape: fc1.bias is (64,), expected (128,)" in message

    torch.save({f"layer{i}": torch.zeros(1) for i in range(50)}, tmp_path / "weights.pt")
    message = refusal(tmp_path / "weights.pt", architecture="five-channel-cnn")
    assert "layer9 and 40 more" in message
    assert "layer10" not in message
    assert len(message) < 1000


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("form", ["zip", "legacy", *(f"plain{n}" for n in range(6))])
def test_pickles_with_code_are_refused_and_not_run(form, tmp_path):
    torch = require_package("torch")
    trace, path = tmp_path / "trace", tmp_path / "weights.pt"
    content = {"state_dict": {"w": torch.zeros(2)}, "extra": Payload(f"touch {trace}")}
    if form.startswith("plain"):
        path.write_bytes(pickle.dumps(content["extra"], protocol=int(form[-1])))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    message = refusal(path, architecture="five-channel-cnn")
    if not form.startswith("plain"):
        assert "posix.system" in message
        assert "could run code and is refused" in message
    assert not trace.exists()
    with path.open("rb") as stream:  # it would have: the test is not void
        if form.startswith("plain"):
            pickle.load(stream)
        else:
            torch.load(stream, weights_only=False)
    assert trace.exists()


def test_whole_modules_and_programs_are_refused(tmp_path):
    torch = require_package("torch")
    network = torch.nn.Sequential(torch.nn.Linear(3, 2))
    torch.save(network, tmp_path / "module.pt")
    message = refusal(tmp_path / "module.pt", architecture="five-channel-cnn")
    assert "torch.nn.modules" in message
    assert "torch.save(model.state_dict(), 'weights.pt')" in message
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 3)), tmp_path / "script.pt")
    message = refusal(tmp_path / "script.pt", architecture="five-channel-cnn")
    assert "is a TorchScript program" in message
    assert "model.state_dict()" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([1, 2], "holds a list"),
        ({}, "holds nothing"),
        ({"epoch": 3, "loss": 0.5}, "holds epoch, loss"),
    ],
)
def test_checkpoints_without_weights(content, expected, tmp_path):
    torch = require_package("torch")
    torch.save(content, tmp_path / "checkpoint.pt")
    assert expected in refusal(tmp_path / "checkpoint.pt", architecture="five-channel-cnn")


NETWORKS = """
import torch
from torch import nn

class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x.mean(dim=1))

class Steps(Mean):
    def forward(self, x):
        return self.fc(x)

class Pair(Mean):
    def forward(self, x):
        return super().forward(x), x

class Sized(nn.Module):
    def __init__(self, n):
        super().__init__()

def number():
    return 3
"""


@pytest.fixture
def own_network(tmp_path):
    """A file of networks, and weights for the first three of them."""
    torch = require_package("torch")
    (tmp_path / "networks.py").write_text(NETWORKS)
    torch.manual_seed(1)
    layer = torch.nn.Linear(4, 3)
    path = tmp_path / "weights.pt"
    torch.save({"fc.weight": layer.weight.detach(), "fc.bias": layer.bias.detach()}, path)
    return path, f"{tmp_path / 'networks.py'}:"


def test_architectures_from_a_file(own_network):
    torch = require_package("torch")
    path, networks = own_network
    source = open_source(path, architecture=f"{networks}Mean", input_shape=(6, 4))
    weights = {key: value.numpy() for key, value in torch.load(path, weights_only=True).items()}
    windows = noise((6, 4))
    expected = windows.mean(axis=1) @ weights["fc.weight"].T + weights["fc.bias"]
    np.testing.assert_allclose(source.predict(windows), expected, atol=1e-6)
    assert source.predict(windows[:0]).shape[0] == 0


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        (None, "say which network they are of with --architecture"),
        ("resnet", "'resnet' is unknown, expected five-channel-cnn"),
        ("nowhere.py:Net", "no such Python file"),
        ("Missing", "it has Mean, Steps, Pair, Sized"),
        ("Sized", "called without arguments"),
        ("number", "gives a int, expected a torch.nn.Module"),
    ],
)
def test_architectures_that_cannot_be_used(architecture, expected, own_network):
    path, networks = own_network
    if architecture in ("Missing", "Sized", "number"):
        architecture = networks + architecture
    assert expected in refusal(path, architecture=architecture, input_shape=(6, 4))


def test_a_checkpoint_needs_an_input_shape(own_network):
    path, networks = own_network
    assert "--input-shape" in refusal(path, architecture=f"{networks}Mean")


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("Mean", (6, 5), "does not run on windows of 6 x 5"),
        ("Steps", (6, 4), r"gives outputs of shape \(2, 6, 3\) for 2 windows"),
        ("Pair", (6, 4), "gives a tuple, expected one tensor"),
    ],
)
def test_networks_that_do_not_classify_windows(name, shape, expected, own_network):
    path, networks = own_network
    source = open_source(path, architecture=f"{networks}{name}", input_shape=shape)
    with pytest.raises(ConversionError, match=expected):
        source.predict(noise(shape, n=2))


# ONNX


@pytest.mark.parametrize("batch", [1, "batch"])
def test_onnx_files(batch, tmp_path):
    path = tmp_path / "model.onnx"
    content = small.onnx_graph((batch, *small.SPEC.shape), output="logits")
    path.write_bytes(content)
    source = open_source(path)
    assert (source.kind, source.input_shape) == ("onnx", small.SPEC.shape)
    assert source.parameters == np.prod(small.SPEC.shape) * len(small.LABELS)
    assert (source.info, source.quantization) == (None, None)
    if batch == 1:
        windows = noise(source.input_shape, n=3)
        expected = windows.reshape(3, -1) @ small.weights(small.SPEC.shape)
        np.testing.assert_allclose(source.predict(windows), expected, atol=1e-5)
    assert source.onnx() == content


@pytest.mark.parametrize("shape", [("batch", 6), (1, 6), (4, 6), (6,)], ids=str)
def test_onnx_files_whatever_the_batch_axis(shape, run_tflite, tmp_path):
    """Ten windows: no multiple of four."""
    weights = noise((3,), n=6)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "small",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (*shape[:-1], 3))],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "m.onnx")
    source = open_source(tmp_path / "m.onnx")
    assert source.input_shape == (6,)
    windows = noise((6,), n=10)
    np.testing.assert_allclose(source.predict(windows), windows @ weights, atol=1e-6)
    if shape in (("batch", 6), (1, 6)):
        found = run_tflite(source.tflite(), windows)
        np.testing.assert_allclose(found, windows @ weights, atol=1e-5)


def test_descriptions_are_read_and_taken_off(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(small.onnx_model())
    source = open_source(path)
    assert source.info.labels == small.LABELS
    assert source.onnx() == small.onnx_graph()


def test_weights_beside_an_onnx_file_are_taken_in(tmp_path):
    model = onnx.load_from_string(small.onnx_graph())
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.data", size_threshold=0)
    windows = noise(small.SPEC.shape, n=2)
    expected = np.stack([small.expected(window) for window in windows])
    source = open_source(path)
    np.testing.assert_allclose(source.predict(windows), expected, atol=1e-5)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "model.onnx").write_bytes(source.onnx())
    again = open_source(alone / "model.onnx")
    np.testing.assert_allclose(again.predict(windows), expected, atol=1e-5)
    (tmp_path / "weights.data").unlink()
    assert "weights in another file, which cannot be read" in refusal(path)


def test_onnx_files_that_do_not_fit(tmp_path):
    float_, int_ = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    path = tmp_path / "m.onnx"

    def save(inputs, node):
        values = [onnx.helper.make_tensor_value_info(name, kind, (1, 6)) for name, kind in inputs]
        output = onnx.helper.make_tensor_value_info("y", inputs[0][1], (1, 6))
        graph = onnx.helper.make_graph([node], "small", values, [output])
        opset = [onnx.helper.make_opsetid("", 17)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)

    save([("a", float_), ("b", float_)], onnx.helper.make_node("Add", ["a", "b"], ["y"]))
    assert "2 inputs and 1 outputs" in refusal(path)
    save([("a", int_)], onnx.helper.make_node("Neg", ["a"], ["y"]))
    assert "takes int32 numbers, expected float" in refusal(path)
    save([("a", float_)], onnx.helper.make_node("NoSuchOperator", ["a"], ["y"]))
    assert "ONNX Runtime cannot load it" in refusal(path)


# TFLite


def test_published_tflite_gives_its_golden_outputs(reference_models, run_onnx):
    labels = "disco classical country blues metal rock reggae pop hiphop jazz".split()
    source = open_source(reference_models / "mfcc_dense.tflite")
    assert (source.kind, source.input_shape, source.quantization) == ("tflite", (130, 13), "fp32")
    assert source.parameters == sum(
        n_in * n_out + n_out for n_in, n_out in [(1690, 512), (512, 256), (256, 64), (64, 10)]
    )
    windows = np.stack(
        [
            np.fromstring(  # numbers with commas, spaces or brackets between them
                (reference_models / f"mfcc_dense_input_{name}.txt")
                .read_text()
                .translate(str.maketrans("[],", "   ")),
                np.float32,
                sep=" ",
            ).reshape(130, 13)
            for name in ("disco", "metal")
        ]
    )
    outputs = source.predict(windows)
    assert [labels[index] for index in outputs.argmax(axis=1)] == ["disco", "metal"]
    assert outputs[0].max() == pytest.approx(0.956, abs=5e-4)
    assert outputs[1].max() == pytest.approx(0.9996, abs=1e-4)
    np.testing.assert_allclose(run_onnx(source.onnx(), windows), outputs, atol=1e-5)
    assert source.tflite(quantize="fp32") == (reference_models / "mfcc_dense.tflite").read_bytes()
    with pytest.raises(ConversionError, match="cannot be quantized again"):
        source.tflite(quantize="int8")


@pytest.mark.parametrize("quantize", ["fp32", "fp16", "dynamic", "int8"])
def test_quantization_is_found_out(
    quantize, songnet, calibration, windows, run_onnx, tmp_path, capfd
):
    content = keras_to_tflite(
        songnet, quantize=quantize, calibration=calibration if quantize == "int8" else None
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    source = open_source(path)
    assert source.quantization == quantize
    assert source.tflite(quantize=quantize) == content
    if quantize in ("dynamic", "int8"):  # engines round in other places
        with pytest.raises(ConversionError, match=f"is {quantize}, of which ONNX"):
            source.onnx()
        return
    capfd.readouterr()
    converted = source.onnx()
    assert capfd.readouterr() == ("", "")
    found = np.concatenate([run_onnx(converted, window[np.newaxis]) for window in windows])
    np.testing.assert_allclose(found, source.predict(windows), atol=1e-5)


def test_waveform_models_have_no_batch_axis(reference_models):
    source = open_source(reference_models / "yamnet_wavin.tflite")
    assert (source.input_shape, source.quantization) == ((15_600,), "int8")
    assert source.predict(noise((15_600,), n=3)).shape == (3, 521)


def test_bundled_files_describe_themselves():
    folder = Path(__file__).parents[3] / "models" / "bundled"
    for suffix in ("tflite", "onnx"):
        source = open_source(folder / f"songnet-gtzan.{suffix}")
        assert source.info.name == "songnet-gtzan"
        assert source.predict(noise(source.input_shape, n=2)).shape == (2, 10)
