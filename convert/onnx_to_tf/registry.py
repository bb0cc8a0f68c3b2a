"""Which function makes TensorFlow operators of which ONNX operator.

Each function takes a ``Node`` and its operands, of which at least one depends on the graph's input
(``Value``), the others being constants (``numpy.ndarray``) or left out (None), and returns its
results. Meaning of operators and attributes: the ONNX operator specification.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from onnx import helper

from edge_genre.convert.onnx_to_tf.values import Operand, Value
from edge_genre.errors import ConversionError

Handler = Callable[..., Any]
OPERATORS: dict[str, Handler] = {}


class Node:
    """What an operator is told beside its operands.

    Parameters
    ----------
    proto : the node.
    opset : version of ONNX's operators.
    max_unrolled_steps : recurrent layers of more steps become loops; None for none.
    """

    def __init__(self, proto: onnx.NodeProto, opset: int, max_unrolled_steps: int | None) -> None:
        self.kind: str = proto.op_type
        self.n_outputs = len(proto.output)
        self.opset = opset
        self.max_unrolled_steps = max_unrolled_steps
        self._attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value, text as ``str``."""
        value = self._attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def numbers(self, name: str, operand: Operand | None = None) -> list[int] | None:
        """Integers that newer opsets take as a constant operand and older ones as an attribute."""
        if isinstance(operand, Value):
            raise ConversionError(f"{name} depends on the input: export with fixed lengths")
        if operand is not None:
            return [int(number) for number in operand.reshape(-1)]
        found = self.attribute(name)
        return None if found is None else [int(number) for number in found]


def operator(*kinds: str) -> Callable[[Handler], Handler]:
    """Register a function for operators of these kinds."""

    def register(handler: Handler) -> Handler:
        OPERATORS.update(dict.fromkeys(kinds, handler))
        return handler

    return register
