"""PyTorch checkpoints: what they give, and what they are refused for."""

import os
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_genre.convert.sources import open_model
from edge_genre.convert.tensors import one_input
from edge_genre.errors import ConversionError
from tests.support.requirements import require_package
from tests.support.sources import answer, noise, refusal

ARCHITECTURES = Path(__file__).parents[1] / "architectures"


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
    source = open_model(reference_models / name, architecture=architecture, inputs=one_input(shape))
    assert (source.kind, source.inputs[0].shape, source.parameters) == (
        "pytorch",
        shape,
        parameters,
    )
    assert source.versions["torch"] == torch.__version__
    windows = noise(shape, n=40)
    outputs = answer(source, windows)
    assert outputs.shape == (40, 8 if "attention" in name else 10)
    capfd.readouterr()
    content = source.onnx()
    assert capfd.readouterr() == ("", "")
    np.testing.assert_allclose(run_onnx(content, windows), outputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(answer(source, windows[:1]), outputs[:1], rtol=1e-5, atol=1e-5)
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
        options = {"architecture": architecture, "inputs": one_input((130, 13))}
    source = open_model(reference_models / name, **options)
    windows = noise(source.inputs[0].shape)
    outputs = answer(source, windows)
    np.testing.assert_allclose(run_tflite(source.tflite(), windows), outputs, rtol=1e-4, atol=1e-4)
    if name == "five_channel_cnn.ckpt":
        found = run_tflite(source.tflite(activation="softmax"), windows)
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
    source = open_model(path, architecture="five-channel-cnn")
    np.testing.assert_allclose(answer(source, windows), expected, atol=1e-6)


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
        return super().forward(x), "the network's own object"

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
    source = open_model(path, architecture=f"{networks}Mean", inputs=one_input((6, 4)))
    weights = {key: value.numpy() for key, value in torch.load(path, weights_only=True).items()}
    windows = noise((6, 4))
    expected = windows.mean(axis=1) @ weights["fc.weight"].T + weights["fc.bias"]
    np.testing.assert_allclose(answer(source, windows), expected, atol=1e-6)
    assert answer(source, windows[:0]).shape[0] == 0


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
    assert expected in refusal(path, architecture=architecture, inputs=one_input((6, 4)))


def test_a_checkpoint_needs_an_input_shape(own_network):
    path, networks = own_network
    assert "--input-shape" in refusal(path, architecture=f"{networks}Mean")


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("Mean", (6, 5), "does not run on windows of 6 x 5"),
        ("Steps", (6, 4), r"gives outputs of shape \(2, 6, 3\) for 2 windows"),
        ("Pair", (6, 4), "gives str, expected tensors"),
    ],
)
def test_networks_that_do_not_classify_windows(name, shape, expected, own_network):
    path, networks = own_network
    source = open_model(path, architecture=f"{networks}{name}", inputs=one_input(shape))
    with pytest.raises(ConversionError, match=expected):
        answer(source, noise(shape, n=2))
