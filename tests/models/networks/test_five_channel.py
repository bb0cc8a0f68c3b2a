"""The five-channel CNN in PyTorch against the same sums in NumPy."""

import numpy as np
import pytest

from tests.support.requirements import require_package


@pytest.fixture(scope="module")
def architecture():
    require_package("torch")
    from edge_genre.models.networks import five_channel as architecture

    return architecture


def convolved(x, kernel, bias):
    """A 3 x 3 convolution with a border of zeros: (channels, rows, columns) in and out."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", patches, kernel) + bias[:, None, None]


def normalised(x, weights, name):
    """Batch normalisation with the statistics of the training."""
    gain = weights[f"{name}.weight"] / np.sqrt(weights[f"{name}.running_var"] + 1e-5)
    shift = weights[f"{name}.bias"] - weights[f"{name}.running_mean"] * gain
    axes = (slice(None), *(None,) * (x.ndim - 1))
    return x * gain[axes] + shift[axes]


def by_hand(weights, window):
    x = window.astype(np.float64)
    for block in ("block1", "block2"):
        x = convolved(x, weights[f"{block}.0.weight"], weights[f"{block}.0.bias"])
        x = normalised(np.maximum(x, 0), weights, f"{block}.2")
        channels, rows, columns = (size // 2 for size in x.shape)
        x = x[:, : 2 * rows, : 2 * columns].reshape(2 * channels, rows, 2, columns, 2)
        x = x.max(axis=(2, 4))
    x = np.maximum(weights["fc1.weight"] @ x.mean(axis=(1, 2)) + weights["fc1.bias"], 0)
    logits = weights["out.weight"] @ normalised(x, weights, "bn_fc") + weights["out.bias"]
    return logits - np.log(np.exp(logits).sum())


@pytest.mark.parametrize(
    ("name", "n_channels"), [("five_channel_cnn.ckpt", 5), ("three_channel_cnn.ckpt", 3)]
)
def test_published_weights_give_the_sums_by_hand(name, n_channels, architecture, reference_models):
    torch = require_package("torch")
    saved = torch.load(reference_models / name, map_location="cpu", weights_only=True)
    weights = saved["model_state_dict"]
    network = architecture.for_weights(weights).eval()
    network.load_state_dict(weights, strict=True)
    assert network.input_shape == (n_channels, 40, 130)
    rng = np.random.default_rng(0)
    windows = rng.normal(0, 20, (3, n_channels, 40, 130)).astype(np.float32)
    with torch.no_grad():
        found = network(torch.from_numpy(windows)).numpy()
    arrays = {key: value.numpy().astype(np.float64) for key, value in weights.items()}
    expected = np.stack([by_hand(arrays, window) for window in windows])
    # Log-probabilities of noise reach -100.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_parameters_are_as_published(architecture):
    network = architecture.FiveChannelCNN()
    assert sum(weight.numel() for weight in network.parameters()) == 30_026


def test_classes_and_channels_follow_the_weights(architecture):
    weights = architecture.FiveChannelCNN(n_channels=4, n_classes=6).state_dict()
    network = architecture.for_weights(weights)
    network.load_state_dict(weights)
    torch = require_package("torch")
    outputs = network.eval()(torch.zeros(2, 4, 40, 130))
    assert outputs.shape == (2, 6)
