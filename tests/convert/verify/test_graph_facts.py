"""What is said of a graph, against graphs whose contents are known."""

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from onnx import TensorProto, helper

from edge_genre.convert.onnx.writer import keras_to_onnx
from edge_genre.convert.tflite.flatbuffer import compact, pack, parse, schema
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.convert.verify.graph_facts import (
    graph_facts,
    multiply_accumulates,
)
from edge_genre.errors import EdgeGenreError


def _recurrent(steps: int) -> keras.Model:
    inputs = keras.Input((steps, 6))
    return keras.Model(inputs, layers.Dense(4)(layers.GRU(8, name="recurrent")(inputs)))


def test_a_convolutional_network(cnn):
    facts = graph_facts(keras_to_tflite(cnn))
    assert facts.operators["CONV_2D"] == 1
    assert facts.operators["FULLY_CONNECTED"] == 1
    assert facts.input == ("float32", (1, 39, 128))
    assert facts.output == ("float32", (1, 8))
    assert facts.custom == ()
    assert facts.outside_xnnpack == {}
    assert (facts.layers, facts.in_8_bits) == (2, 0)
    assert facts.to_dict()["operators"] == facts.operators


@pytest.mark.parametrize(("quantize", "in_8_bits"), [("fp16", 0), ("int8", 2)])
def test_what_computes_in_8_bits(cnn, calibration, quantize, in_8_bits):
    given = {"calibration": [calibration], "integer_io": True} if quantize == "int8" else {}
    facts = graph_facts(keras_to_tflite(cnn, quantize=quantize, **given))
    assert facts.in_8_bits == in_8_bits
    assert facts.input[0] == ("int8" if quantize == "int8" else "float32")


def test_the_bodies_of_loops_count():
    """LiteRT lists the nodes of the first subgraph alone."""
    content = keras_to_tflite(_recurrent(130))
    facts = graph_facts(content)
    assert facts.operators["WHILE"] == 1
    assert facts.operators["TANH"] == 1  # inside the body
    assert facts.outside_xnnpack["WHILE"] == 1
    assert facts.outside_xnnpack["LESS"] >= 1  # in its condition
    written_out = graph_facts(keras_to_tflite(_recurrent(20)))
    assert "WHILE" not in written_out.operators
    assert written_out.operators["TANH"] == 20


def test_multiply_accumulates_are_those_of_a_hand_calculation():
    inputs = keras.Input((10, 12, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)  # 120 places x 8 x 27
    x = layers.DepthwiseConv2D((5, 1), padding="same")(x)  # 120 x 8 x 5
    x = layers.Flatten()(x)
    network = keras.Model(inputs, layers.Dense(7)(x))  # 960 x 7
    assert multiply_accumulates(keras_to_tflite(network)) == 25_920 + 4_800 + 6_720
    assert multiply_accumulates(keras_to_tflite(_recurrent(130))) is None


def test_an_onnx_file(cnn):
    facts = graph_facts(keras_to_onnx(cnn))
    assert facts.operators["Conv"] == 1
    assert facts.input[1][-2:] == (39, 128)
    assert facts.versions == facts.outside_xnnpack == {}
    assert graph_facts(keras_to_onnx(_recurrent(130))).operators["GRU"] == 1


def test_operators_of_other_domains_are_custom():
    node = helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "custom", values[:1], values[1:]))
    facts = graph_facts(model.SerializeToString())
    assert facts.custom == ("FusedConv",)
    assert facts.input == ("float32", ("n", 3))


def test_a_custom_operator_of_tflite_is_named_though_it_does_not_load(cnn):
    model = parse(keras_to_tflite(cnn))
    model.operatorCodes[0].customCode = b"FlexTensorListReserve"
    facts = graph_facts(pack(model))
    assert facts.custom == ("FlexTensorListReserve",)
    assert facts.outside_xnnpack == {}


def test_a_graph_that_was_read_and_written_gives_the_same(cnn, windows, run_tflite):
    content = keras_to_tflite(cnn)
    np.testing.assert_array_equal(
        run_tflite(pack(parse(content)), windows), run_tflite(content, windows)
    )


def test_damaged_files_are_refused(cnn):
    for content in (keras_to_tflite(cnn)[:300], onnx.ModelProto().SerializeToString() + b"\x08"):
        with pytest.raises(EdgeGenreError, match=r"damaged|only a part"):
            graph_facts(content)


def test_equal_vectors_are_written_once():
    """As in a small int8 network, whose zero points are all 0."""
    types = schema()
    model = parse(keras_to_tflite(keras.Sequential([keras.Input((4,)), layers.Dense(3)])))
    tensors = model.subgraphs[0].tensors
    before = len(pack(model))
    for tensor in tensors:
        tensor.quantization = types.QuantizationParametersT()
        tensor.quantization.scale = np.linspace(1, 2, 500, dtype=np.float32)
        tensor.quantization.zeroPoint = np.zeros(500, np.int64)
    grown = pack(model)
    assert 500 * 12 <= len(grown) - before <= 500 * 12 + 100 * len(tensors)
    for tensor in parse(compact(grown)).subgraphs[0].tensors:
        np.testing.assert_array_equal(tensor.quantization.scale, np.linspace(1, 2, 500, dtype="f"))
        assert len(tensor.quantization.zeroPoint) == 500
        assert not tensor.quantization.zeroPoint.any()
