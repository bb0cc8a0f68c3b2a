import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from edge_genre.convert.onnx.writer import keras_to_onnx
from edge_genre.convert.tflite.keras_models import copy_model, require_convertible
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.errors import ConversionError


def test_importing_the_package_does_not_import_tensorflow():
    code = "import sys, edge_genre.convert; print([n for n in sys.modules if 'tensorflow' in n])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_copies_share_nothing_and_leave_the_original_as_it_was(songnet, windows):
    before = songnet.predict(windows, verbose=0)
    copy = copy_model(songnet)
    np.testing.assert_array_equal(copy.predict(windows, verbose=0), before)
    for weight in copy.weights:
        weight.assign(weight + 1.0)
    np.testing.assert_array_equal(songnet.predict(windows, verbose=0), before)
    # Layers called anew would have two outputs, and Keras then refuses to say which.
    assert all(layer.output is not None for layer in songnet.layers)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def free_length() -> keras.Model:
    inputs = keras.Input((None, 4))
    return keras.Model(inputs, layers.GRU(3)(inputs))


def masked() -> keras.Model:
    inputs = keras.Input((6, 4))
    inner = keras.Sequential([keras.Input((6, 4)), layers.Masking(), layers.GRU(3)])
    return keras.Model(inputs, inner(inputs))


@pytest.mark.parametrize("convert", [keras_to_tflite, keras_to_onnx])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Subclassed, "expected a built functional"),
        (lambda: keras.Sequential([layers.Dense(2)]), "expected a built functional"),
        (free_length, "expected fixed lengths"),
        (masked, "masks time steps"),
    ],
)
def test_models_that_cannot_be_carried_over_are_refused(convert, make, message):
    with pytest.raises(ConversionError, match=message):
        convert(make())


def test_a_usual_model_is_accepted(songnet, cnn):
    require_convertible(songnet)
    require_convertible(cnn)


class Doubling(layers.Layer):
    """Its constructor takes an argument that Keras cannot know of."""

    def __init__(self, factors):
        super().__init__()
        self.factor = sum(factors)

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return layers.Layer.get_config(self)


def test_a_layer_without_a_configuration_is_named():
    inputs = keras.Input((4,))
    with pytest.raises(ConversionError, match="get_config"):
        copy_model(keras.Model(inputs, Doubling([1, 1])(inputs)))


class Bessel(layers.Layer):
    """Neither TFLite nor ONNX has this function."""

    def call(self, inputs):
        return tf.math.special.bessel_i0(inputs)


@pytest.mark.parametrize("convert", [keras_to_tflite, keras_to_onnx])
def test_operators_that_the_format_has_not_are_an_error(convert):
    inputs = keras.Input((4,))
    with pytest.raises(ConversionError, match="does not convert to"):
        convert(keras.Model(inputs, Bessel()(inputs)))
