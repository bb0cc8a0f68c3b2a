"""Makes the files of this folder, with this version of edge-genre and its extra ``convert``.

    python make.py FOLDER

Small networks with weights drawn at random, each as TFLite and ONNX: the mean of an input's
features over time, a layer of labels for each input, and their sum.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

from edge_genre import Classifier, FrontEndSpec, ModelInfo
from edge_genre.audio.file import AudioFile
from edge_genre.convert.tflite import flatbuffer
from edge_genre.convert.verify.answer import with_self_test
from edge_genre.demo import clip
from edge_genre.model.file import write
from edge_genre.model.input import Input
from edge_genre.task import Task

LABELS = ("calm", "lively", "loud")
FRAMES = {"sample_rate": 8000, "window_seconds": 1.0, "n_fft": 256, "hop_length": 128}
LOG_MEL = FrontEndSpec(
    kind="log_mel", **FRAMES, n_mels=16, log="natural", amin=1e-6, normalize="mean_variance"
)
MFCC = FrontEndSpec(
    kind="mfcc", **FRAMES, n_mels=16, n_mfcc=8, normalize="fixed", mean=-20.0, scale=30.0
)
ONE = {"log_mel": LOG_MEL}
BOTH = {"log_mel": LOG_MEL, "mfcc": MFCC}
MODELS = {
    "many-labels": (
        ONE,
        Task(kind="multi_label", noun="mood", background="calm", thresholds=(0.5, 0.25, 0.2)),
    ),
    "two-inputs": (BOTH, Task()),
    "newer-front-end": (
        {"log_mel": LOG_MEL.replace(window_function="hamming", win_length=200)},
        Task(),
    ),
    "explained": (BOTH, Task(kind="multi_label", noun="tag", explanations=("attention",))),
}


def weights(specs: dict[str, FrontEndSpec]) -> dict[str, np.ndarray]:
    """A matrix for each input [shape=(values of a frame, labels)]."""
    random = np.random.default_rng(2)
    return {
        name: random.standard_normal((spec.shape[-1], len(LABELS))).astype(np.float32)
        for name, spec in specs.items()
    }


def as_onnx(specs: dict[str, FrontEndSpec], task: Task) -> bytes:
    """Inputs in the other order than the description's, to be found by their names."""
    nodes, constants = [], []
    for name, matrix in weights(specs).items():
        constants.append(numpy_helper.from_array(matrix, f"{name}/weights"))
        nodes += [
            helper.make_node("ReduceMean", [name], [f"{name}/mean"], axes=[1], keepdims=0),
            helper.make_node("MatMul", [f"{name}/mean", f"{name}/weights"], [f"{name}/labels"]),
        ]
    nodes.append(helper.make_node("Sum", [f"{name}/labels" for name in specs], ["logits"]))
    nodes.append(
        helper.make_node("Softmax" if task.exclusive else "Sigmoid", ["logits"], ["probabilities"])
    )
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, len(LABELS)])]
    for name in task.explanations:
        nodes.append(
            helper.make_node("ReduceMean", ["log_mel"], ["log_mel/level"], axes=[2], keepdims=0)
        )
        nodes.append(helper.make_node("Softmax", ["log_mel/level"], [name], axis=-1))
        outputs.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, LOG_MEL.shape[0]])
        )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *spec.shape])
        for name, spec in reversed(specs.items())
    ]
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def as_tflite(specs: dict[str, FrontEndSpec], task: Task) -> bytes:
    """The same by TensorFlow, with the outputs called as in the signature."""
    matrices = weights(specs)
    activation = tf.nn.softmax if task.exclusive else tf.sigmoid

    @tf.function(
        input_signature=[
            {
                name: tf.TensorSpec([1, *spec.shape], tf.float32, name=name)
                for name, spec in specs.items()
            }
        ]
    )
    def network(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        parts = [tf.reduce_mean(features[name], 1) @ matrices[name] for name in specs]
        found = {"probabilities": activation(tf.add_n(parts))}
        for name in task.explanations:
            found[name] = tf.nn.softmax(tf.reduce_mean(features["log_mel"], 2))
        return found

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()], tf.Module()
    )
    model = flatbuffer.parse(converter.convert())
    subgraph, (signature,) = model.subgraphs[0], model.signatureDefs
    for each in signature.outputs:
        subgraph.tensors[each.tensorIndex].name = each.name
    return flatbuffer.pack(model)


def main(folder: Path) -> None:
    """Write the model files, and what they say of the demo clip's first window."""
    answers = {}
    for name, (specs, task) in MODELS.items():
        info = ModelInfo(
            inputs=tuple(Input(each, spec) for each, spec in specs.items()),
            labels=LABELS,
            task=task,
            name=name,
            version="1",
            license="CC0-1.0",
            description="Random weights: test data",
            quantization="fp32",
            card=f"# {name}\n\nTest data: its weights are random numbers.\n",
        )
        for kind, graph in (("tflite", as_tflite(specs, task)), ("onnx", as_onnx(specs, task))):
            path = folder / f"{name}.{kind}"
            write(path, graph, with_self_test(graph, info))
            classifier = Classifier.load(path)
            with AudioFile(clip()) as audio:
                window = next(classifier.stream(audio, explain=True))
            answers[path.name] = {
                "labels": list(window.labels),
                "probabilities": {k: round(v, 4) for k, v in window.probabilities.items()},
                "explanations": {
                    each: [round(moment.value, 5) for moment in moments]
                    for each, moments in window.explanations.items()
                },
            }
    (folder / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
