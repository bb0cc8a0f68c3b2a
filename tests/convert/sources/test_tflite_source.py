"""TFLite files: what they give, and what is found in them."""

from pathlib import Path

import numpy as np
import pytest

from edge_genre.convert.sources import open_model
from edge_genre.convert.tflite.writer import keras_to_tflite
from edge_genre.errors import ConversionError
from tests.support.sources import answer, noise


def test_published_tflite_gives_its_golden_outputs(reference_models, run_onnx):
    labels = "disco classical country blues metal rock reggae pop hiphop jazz".split()
    source = open_model(reference_models / "mfcc_dense.tflite")
    assert (source.kind, source.inputs[0].shape, source.quantization) == (
        "tflite",
        (130, 13),
        "fp32",
    )
    assert source.parameters == sum(
        n_in * n_out + n_out for n_in, n_out in [(1690, 512), (512, 256), (256, 64), (64, 10)]
    )
    windows = np.stack(
        [
            np.fromstring(  # numbers with commas, spaces or brackets between them
                (reference_models / f"mfcc_dense_input_{name}.txt")
                .read_text()
                .translate(str.maketrans("[],", "   ")),
                np.float32,
                sep=" ",
            ).reshape(130, 13)
            for name in ("disco", "metal")
        ]
    )
    outputs = answer(source, windows)
    assert [labels[index] for index in outputs.argmax(axis=1)] == ["disco", "metal"]
    assert outputs[0].max() == pytest.approx(0.956, abs=5e-4)
    assert outputs[1].max() == pytest.approx(0.9996, abs=1e-4)
    np.testing.assert_allclose(run_onnx(source.onnx(), windows), outputs, atol=1e-5)
    assert source.tflite(quantize="fp32") == (reference_models / "mfcc_dense.tflite").read_bytes()
    with pytest.raises(ConversionError, match="cannot be quantized again"):
        source.tflite(quantize="int8")


@pytest.mark.parametrize("quantize", ["fp32", "fp16", "dynamic", "int8"])
def test_quantization_is_found_out(
    quantize, songnet, calibration, windows, run_onnx, tmp_path, capfd
):
    content = keras_to_tflite(
        songnet, quantize=quantize, calibration=[calibration] if quantize == "int8" else None
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    source = open_model(path)
    assert source.quantization == quantize
    assert source.tflite(quantize=quantize) == content
    if quantize in ("dynamic", "int8"):  # engines round in other places
        with pytest.raises(ConversionError, match=f"is {quantize}, of which ONNX"):
            source.onnx()
        return
    capfd.readouterr()
    converted = source.onnx()
    assert capfd.readouterr() == ("", "")
    found = np.concatenate([run_onnx(converted, window[np.newaxis]) for window in windows])
    np.testing.assert_allclose(found, answer(source, windows), atol=1e-5)


def test_waveform_models_have_no_batch_axis(reference_models):
    source = open_model(reference_models / "yamnet_wavin.tflite")
    assert (source.inputs[0].shape, source.quantization) == ((15_600,), "int8")
    assert answer(source, noise((15_600,), n=3)).shape == (3, 521)


def test_bundled_files_describe_themselves():
    folder = Path(__file__).parents[3] / "models" / "bundled"
    for suffix in ("tflite", "onnx"):
        source = open_model(folder / f"songnet-gtzan.{suffix}")
        assert source.info.name == "songnet-gtzan"
        assert answer(source, noise(source.inputs[0].shape, n=2)).shape == (2, 10)
