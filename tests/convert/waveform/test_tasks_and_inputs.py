"""Front ends in the graphs of models with many labels, several inputs, and outputs that explain."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from scipy.special import expit, softmax

from edge_genre import Classifier, FrontEnd, FrontEndSpec
from edge_genre.convert.pipeline import convert
from edge_genre.convert.tflite import flatbuffer
from edge_genre.convert.tflite.metadata import read_metadata
from edge_genre.convert.waveform import waveform_spec, with_front_end
from edge_genre.errors import ConversionError
from edge_genre.model.container import kind_of
from edge_genre.model.file import write
from edge_genre.model.input import inputs_of
from edge_genre.task import GENRES, Task
from tests.support.models_on_the_fly import LABELS, SPEC, info, onnx_graph, weights
from tests.support.signals import music
from tests.support.tflite_on_the_fly import tflite_graph

MANY = Task(kind="multi_label", noun="mood", thresholds=(0.4, 0.5, 0.6))
MFCC = FrontEndSpec(
    kind="mfcc", window_seconds=1.0, hop_length=1024, n_mfcc=13, normalize="mean_variance"
)
SPECS = {"log_mel": SPEC, "mfcc": MFCC}


def graph(kind: str, specs: dict[str, FrontEndSpec], **options: object) -> bytes:
    """A graph with an input for each spec, in another order than theirs."""
    shapes = {name: spec.shape for name, spec in reversed(specs.items())}
    if kind == "tflite":
        return tflite_graph(shapes, **options)
    return onnx_graph({name: (1, *shape) for name, shape in shapes.items()}, **options)


@pytest.fixture(params=["tflite", "onnx"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Classifier]:
    """A waveform graph as a file, in its engine."""

    def load(content: bytes, task: Task = GENRES, spec: FrontEndSpec = SPEC) -> Classifier:
        path = tmp_path / f"small.{kind_of(content)}"
        write(path, content, info(inputs=inputs_of(waveform_spec(spec)), task=task))
        return Classifier.load(path)

    return load


def logits(samples: NDArray[np.float32], specs: dict[str, FrontEndSpec]) -> NDArray[np.float64]:
    """What all models here have before their last operator, by hand."""
    features = [FrontEnd(spec, precision="float64")(samples) for spec in specs.values()]
    return np.sum([each.reshape(-1) @ weights(each.shape) for each in features], axis=0)


def clip(spec: FrontEndSpec = SPEC, seed: int = 3) -> NDArray[np.float32]:
    return music(spec.window_samples, spec.sample_rate, seed=seed)


@pytest.mark.parametrize(
    ("task", "output", "right"),
    [
        (GENRES, "probabilities", softmax),
        (GENRES, "logits", softmax),
        (GENRES, "log_probabilities", softmax),
        (MANY, "probabilities", expit),
        (MANY, "logits", expit),
        # What the graph gives is the logarithm of a softmax, which need not add up to anything.
        (MANY, "log_probabilities", softmax),
    ],
)
def test_the_task_says_what_is_behind_the_classifier(kind, loaded, task, output, right) -> None:
    many = task.kind == "multi_label"
    content = with_front_end(
        graph(kind, {"x": SPEC}, output=output, many=many), SPEC, output=output, task=task
    )
    samples = clip()
    expected = right(logits(samples, {"x": SPEC}))
    found = raw(content, samples)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(loaded(content, task).probabilities(samples), expected, atol=1e-5)


def raw(content: bytes, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a graph gives first, in its bare engine."""
    return outputs(content, samples)[0].reshape(-1)


def outputs(content: bytes, samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    if kind_of(content) == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return session.run(None, {"samples": samples[np.newaxis]})
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    interpreter.set_tensor(taken["index"], samples[np.newaxis])
    interpreter.invoke()
    return [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]


def test_sigmoids_of_8_bits_are_not_made_to_add_up(loaded) -> None:
    """Quantized outputs of labels that exclude each other are; these say what they say."""
    content = in_8_bits(tflite_graph({"x": SPEC.shape}, many=True))
    samples = clip()
    many = with_front_end(content, SPEC, task=MANY)
    expected = expit(logits(samples, {"x": SPEC}))
    assert abs(expected.sum() - 1) > 0.1
    np.testing.assert_allclose(raw(many, samples), expected, atol=0.01)
    assert raw(with_front_end(content, SPEC), samples).sum() == pytest.approx(1, abs=1e-5)


def in_8_bits(content: bytes) -> bytes:
    """A graph whose only output is quantized, and dequantized behind its last operator."""
    model, types = flatbuffer.parse(content), flatbuffer.schema()
    subgraph = model.subgraphs[0]
    given = int(subgraph.outputs[0])
    rounded = flatbuffer.add_tensor(model, subgraph, "rounded", (1, 3), types.TensorType.INT8)
    tensor = subgraph.tensors[rounded]
    tensor.quantization = types.QuantizationParametersT()
    tensor.quantization.scale = np.array([1 / 256], np.float32)
    tensor.quantization.zeroPoint = np.array([-128], np.int64)
    code = types.BuiltinOperator.QUANTIZE
    subgraph.operators.append(flatbuffer.new_operator(model, code, [given], [rounded]))
    subgraph.outputs = np.array([rounded], np.int32)
    return flatbuffer.pack(model)


@pytest.mark.parametrize("task", [GENRES, MANY], ids=["one label", "many"])
def test_several_inputs_take_the_same_samples(kind, loaded, task) -> None:
    many = task.kind == "multi_label"
    content = with_front_end(graph(kind, SPECS, many=many), SPECS, task=task)
    for seed in range(3):
        samples = clip(seed=seed)
        expected = (expit if many else softmax)(logits(samples, SPECS))
        np.testing.assert_allclose(raw(content, samples), expected, atol=1e-5)
        found = loaded(content, task).probabilities(samples)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_same_frames_are_transformed_once(kind) -> None:
    """SPEC and MFCC cut the same frames."""

    def products(content: bytes) -> int:
        if kind == "onnx":
            nodes = onnx.load_from_string(content).graph.node
            return sum(node.op_type == "MatMul" for node in nodes)
        model = flatbuffer.parse(content)
        code = flatbuffer.schema().BuiltinOperator.FULLY_CONNECTED
        codes = [flatbuffer.builtin(each) for each in model.operatorCodes]
        return sum(codes[op.opcodeIndex] == code for op in model.subgraphs[0].operators)

    def of(**specs: FrontEndSpec) -> int:
        return products(with_front_end(graph(kind, specs), specs))

    other = MFCC.replace(n_fft=1024)
    assert of(log_mel=SPEC, mfcc=other) == of(log_mel=SPEC) + of(mfcc=other)
    # The transform is two products; see `edge_genre.convert.waveform.spectra`.
    assert of(**SPECS) == of(log_mel=SPEC) + of(mfcc=MFCC) - 2


def test_8_bit_inputs() -> None:
    """Each is quantized by its own scale."""
    content = tflite_graph({name: spec.shape for name, spec in SPECS.items()}, many=True)
    model, types = flatbuffer.parse(content), flatbuffer.schema()
    subgraph = model.subgraphs[0]
    inputs = list(map(int, subgraph.inputs))
    for number, (scale, zero_point) in enumerate([(0.05, 3), (0.06, -20)]):
        real = inputs[number]
        shape = tuple(map(int, subgraph.tensors[real].shape))
        taken = flatbuffer.add_tensor(model, subgraph, "", shape, types.TensorType.INT8)
        tensor = subgraph.tensors[taken]
        tensor.name = subgraph.tensors[real].name
        subgraph.tensors[real].name = b"real%d" % number
        tensor.quantization = types.QuantizationParametersT()
        tensor.quantization.scale = np.array([scale], np.float32)
        tensor.quantization.zeroPoint = np.array([zero_point], np.int64)
        code = types.BuiltinOperator.DEQUANTIZE
        subgraph.operators.insert(0, flatbuffer.new_operator(model, code, [taken], [real]))
        inputs[number] = taken
    subgraph.inputs = np.array(inputs, np.int32)
    samples = clip()
    found = raw(with_front_end(flatbuffer.pack(model), SPECS, task=MANY), samples)
    np.testing.assert_allclose(found, expit(logits(samples, SPECS)), atol=0.05)


def test_outputs_that_explain_stay(kind, loaded) -> None:
    task = Task(kind="multi_label", explanations=("attention",))
    content = with_front_end(
        graph(kind, {"x": SPEC}, many=True, explanation="attention"), SPEC, task=task
    )
    samples = clip()
    answer, attention = outputs(content, samples)
    features = FrontEnd(SPEC, precision="float64")(samples)
    np.testing.assert_allclose(attention.reshape(-1), features.mean(axis=-1), atol=1e-4)
    np.testing.assert_allclose(answer[0], expit(logits(samples, {"x": SPEC})), atol=1e-5)
    found, explained = loaded(content, task).engine.explain(samples)
    np.testing.assert_allclose(found, answer[0], atol=1e-6)
    np.testing.assert_allclose(explained["attention"], features.mean(axis=-1), atol=1e-4)


def test_an_explanation_with_the_name_of_the_answer(kind, loaded) -> None:
    task = Task(explanations=("probabilities",))
    content = with_front_end(
        graph(kind, {"x": SPEC}, explanation="probabilities", output="logits"),
        SPEC,
        output="logits",
        task=task,
    )
    samples = clip()
    expected = softmax(logits(samples, {"x": SPEC}))
    found, explained = loaded(content, task).engine.explain(samples)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert set(explained) == {"probabilities"}


@pytest.mark.parametrize(
    ("specs", "task", "problem"),
    [
        (
            {"log_mel": SPEC},
            GENRES,
            "graph takes the inputs mfcc and log_mel, but there are features for log_mel: give",
        ),
        (
            {"log_mel": SPEC, "mel": MFCC},
            GENRES,
            "but there are features for log_mel and mel: give",
        ),
        (
            SPECS,
            Task(explanations=("attention",)),
            "graph gives [^,]*, but is expected to give one answer, attention$",
        ),
    ],
)
def test_ends_that_are_not_the_graph_s(kind, specs, task, problem) -> None:
    with pytest.raises(ConversionError, match=problem) as error:
        with_front_end(graph(kind, SPECS), specs, task=task)
    assert "\n" not in str(error.value)


def test_features_of_one_input_that_do_not_fit(kind) -> None:
    specs = {"log_mel": SPEC, "mfcc": MFCC.replace(n_mfcc=20)}
    with pytest.raises(ConversionError, match="takes 1 x 22 x 13, but its front end gives 22 x 20"):
        with_front_end(graph(kind, SPECS), specs)


def test_a_converted_file_of_all_of_it(tmp_path: Path) -> None:
    """Two inputs, many labels, an output that explains: by `convert`, from an ONNX graph."""
    source = tmp_path / "tags.onnx"
    source.write_bytes(graph("onnx", SPECS, output="logits", explanation="attention"))
    report = convert(
        source,
        output=tmp_path / "out",
        to=("tflite", "onnx"),
        quantize=["fp32"],
        labels=LABELS,
        front_end=SPECS,
        outputs="logits",
        task="multi-label",
        noun="mood",
        thresholds={"jazz": 0.25},
        explain=["attention"],
        waveform=True,
    )
    assert [result.status for result in report.results] == ["kept"] * 2, list(report.problems())
    samples = clip()
    level = FrontEnd(MFCC, precision="float64")(samples).mean(axis=-1)  # the graph's first input
    for file in report.files:
        classifier = Classifier.load(file)
        assert classifier.task == replace(
            MANY, thresholds=(0.5, 0.25, 0.5), explanations=("attention",)
        )
        found, explained = classifier.engine.explain(samples)
        np.testing.assert_allclose(found, expit(logits(samples, SPECS)), atol=1e-4)
        np.testing.assert_allclose(explained["attention"], level, atol=1e-4)
    tflite = next(file for file in report.files if file.suffix == ".tflite")
    found = read_metadata(tflite.read_bytes())
    assert found is not None
    assert (found.threshold, found.explanations) == (0.25, ("attention",))
