r"""Recurrent layers in a form that small engines run well.

With the gates in Keras's order, W the kernel, U the recurrent kernel, b and c the input's and the
recurrent bias, and * elementwise, a GRU computes

    z_t = sigmoid(x_t W_z + b_z + h_{t-1} U_z + c_z)              update gate
    r_t = sigmoid(x_t W_r + b_r + h_{t-1} U_r + c_r)              reset gate
    g_t = tanh(x_t W_h + b_h + r_t * (h_{t-1} U_h + c_h))         candidate
    h_t = z_t * h_{t-1} + (1 - z_t) * g_t

where ``reset_after=False`` has (r_t * h_{t-1}) U_h instead, and an LSTM

    i_t, f_t, o_t = sigmoid(x_t W + b + h_{t-1} U + c)            input, forget and output gate
    g_t = tanh(x_t W_g + b_g + h_{t-1} U_g + c_g)                 candidate
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)

Sources: K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical
Machine Translation", EMNLP 2014, eq. 5-8, with the reset gate before or after the recurrent product
(after it, as in NVIDIA's cuDNN and ONNX's ``linear_before_reset=1``); F. Gers et al., "Learning to
Forget", Neural Computation 12 (2000).

TFLite makes a WHILE loop of either, which cannot be calibrated for int8 and pays for every step.
``write_out`` writes the steps out instead; `edge_genre.convert.tflite.written_out` does so for
Keras layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf

# A step costs about 13 operators and, in int8, some kilobytes of quantization parameters: past
# this length the loop makes the better file.
MAX_UNROLLED_STEPS = 64

Activation = Callable[[Any], Any]
State = tuple[Any, ...]


class Cell(Protocol):
    """One step of a recurrent layer, batch first; weights are arrays, tensors or variables."""

    @property
    def units(self) -> int:
        """Size of each part of the state."""

    @property
    def n_states(self) -> int:
        """Parts of the state; the first is what the cell gives."""

    def project(self, inputs: Any) -> State:
        """Take the input products of many steps at once: (n, features) -> parts (n, ...)."""

    def step(self, projected: State, state: State) -> State:
        """Go one step: projected parts (batch, ...), state (batch, units) -> the next state."""


@dataclass(frozen=True)
class GRUCell:
    """A GRU's step.

    Parameters
    ----------
    kernel : (features, 3 units), gates in the order z, r, h.
    recurrent_kernel : (units, 3 units).
    bias : (3 units,), b and all of c that is added outside the brackets of r; None for none.
    candidate_bias : (units,), c_h inside the brackets; None for none.
    reset_after : r multiplies the recurrent product, not the state before it.
    """

    kernel: Any
    recurrent_kernel: Any
    bias: Any = None
    candidate_bias: Any = None
    reset_after: bool = True
    activation: Activation = tf.tanh
    recurrent_activation: Activation = tf.sigmoid

    n_states = 1

    @classmethod
    def with_biases(
        cls,
        kernel: Any,
        recurrent_kernel: Any,
        input_bias: Any,
        recurrent_bias: Any,
        **options: Any,
    ) -> GRUCell:
        """Make a cell of two biases, (3 units,) each.

        The recurrent bias of z and r is a constant term of their sum: it is added to the input's,
        once for all steps. That of the candidate stays inside the brackets that r multiplies.
        """
        units = recurrent_kernel.shape[0]
        if not options.get("reset_after", True):
            return cls(kernel, recurrent_kernel, input_bias + recurrent_bias, **options)
        bias = input_bias + tf.pad(recurrent_bias[: 2 * units], [[0, units]])
        return cls(kernel, recurrent_kernel, bias, recurrent_bias[2 * units :], **options)

    @property
    def units(self) -> int:
        return int(self.recurrent_kernel.shape[0])

    def project(self, inputs: Any) -> State:
        gates = 2 * self.units
        projected = _affine(inputs, self.kernel, self.bias)
        return projected[:, :gates], projected[:, gates:]

    def step(self, projected: State, state: State) -> State:
        (gate_input, candidate_input), (state,), gates = projected, state, 2 * self.units
        # A recurrent product without bias: for int8 each step has a scale of its own, and would
        # have its own copy of a bias.
        if self.reset_after:
            recurrent = tf.matmul(state, self.recurrent_kernel)
            update, reset = self._gates(gate_input + recurrent[:, :gates])
            inner = recurrent[:, gates:]
            if self.candidate_bias is not None:
                inner += self.candidate_bias
            inner = reset * inner
        else:
            recurrent = tf.matmul(state, self.recurrent_kernel[:, :gates])
            update, reset = self._gates(gate_input + recurrent)
            inner = tf.matmul(reset * state, self.recurrent_kernel[:, gates:])
        candidate = self.activation(candidate_input + inner)
        return (candidate + update * (state - candidate),)

    def _gates(self, values: Any) -> Any:
        return tf.split(self.recurrent_activation(values), 2, axis=1)


@dataclass(frozen=True)
class LSTMCell:
    """An LSTM's step.

    Parameters
    ----------
    kernel : (features, 4 units), gates in the order i, f, o, g, so that one operator computes the
        three that share their activation.
    recurrent_kernel : (units, 4 units).
    bias : (4 units,), b + c; None for none.
    activation : of the candidate.
    output_activation : of the cell's state.
    """

    kernel: Any
    recurrent_kernel: Any
    bias: Any = None
    activation: Activation = tf.tanh
    recurrent_activation: Activation = tf.sigmoid
    output_activation: Activation = tf.tanh

    n_states = 2

    @property
    def units(self) -> int:
        return int(self.recurrent_kernel.shape[0])

    def project(self, inputs: Any) -> State:
        gates = 3 * self.units
        projected = _affine(inputs, self.kernel, self.bias)
        return projected[:, :gates], projected[:, gates:]

    def step(self, projected: State, state: State) -> State:
        (gate_input, candidate_input), (hidden, memory) = projected, state
        gates = 3 * self.units
        recurrent = tf.matmul(hidden, self.recurrent_kernel)
        activated = self.recurrent_activation(gate_input + recurrent[:, :gates])
        enter, forget, leave = tf.split(activated, 3, axis=1)
        candidate = self.activation(candidate_input + recurrent[:, gates:])
        memory = forget * memory + enter * candidate
        return leave * self.output_activation(memory), memory


@dataclass(frozen=True)
class SimpleCell:
    """The step h_t = tanh(x_t W + b + h_{t-1} U) of an Elman network."""

    kernel: Any
    recurrent_kernel: Any
    bias: Any = None
    activation: Activation = tf.tanh

    n_states = 1

    @property
    def units(self) -> int:
        return int(self.recurrent_kernel.shape[0])

    def project(self, inputs: Any) -> State:
        return (_affine(inputs, self.kernel, self.bias),)

    def step(self, projected: State, state: State) -> State:
        return (self.activation(projected[0] + tf.matmul(state[0], self.recurrent_kernel)),)


def write_out(
    cell: Cell, inputs: Any, *, initial: State | None = None, reverse: bool = False
) -> tuple[list[Any], State]:
    """Run a cell over a fixed number of steps without a loop.

    Parameters
    ----------
    cell : what each step does.
    inputs : (batch, steps, features) float32; ``steps`` is fixed.
    initial : first state, (batch, units) each; None for zeros.
    reverse : from the last step to the first.

    Returns
    -------
    The outputs (batch, units) in the order in which they were computed, and the last state.
    """
    steps = inputs.shape[1]
    parts = [tf.unstack(part, axis=1) for part in _projected(cell, inputs)]
    state = _first_state(cell, parts[0][0], initial)
    outputs = []
    for step in reversed(range(steps)) if reverse else range(steps):
        state = cell.step(tuple(part[step] for part in parts), state)
        outputs.append(state[0])
    return outputs, state


def loop(
    cell: Cell, inputs: Any, *, initial: State | None = None, reverse: bool = False
) -> tuple[Any, State]:
    """Run a cell in a while loop.

    Parameters and results are those of ``write_out``, with the outputs stacked to
    (batch, steps, units).
    """
    batch, steps, _ = inputs.shape
    parts = _projected(cell, inputs)
    outputs = tf.TensorArray(tf.float32, steps, element_shape=(batch, cell.units))

    def body(step: Any, outputs: Any, state: State) -> tuple[Any, Any, State]:
        at = steps - 1 - step if reverse else step
        state = cell.step(tuple(tf.gather(part, at, axis=1) for part in parts), state)
        return step + 1, outputs.write(step, state[0]), state

    first = _first_state(cell, parts[0][:, 0], initial)
    _, outputs, state = tf.while_loop(
        lambda step, *_: step < steps, body, (0, outputs, first), maximum_iterations=steps
    )
    return tf.transpose(outputs.stack(), (1, 0, 2)), state


def _projected(cell: Cell, inputs: Any) -> list[Any]:
    steps, features = inputs.shape[1:]
    # One matrix of all steps, so that TFLite sees a fully connected layer.
    parts = cell.project(tf.reshape(inputs, (-1, features)))
    return [tf.reshape(part, (-1, steps, part.shape[-1])) for part in parts]


def _first_state(cell: Cell, like: Any, initial: State | None) -> State:
    """The first state; zeros are constants wherever the batch is."""
    if initial is not None:
        return initial
    batch = like.shape[0] if like.shape[0] is not None else tf.shape(like)[0]
    return (tf.zeros((batch, cell.units)),) * cell.n_states


def _affine(inputs: Any, kernel: Any, bias: Any) -> Any:
    product = tf.matmul(inputs, kernel)
    return product if bias is None else product + bias
