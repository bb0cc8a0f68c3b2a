"""SongNet's architecture: any length, plain operators, its size."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from edge_genre.models.networks.songnet import TemporalAttention, songnet
from edge_genre.models.networks.tiny import tiny

N_FRAMES, N_MELS = 39, 128


def test_same_weights_read_any_length() -> None:
    short, long = songnet(n_frames=39), songnet(n_frames=129)
    free = songnet(n_frames=None)
    for model in (long, free):
        model.set_weights(short.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 129, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(free(x).numpy(), long(x).numpy(), atol=1e-6)
    np.testing.assert_allclose(free(x[:, :39]).numpy(), short(x[:, :39]).numpy(), atol=1e-6)
    assert np.abs(long(x).numpy().sum(1) - 1).max() < 1e-5


def test_unrolled_model_gives_the_same_output() -> None:
    looped, unrolled = songnet(), songnet(unroll=True)
    unrolled.set_weights(looped.get_weights())
    x = np.random.default_rng(0).normal(size=(2, N_FRAMES, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(unrolled(x).numpy(), looped(x).numpy(), atol=1e-6)


def test_attention_equals_a_hand_calculation() -> None:
    layer = TemporalAttention(5)
    x = np.random.default_rng(0).normal(size=(2, 7, 4)).astype(np.float32)
    out = layer(x).numpy()
    kernel, bias, v = layer.get_weights()
    for i in range(len(x)):
        scores = np.array([np.tanh(step @ kernel + bias) @ v[:, 0] for step in x[i]])
        weights = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(out[i], weights @ x[i], atol=1e-6)


def test_first_channel_sees_equalisation_and_second_does_not() -> None:
    layer = songnet().get_layer("contrast")
    x = np.random.default_rng(0).normal(size=(1, N_FRAMES, N_MELS, 1)).astype(np.float32)
    equalised = x + np.linspace(-1, 1, N_MELS, dtype=np.float32)[:, None]
    before, after = layer(x).numpy(), layer(equalised).numpy()
    assert np.abs(before[..., 0] - after[..., 0]).max() > 0.9
    np.testing.assert_allclose(before[..., 1], after[..., 1], atol=1e-5)


def test_model_is_small() -> None:
    assert songnet().count_params() < 200_000


def test_saved_model_loads_without_custom_objects(tmp_path: Path) -> None:
    model = songnet(filters=(4, 4, 4, 4), width=8, gru_units=8)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(3, N_FRAMES, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(loaded(x).numpy(), model(x).numpy(), atol=1e-6)


def test_converts_to_builtin_operators_with_equal_output() -> None:
    model = songnet(filters=(4, 4, 4, 4), width=8, gru_units=8)
    inputs = keras.Input((N_FRAMES, N_MELS), batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, model(inputs)))
    # Flex operators would fail here: this interpreter has none.
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    x = np.random.default_rng(0).normal(size=(1, N_FRAMES, N_MELS)).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(output, model(x).numpy(), atol=1e-6)


def test_halvings_shorten_what_the_gru_reads() -> None:
    for halvings, steps in ((1, 64), (2, 32)):
        model = songnet(n_frames=128, halvings=halvings)
        assert model.get_layer("gru").output.shape[1] == steps


def test_an_unrolled_loop_needs_a_length() -> None:
    with pytest.raises(ValueError, match="fixed n_frames"):
        songnet(n_frames=None, unroll=True)


@pytest.mark.parametrize("n_frames", [130, None])
@pytest.mark.parametrize("network", [songnet, tiny])
def test_the_same_weights_read_bands_first(
    network: Callable[..., keras.Model], n_frames: int | None
) -> None:
    plain = network(n_frames=130)
    turned = network(n_frames=n_frames, frequency_first=True, name="mfcc")
    turned.set_weights(plain.get_weights())
    assert turned.input_shape == (None, N_MELS, n_frames)
    assert turned.inputs[0].name == "mfcc"
    x = np.random.default_rng(0).normal(size=(2, 130, N_MELS)).astype(np.float32)
    np.testing.assert_allclose(turned(x.swapaxes(1, 2)).numpy(), plain(x).numpy(), atol=1e-6)


@pytest.mark.parametrize("network", [songnet, tiny])
def test_bands_of_any_number_are_as_if_filled_up_with_zeros(
    network: Callable[..., keras.Model],
) -> None:
    few, filled = network(n_mels=13), network(n_mels=16)
    filled.set_weights(few.get_weights())
    x = np.random.default_rng(0).normal(size=(2, N_FRAMES, 13)).astype(np.float32)
    zeros = np.pad(x, ((0, 0), (0, 0), (0, 3)))
    np.testing.assert_allclose(few(x).numpy(), filled(zeros).numpy(), atol=1e-6)


@pytest.mark.parametrize("network", [songnet, tiny])
def test_labels_that_do_not_exclude_each_other(network: Callable[..., keras.Model]) -> None:
    exclusive, free = network(), network(activation="sigmoid")
    free.set_weights(exclusive.get_weights())
    x = np.random.default_rng(0).normal(size=(2, N_FRAMES, N_MELS)).astype(np.float32)
    odds = free(x).numpy() / (1 - free(x).numpy())
    softmax = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax, exclusive(x).numpy(), atol=1e-5)
