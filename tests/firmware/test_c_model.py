"""A model as C sources: the same bytes, the same answers, and an example that holds together."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import resampled
from edge_genre.cli import main
from edge_genre.convert.c import micro
from edge_genre.convert.c.code import comment, string, write_sources
from edge_genre.convert.c.micro import resolver_methods, run_micro, smallest_arena
from edge_genre.convert.c.model import c_model
from edge_genre.convert.golden.check import check
from edge_genre.convert.golden.vectors import golden
from edge_genre.convert.tflite import flatbuffer
from edge_genre.demo import clip
from edge_genre.errors import ConversionError
from edge_genre.frontend import FrontEnd
from edge_genre.model.bundled import find_model
from edge_genre.model.container import split
from edge_genre.model.file import write
from edge_genre.task import Task
from tests.support import models_on_the_fly as small
from tests.support.c_compiler import SANITIZED, STRICT, compiled, features, require
from tests.support.tflite_on_the_fly import tflite_graph

MODEL = find_model("tiny-gtzan")

# What the class of TFLite Micro has, for builtin operators.
METHODS = """
    AddAbs AddAdd AddAddN AddArgMax AddArgMin AddAveragePool2D AddBatchMatMul AddBatchToSpaceNd
    AddCast AddCeil AddConcatenation AddConv2D AddCos AddCumSum AddDepthToSpace AddDepthwiseConv2D
    AddDequantize AddDiv AddElu AddEqual AddExp AddExpandDims AddFill AddFloor AddFloorDiv
    AddFloorMod AddFullyConnected AddGather AddGatherNd AddGreater AddGreaterEqual AddHardSwish
    AddL2Normalization AddL2Pool2D AddLeakyRelu AddLess AddLessEqual AddLog AddLogSoftmax
    AddLogicalAnd AddLogicalNot AddLogicalOr AddLogistic AddMaxPool2D AddMaximum AddMean AddMinimum
    AddMirrorPad AddMul AddNeg AddNotEqual AddPack AddPad AddPadV2 AddPrelu AddQuantize AddReduceMax
    AddRelu AddRelu6 AddReshape AddResizeBilinear AddResizeNearestNeighbor AddRound AddRsqrt
    AddSelectV2 AddShape AddSin AddSlice AddSoftmax AddSpaceToBatchNd AddSpaceToDepth AddSplit
    AddSplitV AddSqrt AddSquare AddSquaredDifference AddSqueeze AddStridedSlice AddSub AddSum
    AddSvdf AddTanh AddTranspose AddTransposeConv AddUnidirectionalSequenceLSTM AddUnpack AddWhile
    AddZerosLike
""".split()


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(MODEL)


@pytest.fixture(scope="module")
def arena() -> int:
    return smallest_arena(MODEL.read_bytes())


@pytest.fixture(scope="module")
def sources(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_sources(folder, c_model(classifier))
    return folder


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Headers with what the example uses of TFLite Micro; its inference copies the input."""
    folder = tmp_path_factory.mktemp("tflm")
    adds = "".join(f"  TfLiteStatus {name}() {{ return Add(); }}\n" for name in METHODS)
    texts = {
        "tensorflow/lite/schema/schema_generated.h": """
            namespace tflite { struct Model; inline const Model *GetModel(const void *data) {
                return static_cast<const Model *>(data); } }
        """,
        "tensorflow/lite/micro/micro_mutable_op_resolver.h": f"""
            enum TfLiteStatus {{ kTfLiteOk, kTfLiteError }};
            namespace tflite {{ struct MicroOpResolver {{ unsigned int count = 0; }};
            template <unsigned int N> struct MicroMutableOpResolver : MicroOpResolver {{
              TfLiteStatus Add() {{ return ++count <= N ? kTfLiteOk : kTfLiteError; }}
            {adds} }}; }}
        """,
        "tensorflow/lite/micro/micro_interpreter.h": """
            #pragma once
            #include <cstddef>
            #include <cstdint>
            #include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
            #include "tensorflow/lite/schema/schema_generated.h"
            struct TfLiteTensor { struct { float f[4992]; int8_t int8[4992]; } data; };
            namespace tflite { struct MicroInterpreter {
              TfLiteTensor in, out;
              size_t size;
              MicroInterpreter(const Model *, const MicroOpResolver &, uint8_t *, size_t bytes)
                  : size(bytes) {}
              TfLiteStatus AllocateTensors() { return size < 16 ? kTfLiteError : kTfLiteOk; }
              TfLiteTensor *input(int) { return &in; }
              TfLiteTensor *output(int) { return &out; }
              TfLiteStatus Invoke() { out = in; return kTfLiteOk; } }; }
        """,
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        guard = re.sub(r"\W", "_", name).upper()
        text = text.replace("#pragma once", "")
        (folder / name).write_text(f"#ifndef {guard}\n#define {guard}\n{text}\n#endif\n")
    return folder


def _program(folder: Path, main_text: str, *options: str) -> Path:
    """A program beside the model's sources."""
    require("gcc")
    (folder / "main.c").write_text(main_text)
    files = [folder / "main.c", folder / "edge_genre_model.c"]
    command = ["gcc", *STRICT, *options, f"-I{folder}", *files, "-o", folder / "program"]
    subprocess.run(command, check=True)
    return folder / "program"


def _output(*command: object) -> bytes:
    return subprocess.run(list(map(str, command)), capture_output=True, check=True).stdout


_PRINT_ALL = """
#include <stdio.h>
#include "edge_genre_model.h"
int main(void) {
    for (int i = 0; i < EG_CLASSES; i++)
        printf("%s\\n", eg_labels[i]);
    printf("%u %d %d\\n", eg_model_bytes, (int)((uintptr_t)eg_model % 16), (int)sizeof eg_model);
    return fwrite(eg_model, 1, eg_model_bytes, stdout) != eg_model_bytes;
}
"""


def test_the_same_model_comes_out_of_the_compiler(classifier: Classifier, sources: Path) -> None:
    graph, _ = split(MODEL.read_bytes())
    printed = _output(_program(sources, _PRINT_ALL, *SANITIZED))
    *labels, facts, content = printed.split(b"\n", len(classifier.labels) + 1)
    assert tuple(label.decode() for label in labels) == classifier.labels
    assert facts.split() == [str(len(graph)).encode(), b"0", str(len(graph)).encode()]
    assert content == graph


def test_labels_in_any_script(classifier: Classifier, tmp_path: Path) -> None:
    names = ('Música "sertaneja"', "R&B\\soul", "what??/", "フォーク", "a1b2", "x" * 90)
    labels = names + tuple("cdef")
    strange = Classifier.load(MODEL)
    strange.labels = labels
    write_sources(tmp_path, c_model(strange))
    printed = _output(_program(tmp_path, _PRINT_ALL))
    assert tuple(printed.split(b"\n")[i].decode() for i in range(10)) == labels


def test_texts_in_c() -> None:
    assert string('a"b\\é?') == '"a\\042b\\134\\303\\251\\077"'
    assert comment("a */ /* ??/ \n é") == "/* a * / / * ?/ ? ? */"


_CLASSIFY = """
#include <stdio.h>
#include "edge_genre_model.h"
static float features[EG_INPUT_VALUES], outputs[EG_CLASSES];
int main(void) {
    if (eg_classify(features, outputs))
        return 2; /* before it began */
    if (!eg_begin() || !eg_begin())
        return 3;
    for (int i = 0; i < EG_INPUT_VALUES; i++)
        features[i] = (float)i / 2.0f - 2.25f;
    if (!eg_classify(features, outputs))
        return 4;
    for (int i = 0; i < EG_CLASSES; i++)
        printf("%g ", (double)outputs[i]);
    return 0;
}
"""


def _example(folder: Path, stub: Path, *options: str) -> Path:
    """The exported example with a C program that calls it."""
    require("gcc", "g++")
    program, flags = folder / "example", "-Wall -Wextra -Werror".split()
    (folder / "main.c").write_text(_CLASSIFY)
    objects = [folder / "main.o", folder / "model.o"]
    for name, unit in zip(("main.c", "edge_genre_model.c"), objects, strict=True):
        command = ["gcc", *STRICT, f"-I{folder}", "-c", folder / name, "-o", unit]
        subprocess.run(command, check=True)
    files = ["edge_genre_micro.cc", *objects]
    command = ["g++", "-std=c++17", *flags, *options, f"-I{folder}", f"-I{stub}", *files]
    subprocess.run([*command, "-o", program], check=True, cwd=folder)
    return program


def test_the_example_in_cpp(sources: Path, stub: Path) -> None:
    """Against headers of the tests' own: its calls and its arithmetic, not TFLite Micro itself."""
    text = _output(_example(sources, stub)).decode()
    assert text.split() == [f"{i / 2 - 2.25:g}" for i in range(10)]


def test_the_example_quantizes(sources: Path, stub: Path, tmp_path: Path) -> None:
    for path in sources.glob("edge_genre_*"):
        text = path.read_text()
        for side in ("INPUT", "OUTPUT"):
            text = text.replace(
                f"#define EG_{side}_IS_INT8 0",
                f"#define EG_{side}_IS_INT8 1\n#define EG_{side}_SCALE 0.1f\n"
                f"#define EG_{side}_ZERO_POINT (-110)",
            )
        (tmp_path / path.name).write_text(text)
    found = np.array(_output(_example(tmp_path, stub)).split(), float)
    exact = np.arange(10) / 2 - 2.25
    steps = np.clip(np.round(exact / 0.1) - 110, -128, 127)
    np.testing.assert_allclose(found, (steps + 110) * 0.1, atol=0.101)  # halves round either way
    assert found[0] == pytest.approx(-1.8)  # the smallest there is


def test_a_resolver_that_is_too_small_is_noticed(sources: Path, stub: Path, tmp_path: Path) -> None:
    for path in sources.glob("edge_genre_*"):
        text = path.read_text().replace("MicroMutableOpResolver<13>", "MicroMutableOpResolver<12>")
        (tmp_path / path.name).write_text(text)
    assert subprocess.run([_example(tmp_path, stub)], check=False).returncode == 3


def test_an_arena_of_ones_own(sources: Path, stub: Path) -> None:
    program = _example(sources, stub, "-DEG_ARENA_BYTES=8")
    assert subprocess.run([program], check=False).returncode == 3


def test_operators_of_the_resolver() -> None:
    methods = resolver_methods(MODEL.read_bytes())
    assert methods == sorted(
        "AddAdd AddConcatenation AddConv2D AddDepthwiseConv2D AddDequantize AddFullyConnected "
        "AddMaxPool2D AddMean AddQuantize AddReduceMax AddReshape AddSoftmax AddSub".split()
    )
    for name in ("songnet-gtzan", "songnet-fma"):
        assert set(resolver_methods(find_model(name).read_bytes())) <= set(METHODS)


def test_names_of_operators() -> None:
    names = (
        "L2_POOL_2D PADV2 BATCH_MATMUL CUMSUM BATCH_TO_SPACE_ND UNIDIRECTIONAL_SEQUENCE_LSTM "
        "RELU6 SELECT_V2 SPLIT_V GATHER_ND ADD_N SVDF LOG_SOFTMAX"
    )
    for name in names.split():
        assert micro.resolver_method(name) in METHODS


@pytest.fixture(scope="module")
def windows(classifier: Classifier) -> np.ndarray:
    """Real music, as the model hears it."""
    front_end, size = FrontEnd(classifier.spec), classifier.spec.window_samples
    with AudioFile(clip()) as source:
        samples = resampled(source, classifier.spec.sample_rate)
    starts = range(0, len(samples) - size + 1, 3000)
    return np.stack([front_end(samples[start : start + size]).copy() for start in starts])


def test_tflite_micro_answers_as_litert(classifier: Classifier, windows: np.ndarray) -> None:
    found = run_micro(MODEL.read_bytes(), windows)
    expected = np.stack([classifier.run(window) for window in windows])
    assert len(windows) >= 100
    # Two sets of kernels, which may differ by a step in each of fifteen layers.
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found - expected).mean() < 0.005
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.97


def test_the_smallest_arena(arena: int, windows: np.ndarray) -> None:
    content = MODEL.read_bytes()
    expected = run_micro(content, windows[:3])
    assert np.array_equal(run_micro(content, windows[:3], arena=arena), expected)
    with pytest.raises(ConversionError, match=f"too small: {arena - 16:,} bytes, {arena:,} needed"):
        run_micro(content, windows[:3], arena=arena - 16)
    # The largest map and the tables of 13 kinds of operators: neither less nor much more.
    assert 100_000 <= arena <= 125_000


@pytest.mark.parametrize("small", [16, 128, 5000])
def test_an_arena_that_ends_the_process(small: int, arena: int, windows: np.ndarray) -> None:
    """Of these, TFLite Micro refuses one and does not survive the others."""
    with pytest.raises(ConversionError, match=f"{small:,} bytes, {arena:,} needed"):
        run_micro(MODEL.read_bytes(), windows[:1], arena=small)


def test_a_port_from_samples_to_probabilities(
    classifier: Classifier, sources: Path, arena: int, tmp_path: Path
) -> None:
    """C's features, and C's model in TFLite Micro with the exported arena, before the checker."""
    program = compiled(classifier.spec, tmp_path / "c")
    content = _output(_program(sources, _PRINT_ALL)).split(b"\n", len(classifier.labels) + 1)[-1]
    vectors = golden(classifier)
    for case in vectors.cases:
        folder = tmp_path / "results" / case.name
        folder.mkdir(parents=True)
        found = features(program, case.pcm).reshape(1, *classifier.spec.shape)
        found.tofile(folder / "features.f32")
        np.save(folder / "probabilities.npy", run_micro(content, found, arena=arena))
    rows = check(vectors, tmp_path / "results")
    assert len(rows) == 10
    assert all(row.accepted for row in rows), rows


def _run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["export", *map(str, arguments)])
    return result.exit_code, result.stderr + result.stdout


def test_command(sources: Path, tmp_path: Path, arena: int) -> None:
    code, _ = _run("tiny-gtzan", "--c-array", tmp_path)
    assert code == 0
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name: (sources / name).read_text() for name in written} == written
    assert set(written) == {
        *("edge_genre_model.h", "edge_genre_model.c", "edge_genre_micro.cc"),
        *("edge_genre_spec.h", "edge_genre_tables.h"),
    }
    assert f"#define EG_ARENA_BYTES {arena}" in written["edge_genre_model.h"]
    code, _ = _run("tiny-gtzan", "--c-array", tmp_path, "--arena", 200_000)
    assert code == 0
    assert "#define EG_ARENA_BYTES 200000" in (tmp_path / "edge_genre_model.h").read_text()


def test_refusals(tmp_path: Path, arena: int) -> None:
    code, said = _run("tiny-gtzan", "--c-array", tmp_path, "--arena", 50_000)
    assert code == 1
    assert f"the arena is too small: 50,000 bytes, {arena:,} needed" in said
    code, said = _run("songnet-gtzan", "--c-array", tmp_path)
    assert code == 1
    assert "weights in 8 bits and computes in float" in said
    assert "--target micro --quantize int8 --calibrate MUSIC" in said
    code, said = _run("tiny-gtzan.onnx", "--c-array", tmp_path)
    assert code == 1
    assert "is ONNX, and TFLite Micro runs TFLite" in said
    assert _run("tiny-gtzan", "--golden", tmp_path, "--arena", 50_000)[0] == 2
    assert not list(tmp_path.iterdir())


def test_what_tflite_micro_says_itself(windows: np.ndarray) -> None:
    content = find_model("songnet-gtzan").read_bytes()
    with pytest.raises(ConversionError, match=r"Hybrid models are not supported on TFLite Micro;"):
        run_micro(content, windows[:1])
    with pytest.raises(ConversionError, match=r"Hybrid models are not supported on TFLite Micro;"):
        smallest_arena(content)


def test_without_its_package(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the arena's size is there."""
    for module in ("edge_genre.convert.c.micro", "edge_genre.convert.c.model"):
        monkeypatch.setattr(f"{module}.available", lambda: False)
    text = c_model(classifier)["edge_genre_model.h"]
    assert "#define EG_ARENA_BYTES" not in text
    assert "tflite-micro was not installed" in text
    for call in (
        lambda: c_model(classifier, arena=10),
        lambda: smallest_arena(MODEL.read_bytes()),
    ):
        with pytest.raises(ConversionError, match="pip install tflite-micro"):
            call()


def test_exporting_takes_the_runtime_alone(tmp_path: Path) -> None:
    heavy = "tensorflow torch onnx keras librosa scipy onnxruntime".split()
    program = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([n for n in {heavy} if n in sys.modules]))\n"
        f"sys.argv = ['edge-genre', 'export', 'tiny-gtzan', '--golden', {str(tmp_path / 'a')!r}, "
        f"'--c-array', {str(tmp_path / 'b')!r}]\n"
        "from edge_genre.cli import main\nmain()\n"
    )
    assert _output(sys.executable, "-c", program).splitlines()[-1] == b"[]"


def test_outputs_that_are_no_probabilities(classifier: Classifier) -> None:
    logits = Classifier.load(MODEL)
    logits.info = replace(classifier.info, output="logits")
    assert "softmax" in c_model(logits)["edge_genre_model.h"]


MOODS = Task(kind="multi_label", noun="mood", background="jazz", thresholds=(0.3, 0.5, 1.0))


def _small(folder: Path, output: str, task: Task, **graph: str) -> Classifier:
    path = folder / "small.tflite"
    many = not task.exclusive
    write(
        path, tflite_graph(output=output, many=many, **graph), small.info(task=task, output=output)
    )
    return Classifier.load(path)


_HOLDS = """
#include <stdio.h>
#include "edge_genre_model.h"
int main(void) {
    float outputs[EG_CLASSES];
    while (fread(outputs, sizeof outputs, 1, stdin) == 1) {
        for (int i = 0; i < EG_CLASSES; i++)
            if (outputs[i] >= eg_thresholds[i] && i != EG_BACKGROUND)
                printf("%s ", eg_labels[i]);
        printf("\\n");
    }
    return 0;
}
"""


@pytest.mark.parametrize(
    ("output", "made"),
    [
        ("probabilities", lambda p: p),
        ("logits", lambda p: np.log(p) - np.log1p(-p)),
        ("log_probabilities", np.log),
    ],
)
def test_labels_that_hold_are_those_of_the_task(tmp_path: Path, output: str, made) -> None:
    """Thresholds are in the outputs' own unit, so that a chip computes no exponential."""
    classifier = _small(tmp_path, output, MOODS)
    write_sources(tmp_path, c_model(classifier))
    probabilities = np.random.default_rng(1).uniform(0.01, 0.99, (200, 3))
    with np.errstate(divide="ignore"):
        rows = made(np.vstack([probabilities, [0.99, 0.99, 1.0]])).astype(np.float32)
    program = _program(tmp_path, _HOLDS, *SANITIZED)
    printed = subprocess.run([program], input=rows.tobytes(), capture_output=True, check=True)
    found = [set(line.decode().split()) for line in printed.stdout.splitlines()]
    task = classifier.task
    expected = [
        {small.LABELS[number] for number in task.decide(task.probabilities(row, output))} - {"jazz"}
        for row in rows
    ]
    assert found == expected
    assert expected[-1] == {"blues", "rock"}
    assert {frozenset(each) for each in expected} > {frozenset(), frozenset({"blues"})}


def test_what_a_header_says_of_a_task(tmp_path: Path) -> None:
    header = c_model(_small(tmp_path, "logits", MOODS))["edge_genre_model.h"]
    assert "a sigmoid makes a probability of each" in header
    assert "#define EG_BACKGROUND 1" in header
    assert "A mood each." in header
    assert "A mood holds where its output is this or more, in the outputs' own unit." in header
    plain = c_model(_small(tmp_path, "probabilities", Task(noun="mood")))["edge_genre_model.h"]
    assert "A mood each." in plain
    assert "eg_thresholds" not in plain
    assert "EG_BACKGROUND" not in plain


def test_the_answer_is_not_the_output_that_explains(tmp_path: Path, stub: Path) -> None:
    task = replace(MOODS, explanations=("attention",))
    content = tflite_graph(many=True, explanation="attention")
    graph = flatbuffer.parse(content)
    graph.subgraphs[0].outputs = graph.subgraphs[0].outputs[::-1].copy()
    path = tmp_path / "small.tflite"
    write(path, flatbuffer.pack(graph), small.info(task=task))
    example = c_model(Classifier.load(path))["edge_genre_micro.cc"]
    assert "interpreter->output(1)" in example


def test_several_inputs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.tflite"
    shapes = {each.name: each.front_end.shape for each in small.TWO_INPUTS}
    write(path, tflite_graph(shapes), small.info(inputs=small.TWO_INPUTS))
    for option in ("--c-array", "--c-tables"):
        code, said = _run(path, option, tmp_path / "c")
        assert code == 1
        expected = f"{path}: takes log_mel and mfcc, and the C export is for models with one input"
        assert expected in " ".join(said.split())
    assert not (tmp_path / "c").exists()
