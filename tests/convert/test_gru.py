import keras
import numpy as np
import pytest
from keras import layers

from edge_genre.convert.gru import UnrolledGRU, is_standard, unroll_short_grus
from edge_genre.errors import ConversionError


def gru_model(steps: int = 12, **options) -> keras.Model:
    inputs = keras.Input((steps, 5))
    return keras.Model(inputs, layers.GRU(7, **options)(inputs))


def kinds(model: keras.Model) -> list[type]:
    return [type(layer) for layer in model.layers]


@pytest.mark.parametrize("return_sequences", [True, False])
def test_unrolled_gru_equals_keras(return_sequences):
    model = gru_model(return_sequences=return_sequences)
    for index, weight in enumerate(model.weights):
        weight.assign(np.random.default_rng(index).normal(0, 0.5, weight.shape))
    unrolled = unroll_short_grus(model)
    assert UnrolledGRU in kinds(unrolled)
    windows = np.random.default_rng(3).normal(size=(6, 12, 5)).astype(np.float32)
    expected = model.predict(windows, verbose=0)
    np.testing.assert_allclose(unrolled.predict(windows, verbose=0), expected, atol=1e-5)


def test_unrolled_gru_is_rebuilt_from_its_configuration():
    layer = UnrolledGRU(7, return_sequences=True, name="recurrent")
    assert UnrolledGRU.from_config(layer.get_config()).get_config() == layer.get_config()


def test_long_grus_stay():
    assert UnrolledGRU in kinds(unroll_short_grus(gru_model(steps=64)))
    assert UnrolledGRU not in kinds(unroll_short_grus(gru_model(steps=65)))
    assert UnrolledGRU not in kinds(unroll_short_grus(gru_model(steps=12), max_steps=11))


@pytest.mark.parametrize(
    "options",
    [
        {"reset_after": False},
        {"use_bias": False},
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"go_backwards": True},
    ],
)
def test_grus_of_another_kind_stay(options):
    model = gru_model(**options)
    assert not is_standard(model.layers[-1])
    unrolled = unroll_short_grus(model)
    assert kinds(unrolled) == kinds(model)
    windows = np.ones((2, 12, 5), np.float32)
    np.testing.assert_array_equal(
        unrolled.predict(windows, verbose=0), model.predict(windows, verbose=0)
    )


def test_a_gru_with_a_given_first_state_stays():
    inputs = keras.Input((12, 5))
    state = layers.Dense(7)(inputs[:, 0])
    model = keras.Model(inputs, layers.GRU(7)(inputs, initial_state=state))
    assert UnrolledGRU not in kinds(unroll_short_grus(model))


def test_a_gru_called_twice_keeps_one_set_of_weights():
    inputs = keras.Input((12, 5))
    shared = layers.GRU(5, return_sequences=True)
    model = keras.Model(inputs, shared(shared(inputs)))
    unrolled = unroll_short_grus(model)
    assert len(unrolled.weights) == 3
    windows = np.random.default_rng(4).normal(size=(6, 12, 5)).astype(np.float32)
    np.testing.assert_allclose(
        unrolled.predict(windows, verbose=0), model.predict(windows, verbose=0), atol=1e-5
    )


def test_a_first_state_in_a_later_call_is_refused_instead_of_lost():
    inputs = keras.Input((12, 5))
    shared = layers.GRU(5, return_sequences=True)
    outputs = shared(inputs, initial_state=shared(inputs)[:, -1])
    with pytest.raises(ConversionError, match="first state"):
        unroll_short_grus(keras.Model(inputs, outputs))


def test_grus_of_nested_models_are_unrolled():
    inputs = keras.Input((12, 5))
    model = keras.Model(inputs, layers.Dense(3)(gru_model()(inputs)))
    unrolled = unroll_short_grus(model)
    assert UnrolledGRU in kinds(unrolled.layers[1])
    windows = np.random.default_rng(4).normal(size=(6, 12, 5)).astype(np.float32)
    np.testing.assert_allclose(
        unrolled.predict(windows, verbose=0), model.predict(windows, verbose=0), atol=1e-5
    )
