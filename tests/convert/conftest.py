"""Models with random weights, windows to run them on, and the real engines to run them with."""

import keras
import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers, ops

STEPS, MELS, CLASSES = 39, 128, 8


class AttentionPooling(layers.Layer):
    """SongNet's attention: softmax over time of tanh(x W + b), b one entry a step; weighted sum."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 1))
        self.bias = self.add_weight(name="bias", shape=(input_shape[1], 1))

    def call(self, inputs):
        weights = ops.softmax(ops.tanh(ops.matmul(inputs, self.kernel) + self.bias), axis=1)
        return ops.sum(inputs * weights, axis=1)


def with_random_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give all weights values that a trained model could have, so that each one matters.

    Freshly made, biases are 0 and batch normalisation does nothing: a converter could lose them
    unnoticed. The last layer is enlarged, for else all probabilities are near 1 / classes.
    """
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = np.asarray(weight)
        noise = np.abs(rng.normal(0, 0.1, value.shape))  # a variance stays positive
        fan_in = np.prod(value.shape[:-1])
        is_vector = value.ndim == 1 or weight.name == "bias"
        weight.assign(value + noise if is_vector else rng.normal(0, fan_in**-0.5, value.shape))
    last = model.layers[-1].kernel
    last.assign(last * 4)
    return model


@pytest.fixture(scope="session")
def songnet() -> keras.Model:
    """SongNet as published, over 39 steps instead of 1,292: 4 GRU steps."""
    tensor = inputs = keras.Input((STEPS, MELS))
    for filters in (64, 128, 256):
        tensor = layers.Conv1D(filters, 3, padding="same")(tensor)
        tensor = layers.BatchNormalization()(tensor)
        tensor = layers.ReLU()(tensor)
        tensor = layers.Dropout(0.3)(tensor)
        tensor = layers.MaxPooling1D(2)(tensor)
    tensor = layers.GRU(128, return_sequences=True, name="recurrent")(tensor)
    tensor = AttentionPooling()(tensor)
    tensor = layers.Dense(128, activation="relu")(tensor)
    outputs = layers.Dense(CLASSES, activation="softmax")(tensor)
    return with_random_weights(keras.Model(inputs, outputs, name="songnet"))


@pytest.fixture(scope="session")
def cnn() -> keras.Model:
    """A sequential model without anything recurrent."""
    return with_random_weights(
        keras.Sequential(
            [
                keras.Input((STEPS, MELS)),
                layers.Reshape((STEPS, MELS, 1)),
                layers.Conv2D(8, 3, strides=2, activation="relu"),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(CLASSES, activation="softmax"),
            ]
        )
    )


@pytest.fixture(scope="session")
def windows() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(48, STEPS, MELS)).astype(np.float32)


@pytest.fixture(scope="session")
def calibration() -> np.ndarray:
    """Windows of the same distribution, but others."""
    return np.random.default_rng(2).normal(size=(64, STEPS, MELS)).astype(np.float32)


def run_tflite(content: bytes, windows: np.ndarray) -> np.ndarray:
    """Outputs of LiteRT, one thread, one window at a time."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for window in windows:
        interpreter.set_tensor(source["index"], window[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(outputs)


def run_onnx(content: bytes, windows: np.ndarray) -> np.ndarray:
    """Outputs of ONNX Runtime on the CPU, all windows in one batch."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    return session.run(None, {source.name: windows})[0]


@pytest.fixture(scope="session", name="run_tflite")
def _run_tflite():
    return run_tflite


@pytest.fixture(scope="session", name="run_onnx")
def _run_onnx():
    return run_onnx


@pytest.fixture(scope="session", name="with_random_weights")
def _with_random_weights():
    return with_random_weights
