r"""GRU layers in a form that small engines run well.

Keras's GRU with ``reset_after=True`` (its default) is the variant that cuDNN computes. With the
gates in Keras's order z, r, h, W the kernel, U the recurrent kernel, b and c the two rows of the
bias, and * elementwise:

    z_t = sigmoid(x_t W_z + b_z + h_{t-1} U_z + c_z)              update gate
    r_t = sigmoid(x_t W_r + b_r + h_{t-1} U_r + c_r)              reset gate
    g_t = tanh(x_t W_h + b_h + r_t * (h_{t-1} U_h + c_h))         candidate
    h_t = z_t * h_{t-1} + (1 - z_t) * g_t,    h_0 = 0

Source: K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical
Machine Translation", EMNLP 2014, eq. 5-8, with the reset gate applied after the recurrent product
as in NVIDIA's cuDNN (``CUDNN_GRU``) and in ONNX's GRU operator with ``linear_before_reset=1``.

TFLite has no GRU operator and turns the layer into a WHILE loop, which cannot be calibrated for
int8 and pays for every step. ``unroll_short_grus`` writes the steps out instead.
"""

from typing import Any

import keras
from keras import ops

from edge_genre.errors import ConversionError

from .keras_models import copy_model

# A step costs about 15 operators and, in int8, some kilobytes of quantization parameters: past
# this length the loop makes the better file.
MAX_UNROLLED_STEPS = 64


def is_standard(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a GRU that computes exactly the equations above.

    That is: forward, stateless, starting from zero, with bias and the default activations,
    returning its outputs only.
    """
    # A subclass may compute something else.
    return (
        type(layer) is keras.layers.GRU
        and layer.reset_after
        and layer.use_bias
        and layer.activation is keras.activations.tanh
        and layer.recurrent_activation is keras.activations.sigmoid
        and not (layer.go_backwards or layer.stateful or layer.return_state)
        and _input_shape(layer) is not None
    )


class UnrolledGRU(keras.layers.Layer):
    """A GRU over a fixed number of steps, without a loop, with the weights of ``keras.layers.GRU``.

    The input product is taken once for all steps, and each step takes one recurrent product for
    all gates and one sigmoid for update and reset gate together. Of the arrangements measured on
    SongNet none was faster, and only a slower one made a smaller int8 file.

    Parameters
    ----------
    units : size of the state.
    return_sequences : give all states (batch, steps, units), not only the last (batch, units).
    **kwargs : of ``keras.layers.Layer``.

    Input: (batch, steps, features) float32; ``steps`` is fixed. Weights, in Keras's order: kernel
    (features, 3 units), recurrent kernel (units, 3 units), bias (2, 3 units).
    """

    def __init__(self, units: int, *, return_sequences: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.return_sequences = return_sequences

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        gates = 3 * self.units
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], gates))
        self.recurrent_kernel = self.add_weight(name="recurrent_kernel", shape=(self.units, gates))
        self.bias = self.add_weight(name="bias", shape=(2, gates))

    # The other arguments are those of the GRU's call, which a copied graph repeats.
    def call(
        self, inputs: Any, initial_state: Any = None, mask: Any = None, training: object = None
    ) -> Any:
        if initial_state is not None or mask is not None:
            raise ConversionError(f"layer {self.name!r} is unrolled without a first state or mask")
        units, (steps, features) = self.units, inputs.shape[1:]
        # The recurrent bias of z and r is a constant term of their sum: add it here, once. That
        # of the candidate stays inside the brackets that r multiplies.
        recurrent_bias = self.bias[1]
        bias = self.bias[0] + ops.pad(recurrent_bias[: 2 * units], (0, units))
        # One matrix of all steps, so that TFLite sees a fully connected layer.
        flat = ops.matmul(ops.reshape(inputs, (-1, features)), self.kernel) + bias
        projected = ops.reshape(flat, (-1, steps, 3 * units))
        gate_inputs = ops.unstack(projected[:, :, : 2 * units], axis=1)
        candidate_inputs = ops.unstack(projected[:, :, 2 * units :], axis=1)

        state = ops.zeros_like(candidate_inputs[0])
        states = []
        for gate_input, candidate_input in zip(gate_inputs, candidate_inputs, strict=True):
            recurrent = ops.matmul(state, self.recurrent_kernel)
            gates = ops.sigmoid(gate_input + recurrent[:, : 2 * units])
            update, reset = gates[:, :units], gates[:, units:]
            candidate = ops.tanh(
                candidate_input + reset * (recurrent[:, 2 * units :] + recurrent_bias[2 * units :])
            )
            state = candidate + update * (state - candidate)
            states.append(state)
        return ops.stack(states, axis=1) if self.return_sequences else state

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "return_sequences": self.return_sequences,
        }


def unroll_short_grus(model: keras.Model, max_steps: int = MAX_UNROLLED_STEPS) -> keras.Model:
    """Copy a model with its standard GRUs of at most ``max_steps`` steps unrolled.

    Same weights, same output up to rounding. Other recurrent layers stay as they are.

    Raises
    ------
    ConversionError
        the model cannot be copied.
    """

    def unrolled(layer: keras.layers.Layer) -> UnrolledGRU | None:
        if not is_standard(layer):
            return None
        steps = _input_shape(layer)[1]
        if steps is None or steps > max_steps:
            return None
        return UnrolledGRU(
            layer.units,
            return_sequences=layer.return_sequences,
            name=layer.name,
            dtype=layer.dtype_policy,
        )

    # Keras knows the input of a layer's first call, which may have been in another model of the
    # caller's. In the first copy it is this model's.
    return copy_model(copy_model(model), unrolled)


def _input_shape(layer: keras.layers.Layer) -> Any:
    """Shape of the one tensor that the layer is first called on, None with a first state too."""
    return None if isinstance(layer.input, (list, tuple)) else layer.input.shape
