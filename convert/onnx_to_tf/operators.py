"""All operators: each group registers its own when it is imported."""

from edge_genre.convert.onnx_to_tf import (  # noqa: F401
    elementwise,
    normalisation,
    pooling,
    products,
    recurrence,
    reductions,
    shapes,
)
from edge_genre.convert.onnx_to_tf.registry import OPERATORS

__all__ = ["OPERATORS"]
