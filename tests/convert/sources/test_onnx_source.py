"""ONNX files: what they give, and what they are refused for."""

import numpy as np
import onnx
import pytest

from edge_genre.convert.sources import open_model
from tests.support import models_on_the_fly as small
from tests.support.sources import answer, noise, refusal


@pytest.mark.parametrize("batch", [1, "batch"])
def test_onnx_files(batch, tmp_path):
    path = tmp_path / "model.onnx"
    content = small.onnx_graph((batch, *small.SPEC.shape), output="logits")
    path.write_bytes(content)
    source = open_model(path)
    assert (source.kind, source.inputs[0].shape) == ("onnx", small.SPEC.shape)
    assert source.parameters == np.prod(small.SPEC.shape) * len(small.LABELS)
    assert (source.info, source.quantization) == (None, None)
    if batch == 1:
        windows = noise(source.inputs[0].shape, n=3)
        expected = windows.reshape(3, -1) @ small.weights(small.SPEC.shape)
        np.testing.assert_allclose(answer(source, windows), expected, atol=1e-5)
    assert source.onnx() == content


@pytest.mark.parametrize("shape", [("batch", 6), (1, 6), (4, 6), (6,)], ids=str)
def test_onnx_files_whatever_the_batch_axis(shape, run_tflite, tmp_path):
    """Ten windows: no multiple of four."""
    weights = noise((3,), n=6)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "small",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (*shape[:-1], 3))],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "m.onnx")
    source = open_model(tmp_path / "m.onnx")
    assert source.inputs[0].shape == (6,)
    windows = noise((6,), n=10)
    np.testing.assert_allclose(answer(source, windows), windows @ weights, atol=1e-6)
    if shape in (("batch", 6), (1, 6)):
        found = run_tflite(source.tflite(), windows)
        np.testing.assert_allclose(found, windows @ weights, atol=1e-5)


def test_descriptions_are_read_and_taken_off(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(small.onnx_model())
    source = open_model(path)
    assert source.info.labels == small.LABELS
    assert source.onnx() == small.onnx_graph()


def test_weights_beside_an_onnx_file_are_taken_in(tmp_path):
    model = onnx.load_from_string(small.onnx_graph())
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.data", size_threshold=0)
    windows = noise(small.SPEC.shape, n=2)
    expected = np.stack([small.expected(window) for window in windows])
    source = open_model(path)
    np.testing.assert_allclose(answer(source, windows), expected, atol=1e-5)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "model.onnx").write_bytes(source.onnx())
    again = open_model(alone / "model.onnx")
    np.testing.assert_allclose(answer(again, windows), expected, atol=1e-5)
    (tmp_path / "weights.data").unlink()
    assert "weights in another file, which cannot be read" in refusal(path)


def test_onnx_files_that_do_not_fit(tmp_path):
    float_, int_ = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    path = tmp_path / "m.onnx"

    def save(inputs, node):
        values = [onnx.helper.make_tensor_value_info(name, kind, (1, 6)) for name, kind in inputs]
        output = onnx.helper.make_tensor_value_info("y", inputs[0][1], (1, 6))
        graph = onnx.helper.make_graph([node], "small", values, [output])
        opset = [onnx.helper.make_opsetid("", 17)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)

    save([("a", int_)], onnx.helper.make_node("Neg", ["a"], ["y"]))
    assert "takes int32 numbers, expected float" in refusal(path)
    save([("a", float_)], onnx.helper.make_node("NoSuchOperator", ["a"], ["y"]))
    assert "ONNX Runtime cannot load it" in refusal(path)
