"""What tflite-runtime 2.14, the engine of 32-bit Raspberry Pis, has of TFLite's operators."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from edge_genre.convert.tflite.flatbuffer import parse
from edge_genre.convert.verify.graph_facts import operator_name
from edge_genre.errors import ConversionError
from edge_genre.model.container import split

# Newest version of each operator in tflite-runtime 2.14, found by loading a graph of each operator
# in each version: of what is newer, or is not here, it says "Didn't find op".
_TFLITE_RUNTIME = {
    name: version
    for version, names in {
        1: """
        ADD_N ASSIGN_VARIABLE ATAN2 BITCAST BITWISE_XOR BROADCAST_ARGS BUCKETIZE CALL_ONCE CEIL
        COMPLEX_ABS CONV_3D CONV_3D_TRANSPOSE COS CUMSUM DENSIFY DYNAMIC_UPDATE_SLICE ELU
        EMBEDDING_LOOKUP_SPARSE EXPAND_DIMS FLOOR HARD_SWISH HASHTABLE HASHTABLE_FIND
        HASHTABLE_IMPORT HASHTABLE_LOOKUP HASHTABLE_SIZE IF IMAG L2_POOL_2D
        LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LSH_PROJECTION
        MATRIX_DIAG MATRIX_SET_DIAG MULTINOMIAL NEG NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5
        ONE_HOT POW PRELU RANDOM_STANDARD_NORMAL RANDOM_UNIFORM RANK READ_VARIABLE REAL REDUCE_ALL
        REDUCE_ANY RELU_0_TO_1 RELU_N1_TO_1 RESHAPE REVERSE_SEQUENCE RFFT2D RIGHT_SHIFT ROUND
        SCATTER_ND SEGMENT_SUM SHAPE SIN SKIP_GRAM SQRT SQUARE UNIQUE UNSORTED_SEGMENT_MAX
        UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_SUM VAR_HANDLE WHILE
        ZEROS_LIKE
    """,
        2: """
        DEPTH_TO_SPACE DIV EXP FAKE_QUANT FLOOR_MOD GELU GREATER L2_NORMALIZATION LEAKY_RELU
        LESS_EQUAL LOG_SOFTMAX RANGE REDUCE_PROD RSQRT SELECT_V2 SIGN SPACE_TO_DEPTH SPLIT_V
        SQUARED_DIFFERENCE SQUEEZE SUM WHERE
    """,
        3: """
        ARG_MAX ARG_MIN AVERAGE_POOL_2D BIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_RNN
        BROADCAST_TO EMBEDDING_LOOKUP FLOOR_DIV GREATER_EQUAL LESS LOGISTIC MAX_POOL_2D MEAN
        MIRROR_PAD NOT_EQUAL QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 REVERSE_V2 RNN SOFTMAX
        SPARSE_TO_DENSE TANH TILE TOPK_V2 UNIDIRECTIONAL_SEQUENCE_RNN
    """,
        4: """
        BATCH_MATMUL BATCH_TO_SPACE_ND CONCATENATION EQUAL FILL GATHER_ND LSTM MAXIMUM MINIMUM
        PACK PAD PADV2 RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SELECT SPACE_TO_BATCH_ND SPLIT SVDF
        TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
    """,
        5: """
        ABS ADD CAST DEQUANTIZE SUB
    """,
        6: """
        GATHER SLICE TRANSPOSE
    """,
        7: """
        CONV_2D DEPTHWISE_CONV_2D MUL
    """,
        8: """
        STRIDED_SLICE
    """,
        10: """
        FULLY_CONNECTED
    """,
    }.items()
    for name in names.split()
}


def unknown_to_tflite_runtime(content: bytes) -> list[str]:
    """Operators of a TFLite file that tflite-runtime 2.14 does not have, each with its version.

    A file without any loads; whether it runs correctly is another matter.

    Raises
    ------
    ModelError, ConversionError
        It is no TFLite file, or a damaged one.
    """
    graph, _ = split(content)
    model = parse(graph)
    return [
        f"{operator_name(code)} version {code.version}"
        for code in model.operatorCodes
        if code.customCode or code.version > _TFLITE_RUNTIME.get(operator_name(code), 0)
    ]


def require_tflite_runtime(content: bytes) -> None:
    """Refuse a TFLite file that tflite-runtime 2.14 does not load; nothing is run.

    Raises
    ------
    ModelError, ConversionError
        It has operators that are not there, which the message names, or is no TFLite file.
    """
    unknown = unknown_to_tflite_runtime(content)
    if unknown:
        raise ConversionError(
            f"tflite-runtime 2.14 does not have {', '.join(unknown)}: make the file for "
            "--target litert, or change the layers that need it"
        )


def available() -> bool:
    """Whether tflite-runtime runs here: it is installed, beside the NumPy that it was built for."""
    return find_spec("tflite_runtime") is not None and int(np.__version__.partition(".")[0]) < 2
