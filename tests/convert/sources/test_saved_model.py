"""SavedModel folders: what they give, and what they are refused for."""

import numpy as np
import pytest
import tensorflow as tf

from edge_genre.convert.sources import open_model
from tests.support.sources import answer, refusal


def exported(model, folder):
    model.export(folder, verbose=False)


def with_another_signature(model, folder):
    function = tf.function(lambda x: {"genre": model(x)}, autograph=False)
    spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="x")
    module = tf.Module()
    module.model = model
    tf.saved_model.save(module, folder, {"classify": function.get_concrete_function(spec)})


@pytest.mark.parametrize("save", [exported, with_another_signature])
def test_saved_models(save, songnet, windows, run_onnx, run_tflite, tmp_path):
    save(songnet, str(tmp_path / "saved"))
    source = open_model(tmp_path / "saved")
    assert (source.kind, source.inputs[0].shape) == ("saved_model", (39, 128))
    assert source.parameters == songnet.count_params()
    expected = songnet.predict(windows, verbose=0)
    np.testing.assert_allclose(answer(source, windows), expected, atol=1e-6)
    np.testing.assert_allclose(run_onnx(source.onnx(), windows), expected, atol=1e-5)
    np.testing.assert_allclose(run_tflite(source.tflite(), windows), expected, atol=1e-5)


def test_saved_models_that_do_not_fit(tmp_path):
    two = tmp_path / "two"
    module = tf.Module()
    spec = tf.TensorSpec((None, 3), tf.float32)
    double = tf.function(lambda x: x * 2).get_concrete_function(spec)
    half = tf.function(lambda x: x / 2).get_concrete_function(spec)
    tf.saved_model.save(module, str(two), {"double": double, "half": half})
    assert "signatures double, half" in refusal(two)
    whole = tmp_path / "whole"
    numbers = tf.TensorSpec((None, 3), tf.int32)
    tf.saved_model.save(module, str(whole), tf.function(lambda x: x).get_concrete_function(numbers))
    assert "takes int32 numbers, expected float32" in refusal(whole)
    (two / "saved_model.pb").write_bytes(b"\x08\x01\x12")
    assert "TensorFlow cannot load it" in refusal(two)
