import keras
import numpy as np
import pytest
from keras import layers

from edge_genre.convert.tflite.written_out import WrittenOut, write_out_recurrent
from edge_genre.errors import ConversionError


def model_of(layer, steps: int = 12) -> keras.Model:
    inputs = keras.Input((steps, 5))
    model = keras.Model(inputs, layer(inputs))
    for index, weight in enumerate(model.weights):
        weight.assign(np.random.default_rng(index).normal(0, 0.5, weight.shape))
    return model


def kinds(model: keras.Model) -> list[type]:
    return [type(layer) for layer in model.layers]


def assert_same_outputs(model: keras.Model, other: keras.Model) -> None:
    shape = model.inputs[0].shape[1:]
    windows = np.random.default_rng(3).normal(size=(6, *shape)).astype(np.float32)
    expected = model.predict(windows, verbose=0)
    np.testing.assert_allclose(other.predict(windows, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (layers.GRU, {}),
        (layers.GRU, {"reset_after": False}),
        (layers.GRU, {"use_bias": False}),
        (layers.GRU, {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
        (layers.GRU, {"go_backwards": True}),
        (layers.LSTM, {}),
        (layers.LSTM, {"use_bias": False, "go_backwards": True}),
        (layers.LSTM, {"activation": "softsign", "recurrent_activation": "hard_sigmoid"}),
        (layers.SimpleRNN, {}),
    ],
)
def test_written_out_layers_equal_keras(kind, options, return_sequences):
    model = model_of(kind(7, return_sequences=return_sequences, **options))
    written_out = write_out_recurrent(model)
    assert WrittenOut in kinds(written_out)
    assert_same_outputs(model, written_out)


@pytest.mark.parametrize("return_sequences", [True, False])
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave", "mul"])
def test_both_directions_equal_keras(merge_mode, return_sequences):
    inner = layers.LSTM(7, return_sequences=return_sequences)
    model = model_of(layers.Bidirectional(inner, merge_mode=merge_mode))
    written_out = write_out_recurrent(model)
    assert WrittenOut in kinds(written_out)
    assert_same_outputs(model, written_out)


def test_two_directions_of_different_kinds_equal_keras():
    backward = layers.GRU(4, reset_after=False, go_backwards=True, return_sequences=True)
    layer = layers.Bidirectional(layers.LSTM(3, return_sequences=True), backward_layer=backward)
    model = model_of(layer)
    assert_same_outputs(model, write_out_recurrent(model))


def test_a_written_out_layer_is_rebuilt_from_its_configuration():
    layer = WrittenOut(layers.LSTM(7, return_sequences=True, name="recurrent"))
    again = WrittenOut.from_config(layer.get_config())
    assert again.name == "recurrent"
    assert again.layer.get_config() == layer.layer.get_config()


def test_long_layers_stay_unless_all_are_asked_for():
    def is_written_out(steps: int, *limit: int | None) -> bool:
        return WrittenOut in kinds(write_out_recurrent(model_of(layers.GRU(7), steps), *limit))

    assert is_written_out(64)
    assert not is_written_out(65)
    assert not is_written_out(12, 11)
    assert is_written_out(65, None)


def given_first_state() -> keras.Model:
    inputs = keras.Input((12, 5))
    state = layers.Dense(7)(inputs[:, 0])
    return keras.Model(inputs, layers.GRU(7)(inputs, initial_state=state))


def own_cell() -> keras.Model:
    return model_of(layers.RNN([layers.GRUCell(7), layers.LSTMCell(3)]))


@pytest.mark.parametrize("make", [given_first_state, own_cell])
def test_other_recurrent_layers_stay_or_are_unrolled_by_keras(make):
    model = make()
    recurrent = next(
        index for index, layer in enumerate(model.layers) if isinstance(layer, layers.RNN)
    )
    for max_steps, unroll in ((64, False), (None, True)):
        copy = write_out_recurrent(model, max_steps)
        assert kinds(copy) == kinds(model)
        assert copy.layers[recurrent].unroll is unroll
        assert_same_outputs(model, copy)


def test_a_layer_called_twice_keeps_one_set_of_weights():
    inputs = keras.Input((12, 5))
    shared = layers.GRU(5, return_sequences=True)
    model = keras.Model(inputs, shared(shared(inputs)))
    written_out = write_out_recurrent(model)
    assert len(written_out.weights) == 3
    assert_same_outputs(model, written_out)


def test_a_first_state_in_a_later_call_is_refused_instead_of_lost():
    inputs = keras.Input((12, 5))
    shared = layers.GRU(5, return_sequences=True)
    outputs = shared(inputs, initial_state=shared(inputs)[:, -1])
    with pytest.raises(ConversionError, match="first state"):
        write_out_recurrent(keras.Model(inputs, outputs))


def test_layers_of_nested_models_are_written_out():
    inputs = keras.Input((12, 5))
    model = keras.Model(inputs, layers.Dense(3)(model_of(layers.GRU(7))(inputs)))
    written_out = write_out_recurrent(model)
    assert WrittenOut in kinds(written_out.layers[1])
    assert_same_outputs(model, written_out)
