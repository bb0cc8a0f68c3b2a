"""The last operator, found in every kind of model, behind what only passes values on."""

from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from keras import layers, ops

from edge_genre.convert.outputs.activations import of_tflite
from edge_genre.convert.sources import open_model
from edge_genre.convert.tensors import one_input
from edge_genre.convert.tflite.writer import keras_to_tflite
from tests.support.requirements import require_package
from tests.support.sources import noise


class Own(layers.Layer):
    """Nothing of Keras's own names what it computes."""

    def call(self, inputs):
        return ops.sigmoid(inputs)


ENDS = {
    "dense": lambda x: layers.Dense(3, activation="sigmoid")(x),
    "layer": lambda x: layers.Softmax()(layers.Dense(3)(x)),
    "reshaped": lambda x: layers.Reshape((3,))(
        layers.Activation("sigmoid")(layers.Reshape((1, 3))(layers.Dense(3)(x)))
    ),
    "own": lambda x: Own()(layers.Dense(3)(x)),
    "nested": lambda x: keras.Sequential([keras.Input((6,)), layers.Dense(3, "softmax")])(x),
    "none": lambda x: layers.Dense(3)(x),
    "scaled": lambda x: layers.Rescaling(0.5)(layers.Dense(3, activation="sigmoid")(x)),
}
EXPECTED = {
    "dense": "sigmoid",
    "layer": "softmax",
    "reshaped": "sigmoid",
    "own": "sigmoid",
    "nested": "softmax",
    "none": None,
    "scaled": None,
}


def model_of(end: str) -> keras.Model:
    inputs = keras.Input((6,))
    return keras.Model(inputs, ENDS[end](inputs))


@pytest.mark.parametrize("end", ENDS)
def test_keras_and_what_is_made_of_it(end: str, tmp_path: Path) -> None:
    model = model_of(end)
    (tmp_path / "own.py").write_text(
        "import keras\nfrom keras import ops\nclass Own(keras.layers.Layer):\n"
        "    def call(self, inputs):\n        return ops.sigmoid(inputs)\n"
    )
    model.save(tmp_path / "model.keras")
    source = open_model(tmp_path / "model.keras", custom=tmp_path / "own.py")
    assert source.activation() == EXPECTED[end]
    model.export(str(tmp_path / "saved"), verbose=False)
    (tmp_path / "model.onnx").write_bytes(source.onnx())
    (tmp_path / "model.tflite").write_bytes(source.tflite())
    for name in ("saved", "model.onnx", "model.tflite"):
        assert open_model(tmp_path / name).activation() == EXPECTED[end], name


def test_eight_bits_are_looked_through() -> None:
    for end in ("dense", "layer"):
        content = keras_to_tflite(
            model_of(end), quantize="int8", calibration=[noise((6,), n=32)], integer_io=False
        )
        assert of_tflite(content) == EXPECTED[end]


def test_quantized_onnx_is_looked_through(tmp_path: Path) -> None:
    helper, float_ = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("QuantizeLinear", ["s", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", float_, (1, 6))],
        [helper.make_tensor_value_info("y", float_, (1, 6))],
        [
            onnx.numpy_helper.from_array(np.float32(1 / 255), "scale"),
            onnx.numpy_helper.from_array(np.uint8(0), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    assert open_model(tmp_path / "model.onnx").activation() == "sigmoid"


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("torch.sigmoid(x)", "sigmoid"),
        ("torch.softmax(x, dim=-1)", "softmax"),
        ("torch.log_softmax(x, dim=-1)", "log_softmax"),
        ("x", None),
    ],
)
def test_networks_of_pytorch(last: str, expected: str | None, tmp_path: Path) -> None:
    torch = require_package("torch")
    (tmp_path / "net.py").write_text(
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.dense = torch.nn.Linear(6, 3)\n"
        f"    def forward(self, x):\n        x = self.dense(x)\n        return {last}\n"
    )
    weights = {"dense.weight": torch.ones(3, 6), "dense.bias": torch.zeros(3)}
    torch.save(weights, tmp_path / "weights.pt")
    source = open_model(
        tmp_path / "weights.pt", architecture=f"{tmp_path}/net.py:Net", inputs=one_input((6,))
    )
    assert source.activation() == expected


def test_yamnet(reference_models: Path) -> None:
    assert open_model(reference_models / "yamnet_wavin.tflite").activation() == "sigmoid"
