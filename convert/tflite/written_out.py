"""Recurrent layers of Keras, written out by `edge_genre.convert.tflite.recurrent`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from edge_genre.convert.tflite.keras_models import copy_model
from edge_genre.convert.tflite.recurrent import (
    MAX_UNROLLED_STEPS,
    Cell,
    GRUCell,
    LSTMCell,
    SimpleCell,
    write_out,
)
from edge_genre.errors import ConversionError


def can_write_out(layer: keras.layers.Layer) -> bool:
    """Whether a called layer is a recurrent one that ``WrittenOut`` can stand for.

    That is: a GRU, LSTM or simple recurrent layer, or two of them in a ``Bidirectional``;
    stateless, starting from zero and returning its outputs only.
    """
    if isinstance(layer.input, (list, tuple)):  # a first state, too
        return False
    # By type: a subclass may compute something else.
    if type(layer) is keras.layers.Bidirectional:
        directions = (layer.forward_layer, layer.backward_layer)
        return layer.merge_mode is not None and all(map(_is_plain, directions))
    return _is_plain(layer)


def _is_plain(layer: keras.layers.Layer) -> bool:
    return type(layer) in _CELLS and not (layer.stateful or layer.return_state)


class WrittenOut(keras.layers.Layer):
    """A recurrent layer over a fixed number of steps, without a loop and with the same weights.

    The input product is taken once for all steps, and each step takes one recurrent product for
    all gates. Of the arrangements measured on SongNet none was faster, and none made a smaller
    int8 file.

    Parameters
    ----------
    layer : the recurrent layer, see ``can_write_out``.

    Input: (batch, steps, features) float32; ``steps`` is fixed.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(**{"name": layer.name, "dtype": layer.dtype_policy, **kwargs})
        self.layer = layer

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.layer.build(input_shape)

    # The other arguments are those of the layer's call, which a copied graph repeats.
    def call(
        self, inputs: Any, initial_state: Any = None, mask: Any = None, training: object = None
    ) -> Any:
        if initial_state is not None or mask is not None:
            raise ConversionError(f"layer {self.name!r} is unrolled without a first state or mask")
        if not isinstance(self.layer, keras.layers.Bidirectional):
            return _keras_output(self.layer, inputs)
        # Bidirectional turns the backward outputs around, so that both have the steps' order.
        forward = _keras_output(self.layer.forward_layer, inputs)
        backward = _keras_output(self.layer.backward_layer, inputs, turned=True)
        return _MERGES[self.layer.merge_mode](forward, backward)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WrittenOut:
        layer = keras.saving.deserialize_keras_object(config.pop("layer"))
        return cls(layer, **config)


def _keras_output(layer: keras.layers.Layer, inputs: Any, *, turned: bool = False) -> Any:
    """What a layer gives, written out: its steps in the order of computation, or ``turned``."""
    cell = _CELLS[type(layer)](layer)
    outputs, _ = write_out(cell, inputs, reverse=layer.go_backwards)
    if not layer.return_sequences:
        return outputs[-1]
    return tf.stack(outputs[::-1] if turned else outputs, axis=1)


def _gru_cell(layer: keras.layers.GRU) -> GRUCell:
    cell = layer.cell
    options = {
        "reset_after": bool(cell.reset_after),
        "activation": cell.activation,
        "recurrent_activation": cell.recurrent_activation,
    }
    kernel, recurrent_kernel = _tensor(cell.kernel), _tensor(cell.recurrent_kernel)
    if not cell.use_bias:
        return GRUCell(kernel, recurrent_kernel, **options)
    bias = _tensor(cell.bias)
    if not cell.reset_after:
        return GRUCell(kernel, recurrent_kernel, bias, **options)
    return GRUCell.with_biases(kernel, recurrent_kernel, bias[0], bias[1], **options)


def _lstm_cell(layer: keras.layers.LSTM) -> LSTMCell:
    cell = layer.cell
    return LSTMCell(
        _candidate_last(_tensor(cell.kernel)),
        _candidate_last(_tensor(cell.recurrent_kernel)),
        _candidate_last(_tensor(cell.bias)) if cell.use_bias else None,
        cell.activation,
        cell.recurrent_activation,
        cell.activation,
    )


def _simple_cell(layer: keras.layers.SimpleRNN) -> SimpleCell:
    cell = layer.cell
    bias = _tensor(cell.bias) if cell.use_bias else None
    return SimpleCell(_tensor(cell.kernel), _tensor(cell.recurrent_kernel), bias, cell.activation)


def _candidate_last(weights: Any) -> Any:
    """Keras's gate order i, f, g, o as i, f, o, g."""
    enter, forget, candidate, leave = tf.split(weights, 4, axis=-1)
    return tf.concat([enter, forget, leave, candidate], axis=-1)


def _tensor(variable: Any) -> Any:
    return tf.convert_to_tensor(variable)


_CELLS: dict[type[keras.layers.Layer], Callable[[Any], Cell]] = {
    keras.layers.GRU: _gru_cell,
    keras.layers.LSTM: _lstm_cell,
    keras.layers.SimpleRNN: _simple_cell,
}
_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "concat": lambda forward, backward: tf.concat([forward, backward], axis=-1),
    "sum": tf.add,
    "ave": lambda forward, backward: (forward + backward) / 2,
    "mul": tf.multiply,
}


def write_out_recurrent(
    model: keras.Model, max_steps: int | None = MAX_UNROLLED_STEPS
) -> keras.Model:
    """Copy a model with its recurrent layers of at most ``max_steps`` steps written out.

    Same weights, same output up to rounding. Where ``WrittenOut`` cannot stand for a layer (own
    cells, a first state, stateful layers), it stays as it is, unless every length is asked for:
    then Keras's own unrolling is switched on.

    Parameters
    ----------
    model : built functional or sequential model.
    max_steps : None for any number.

    Raises
    ------
    ConversionError
        the model cannot be copied.
    """

    def written_out(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        if not isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)):
            return None
        if not can_write_out(layer):
            return None if max_steps is not None else _unrolled_by_keras(layer)
        steps = layer.input.shape[1]
        if steps is None or (max_steps is not None and steps > max_steps):
            return None
        return WrittenOut(type(layer).from_config(layer.get_config()))

    # Keras knows the input of a layer's first call, which may have been in another model of the
    # caller's. In the first copy it is this model's.
    return copy_model(copy_model(model), written_out)


def _unrolled_by_keras(layer: keras.layers.Layer) -> keras.layers.Layer:
    config = layer.get_config()
    if isinstance(layer, keras.layers.Bidirectional):
        for key in ("layer", "backward_layer"):
            if config.get(key):
                config[key]["config"]["unroll"] = True
    else:
        config["unroll"] = True
    return type(layer).from_config(config)
