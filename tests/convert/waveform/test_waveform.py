"""Front ends inside graphs, beside the NumPy front end: features, probabilities, refusals."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from click.testing import CliRunner
from hypothesis import given, settings
from onnx import TensorProto, helper

from edge_genre import Classifier, FrontEnd, FrontEndSpec
from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import resampled
from edge_genre.cli import main
from edge_genre.convert.pipeline import convert
from edge_genre.convert.tflite import flatbuffer
from edge_genre.convert.tflite.metadata import read_metadata
from edge_genre.convert.verify.graph_facts import graph_facts
from edge_genre.convert.verify.tflite_runtime import unknown_to_tflite_runtime
from edge_genre.convert.waveform import require_graph, waveform_spec, with_front_end
from edge_genre.convert.waveform.comparison import judge_front_end
from edge_genre.demo import clip
from edge_genre.engines import Engine
from edge_genre.errors import ConversionError
from edge_genre.frontend import kinds
from edge_genre.model.bundled import bundled_models
from edge_genre.model.container import split
from edge_genre.model.file import ModelFile, attach, read
from tests.support import models_on_the_fly as small
from tests.support.front_ends import specs
from tests.support.models_on_the_fly import LABELS, SPEC
from tests.support.signals import music

BOTH = ("tflite", "onnx")


def range_of(count: int) -> list[float]:
    return [5.0 + number for number in range(count)]


SPECS = {
    name: FrontEndSpec.preset(name)
    for name in (
        "songnet-gtzan",
        "log-mel",
        "mfcc-13",
        "three-channel",
        "three-channel-first",
        "pcen",
    )
} | {
    "10-mel-reflect-htk-natural": FrontEndSpec.preset("audio-lyrics").replace(
        window_seconds=1.0, n_mels=10
    ),
    "power": FrontEndSpec.preset("cross-modal").replace(window_seconds=1.0),
    "hop-beyond-frame": FrontEndSpec(hop_length=5000, n_fft=1024, normalize="min_max"),
    "44-kHz": FrontEndSpec.preset("songnet-fma").replace(window_seconds=4.0),
    "not-a-power-of-two": FrontEndSpec(
        sample_rate=16_000, window_seconds=1.0, n_fft=400, hop_length=160, n_mels=40, center=False
    ),
    "prime": FrontEndSpec(
        sample_rate=16_000, window_seconds=1.0, n_fft=401, hop_length=131, ref=1.0, n_mels=41
    ),
    "fixed": FrontEndSpec(normalize="fixed", mean=-40.0, scale=20.0, fmin=30.0, fmax=8000.0),
    "window-functions": FrontEndSpec(
        win_length=1201, window_function="hamming", periodic=False, pre_emphasis=0.97
    ),
    "magnitudes": FrontEndSpec(
        window_seconds=1.0, power=1, log="amplitude_db", amin=1e-5, ref=1.0, pad_mode="reflect"
    ),
    "log10": FrontEndSpec(window_seconds=1.0, power=1, log="log10", amin=1e-2),
    "scaled-bands": FrontEndSpec(
        n_mels=40, axes="frequency_first", normalize="fixed", mean=-40.0, scale=range_of(40)
    ),
    "scaled-coefficients": FrontEndSpec(
        kind="mfcc", n_mfcc=13, ref=1.0, normalize="fixed", mean=range_of(13), scale=range_of(13)
    ),
    "scaled-channels": FrontEndSpec(
        kind="mfcc_deltas", n_mfcc=13, normalize="fixed", mean=[1, 2, 3], scale=[9, range_of(13), 2]
    ),
    "bands-over-time": FrontEndSpec(
        n_mels=40, normalize="mean_variance", normalize_over="time", axes="frequency_first"
    ),
    "coefficients-over-time": FrontEndSpec(
        kind="mfcc_deltas", n_mfcc=13, normalize="min_max", normalize_over="time"
    ),
    "statistics": FrontEndSpec(
        kind="mfcc", n_mfcc=13, statistics=["mean", "std", "var", "min", "max"], ref=1.0
    ),
    "statistics-of-stacks": FrontEndSpec(
        kind="mfcc_deltas",
        n_mfcc=13,
        statistics=["mean", "std"],
        normalize="fixed",
        scale=range_of(78),
    ),
    "pcen-of-power": FrontEndSpec(
        kind="pcen",
        window_seconds=1.0,
        power=2,
        factor=1,
        gain=0.8,
        bias=10,
        exponent=0.25,
        time_constant=0.06,
        n_mels=40,
        normalize="mean_variance",
    ),
    "pcen-of-30-s": FrontEndSpec(kind="pcen", window_seconds=30.0, n_mels=40),
    "no-floor": FrontEndSpec(ref=1e-3, top_db=None, normalize="mean_variance", amin=1e-5),
}


def nothing_else(kind: str, shape: tuple[int, ...]) -> bytes:
    """A graph that gives what it takes, of shape (1, ...)."""
    shape = (1, *shape)
    if kind == "onnx":
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
        graph = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])], "same", *[[end] for end in ends]
        )
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    types = flatbuffer.schema()
    model, subgraph = types.ModelT(), types.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes = 3, [subgraph], []
    model.buffers = [types.BufferT()]
    subgraph.tensors = []
    taken, given = (flatbuffer.add_tensor(model, subgraph, name, shape, 0) for name in "xy")
    sizes = flatbuffer.add_tensor(
        model, subgraph, "shape", (len(shape),), types.TensorType.INT32, np.array(shape, np.int32)
    )
    code = types.BuiltinOperator.RESHAPE
    subgraph.operators = [flatbuffer.new_operator(model, code, [taken, sizes], [given])]
    subgraph.inputs, subgraph.outputs = np.array([taken]), np.array([given])
    return flatbuffer.pack(model)


def features_of(content: bytes, samples: np.ndarray) -> np.ndarray:
    """What a graph gives, without the batch axis."""
    if content[4:8] != b"TFL3":
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return session.run(None, {"samples": samples[np.newaxis]})[0][0]
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], samples[np.newaxis])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


def hard_signals(spec: FrontEndSpec) -> dict[str, np.ndarray]:
    n = spec.window_samples
    song = music(n, spec.sample_rate, seed=3)
    return {
        "silence": np.zeros(n, np.float32),
        "one value": np.full(n, 0.5, np.float32),
        "clipped": np.clip(30 * song, -1, 1),
        "faint": 1e-5 * song,
        "a click": np.eye(1, n, n // 3, dtype=np.float32)[0],
        "half silence": np.where(np.arange(n) < n // 2, 0, song).astype(np.float32),
    }


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("name", SPECS)
def test_features_are_those_of_the_numpy_front_end(kind: str, name: str, report) -> None:
    spec = SPECS[name]
    content = with_front_end(nothing_else(kind, spec.shape), spec)
    exact, single = FrontEnd(spec, precision="float64"), FrontEnd(spec)
    signals = {f"music {n}": music(spec.window_samples, spec.sample_rate, seed=n) for n in range(4)}
    worst = 0.0
    for title, samples in (signals | hard_signals(spec)).items():
        expected, found = exact(samples), features_of(content, samples)
        assert found.shape == spec.shape
        # What single precision costs NumPy itself is no fault of a graph.
        rounding = np.abs(single(samples) - expected).max()
        spread = max(float(np.abs(expected).max()), 1.0)
        off = np.abs(found - expected).max()
        assert off <= max(1e-5 * spread, 4 * rounding), (title, off, rounding, spread)
        worst = max(worst, off / spread)
    report(f"{kind} {name}: features off by {worst:.1e} of the largest at most")


@settings(max_examples=100)
@given(spec=specs(*(n for n in kinds.names() if FrontEndSpec(kind=n).no_graph is None)))
def test_whatever_a_specification_says(spec: FrontEndSpec) -> None:
    samples = music(spec.window_samples, spec.sample_rate, seed=5)
    expected = FrontEnd(spec, precision="float64")(samples)
    rounding = np.abs(FrontEnd(spec)(samples) - expected).max()
    spread = float(np.abs(expected).max())
    for kind in BOTH:
        found = features_of(with_front_end(nothing_else(kind, spec.shape), spec), samples)
        assert np.abs(found - expected).max() <= max(2e-5 * spread, 8 * rounding), kind


@pytest.mark.parametrize("kind", BOTH)
def test_silence_is_all_equal(kind: str) -> None:
    """Rounding is not blown up to unit variance, whatever the reference."""
    for ref in ("max", 1.0):
        spec = SPEC.replace(ref=ref)
        found = features_of(
            with_front_end(nothing_else(kind, spec.shape), spec),
            np.zeros(spec.window_samples, np.float32),
        )
        np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("spec", [SPEC, FrontEndSpec.preset("pcen")], ids=["log-mel", "pcen"])
def test_only_what_every_engine_has(spec: FrontEndSpec) -> None:
    """Built-in operators of old versions: all but the joins run in XNNPACK's kernels."""
    content = with_front_end(nothing_else("tflite", spec.shape), spec)
    facts = graph_facts(content)
    assert facts.custom == ()
    assert set(facts.outside_xnnpack) <= {"CONCATENATION"}
    assert unknown_to_tflite_runtime(content) == []
    onnx.checker.check_model(
        onnx.load_from_string(with_front_end(nothing_else("onnx", spec.shape), spec)),
        full_check=True,
    )


def test_newer_opsets() -> None:
    """Since opset 18, axes are an input of reductions."""
    model = onnx.load_from_string(small.onnx_graph())
    newer = onnx.version_converter.convert_version(model, 21).SerializeToString()
    samples = music(SPEC.window_samples, SPEC.sample_rate)
    for content in (model.SerializeToString(), newer):
        joined = with_front_end(content, SPEC)
        onnx.checker.check_model(onnx.load_from_string(joined), full_check=True)
        np.testing.assert_allclose(
            features_of(joined, samples), small.expected(FrontEnd(SPEC)(samples)), atol=1e-5
        )


@pytest.mark.parametrize("output", ["logits", "log_probabilities"])
def test_gives_probabilities(output: str) -> None:
    samples = music(SPEC.window_samples, SPEC.sample_rate)
    joined = with_front_end(small.onnx_graph(output=output), SPEC, output=output)
    np.testing.assert_allclose(
        features_of(joined, samples), small.expected(FrontEnd(SPEC)(samples)), atol=1e-5
    )


@pytest.mark.parametrize("name", ["x", "samples"])
def test_names_that_the_classifier_has_already(name: str) -> None:
    model = onnx.load_from_string(small.onnx_graph(output="logits"))
    model.graph.input[0].name = model.graph.node[0].input[0] = name
    joined = with_front_end(model.SerializeToString(), SPEC, output="logits")
    onnx.checker.check_model(onnx.load_from_string(joined), full_check=True)
    assert graph_facts(joined).input == ("float32", (1, SPEC.window_samples))


def test_a_free_batch_becomes_one_window() -> None:
    joined = with_front_end(small.onnx_graph(("n", *SPEC.shape)), SPEC)
    facts = graph_facts(joined)
    assert facts.input == ("float32", (1, SPEC.window_samples))
    assert facts.output == ("float32", (1, len(LABELS)))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (None, "this model has none"),
        (FrontEndSpec.preset("five-channel"), "five_channel cannot be a graph: it tracks beats"),
        (waveform_spec(SPEC), "takes samples already"),
    ],
)
def test_front_ends_that_cannot_be_graphs(spec: FrontEndSpec | None, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        require_graph(spec)


@pytest.mark.parametrize("kind", BOTH)
def test_a_front_end_of_another_model(kind: str) -> None:
    with pytest.raises(ConversionError, match=r"takes 1 x .* but its front end gives"):
        with_front_end(nothing_else(kind, SPEC.shape), SPEC.replace(n_mels=64))


def test_damaged_graphs() -> None:
    whole = nothing_else("tflite", SPEC.shape)
    with pytest.raises(ConversionError, match="damaged"):
        with_front_end(whole[:60], SPEC)


def test_gate() -> None:
    rng = np.random.default_rng(0)
    split_form = rng.dirichlet([0.5] * 4, size=200).astype(np.float32)
    slightly, few, all_of_them = split_form.copy(), split_form.copy(), split_form.copy()
    slightly += 5e-4
    few[0] += 0.01  # a rounding step in one window
    all_of_them[:, 0] += 0.01
    for quantization, rows, kept in (
        ("fp32", slightly, True),
        ("fp32", few, False),
        ("fp16", few, False),
        ("int8", few, True),
        ("int8", all_of_them, False),
        ("dynamic", all_of_them, False),
        ("int8", split_form[::-1], False),
    ):
        _, reasons = judge_front_end(quantization, split_form, rows)
        assert (not reasons) == kept, (quantization, reasons)
        assert all("front end in the graph" in reason for reason in reasons)


def song_file(folder: Path) -> Path:
    import soundfile

    folder.mkdir(exist_ok=True)
    path = folder / "song.wav"
    soundfile.write(path, music(60 * SPEC.sample_rate, SPEC.sample_rate), SPEC.sample_rate)
    return path


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory):
    """A small model of logits as waveform files: the report, and a song."""
    folder = tmp_path_factory.mktemp("waveform")
    song, source = song_file(folder / "songs"), folder / "small.onnx"
    source.write_bytes(small.onnx_graph(output="logits"))
    found = convert(
        source,
        output=folder,
        to=BOTH,
        quantize=["fp32", "dynamic"],
        labels=LABELS,
        front_end=SPEC,
        calibrate=song.parent,
        waveform=True,
    )
    return found, song


def test_convert_writes_files_that_take_samples(converted) -> None:
    found, song = converted
    assert found.exit_code == 0, list(found.problems())
    json.dumps(found.to_dict())
    expected = small.expected  # of features, by hand
    with AudioFile(song) as source:
        window = resampled(source, SPEC.sample_rate)[: SPEC.window_samples]
    names = []
    for result in found.results:
        names.append(result.path.name)
        classifier = Classifier.load(result.path)  # its self-test passes
        info = classifier.info
        assert info.front_end == waveform_spec(SPEC)
        assert info.provenance["front_end_in_graph"] == SPEC.to_dict()
        assert info.provenance["front_end_in_graph_hash"] == SPEC.hash
        assert info.output == "probabilities"
        assert info.parity["front_end"]["max_difference"] <= 1e-3
        assert result.waveform.split_size < result.size
        assert result.waveform.split_milliseconds > 0 < result.facts.milliseconds
        difference = np.abs(
            classifier.probabilities(window) - expected(FrontEnd(SPEC)(window))
        ).max()
        assert difference <= (1e-4 if result.quantization == "fp32" else 0.02)
        windows = classifier.classify_file(song, hop=0.5).windows
        assert len(windows) == 119
    assert sorted(names) == sorted(
        f"small-waveform-{quantization}.{suffix}"
        for suffix in BOTH
        for quantization in ("fp32", "dynamic")
    )


def test_command_line(converted, tmp_path: Path) -> None:
    """From a converted file, which describes itself; figures of both forms in the table."""
    _, song = converted
    split_form = tmp_path / "own.onnx"
    split_form.write_bytes(small.onnx_model())
    result = CliRunner().invoke(
        main,
        [
            *("convert", str(split_form), "--waveform", "--to", "onnx", "--quantize", "fp32"),
            *("--calibrate", str(song.parent), "-o", str(tmp_path)),
        ],
        env={"COLUMNS": "80"},
    )
    assert result.exit_code == 0, result.output
    assert "apart" in result.output  # the column of the split form
    assert "own-waveform-fp32.onnx" in result.output
    path = tmp_path / "own-waveform-fp32.onnx"
    by_split, by_waveform = (
        Classifier.load(each).classify_file(song).probabilities for each in (split_form, path)
    )
    assert by_waveform == pytest.approx(by_split, abs=1e-5)
    inspected = CliRunner().invoke(main, ["inspect", str(path)], env={"COLUMNS": "200"})
    assert "kind waveform" in inspected.output
    assert "front end in graph: kind log_mel" in inspected.output


@pytest.mark.slow
def test_features_from_a_file(tmp_path: Path) -> None:
    """They gate the classifier; the front end is compared on music that is composed."""
    source, data = tmp_path / "small.onnx", tmp_path / "x.npy"
    source.write_bytes(small.onnx_graph())
    np.save(data, np.random.default_rng(0).normal(size=(40, *SPEC.shape)).astype(np.float32))
    found = convert(
        source,
        output=tmp_path,
        to=["onnx"],
        quantize=["fp32"],
        labels=LABELS,
        front_end=SPEC,
        calibrate=data,
        waveform=True,
    )
    (result,) = found.results
    assert found.windows.origin == "x.npy"
    assert result.waveform.data == "music composed by edge-genre"
    assert result.waveform.parity.windows == 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"front_end": None, "input_shape": SPEC.shape}, "give the features .*--frontend"),
        ({"front_end": "five-channel"}, "tracks beats"),
        ({"target": "micro", "quantize": ["fp32"]}, "too large for TFLite Micro"),
        ({"integer_io": True}, "leave --integer-io or --waveform out"),
    ],
)
def test_refusals(changes: dict, message: str, tmp_path: Path) -> None:
    source = tmp_path / "small.onnx"
    source.write_bytes(small.onnx_graph())
    options = {"labels": LABELS, "front_end": SPEC, "output": tmp_path / "out"} | changes
    with pytest.raises(ConversionError, match=message):
        convert(source, waveform=True, **options)


def test_a_waveform_file_again(converted, tmp_path: Path) -> None:
    found, _ = converted
    with pytest.raises(ConversionError, match="takes samples already: leave --waveform out"):
        convert(found.files[0], output=tmp_path, waveform=True)


def test_a_front_end_is_never_quantized(converted, tmp_path: Path) -> None:
    """Of a waveform file that is converted once more."""
    found, _ = converted
    source = next(path for path in found.files if path.name == "small-waveform-fp32.onnx")
    with pytest.raises(ConversionError, match="which must stay in float"):
        convert(source, output=tmp_path, to=["onnx"], quantize=["dynamic"])
    again = convert(source, output=tmp_path, to=["onnx"])
    (path,) = again.files
    assert path.name == "small-waveform-fp32-fp32.onnx"
    assert read(path).info.provenance["front_end_in_graph"] == SPEC.to_dict()


def test_a_bundled_file_in_8_bits(tmp_path: Path) -> None:
    """The file alone is enough, and it hears what the split form hears."""
    source = next(path for path in bundled_models() if path.name == "tiny-gtzan.tflite")
    found = convert(source, output=tmp_path, calibrate=clip().parent, waveform=True)
    (result,) = found.results
    assert result.status == "kept", result.message
    assert result.path.name == "tiny-gtzan-waveform-int8.tflite"
    by_split, by_waveform = (
        Classifier.load(path).classify_file(clip()).probabilities for path in (source, result.path)
    )
    assert by_waveform == pytest.approx(by_split, abs=0.01)


def real_windows(clips: Path, spec: FrontEndSpec, wanted: int = 500) -> list[np.ndarray]:
    files, size = sorted(clips.glob("*.opus")), spec.window_samples
    windows = []
    for path in files:
        with AudioFile(path) as source:
            samples = resampled(source, spec.sample_rate)
        samples = np.pad(samples, (0, max(0, size - len(samples))))
        count = min(-(-wanted // len(files)), max(1, len(samples) // size))
        starts = np.linspace(0, len(samples) - size, count).astype(int)
        windows += [samples[start : start + size] for start in starts]
    return windows


@pytest.mark.slow
def test_bundled_models_on_real_music(clips: Path, report) -> None:
    """Every bundled file: 500 real windows, or as many as there are of 30 s."""
    windows: dict[str, list[np.ndarray]] = {}
    for path in bundled_models():
        model = read(path)
        info, spec = model.info, model.info.front_end
        graph, _ = split(model.content)
        joined = with_front_end(graph, spec, output=info.output)
        alone = Engine(model, shape=spec.shape, output=info.output)
        whole = Engine(
            ModelFile(path, model.kind, joined, None),
            shape=(spec.window_samples,),
            output="probabilities",
        )
        single, double = FrontEnd(spec), FrontEnd(spec, precision="float64")
        if spec.hash not in windows:
            windows[spec.hash] = real_windows(clips, spec)
            assert len(windows[spec.hash]) >= (500 if spec.window_seconds == 3 else 100)
        rows = [
            (alone.run(single(window)), whole.run(window), alone.run(double(window)))
            for window in windows[spec.hash]
        ]
        numpy_form, graph_form, double_form = (np.stack(each) for each in zip(*rows, strict=True))
        parity, reasons = judge_front_end(info.quantization, numpy_form, graph_form)
        assert not reasons, (path.name, reasons)
        assert parity.top1_agreement == 1, path.name
        by_graph, by_precision = (
            np.abs(each - numpy_form).max(axis=1) for each in (graph_form, double_form)
        )
        if info.quantization == "fp32":
            assert by_graph.max() <= 1e-5, path.name
        # In 8 bits a last digit may round to the next step: for NumPy in double precision as well.
        assert (by_graph <= 1e-3).mean() >= 0.95, path.name
        report(
            f"{path.name} ({info.quantization}), {len(rows)} windows: largest difference "
            f"{by_graph.max():.1e}, beyond 1e-3 in {(by_graph > 1e-3).mean():.1%}; NumPy in double "
            f"precision {by_precision.max():.1e}, {(by_precision > 1e-3).mean():.1%}; "
            f"{len(graph) / 1000:.1f} -> {len(joined) / 1000:.1f} kB"
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["songnet-gtzan", "tiny-gtzan"])
def test_every_quantization_of_a_bundled_model(
    name: str, clips: Path, tmp_path: Path, report
) -> None:
    (source,) = (path for path in bundled_models() if path.name == f"{name}.onnx")
    found = convert(
        source,
        output=tmp_path,
        to=BOTH,
        quantize=["fp32", "fp16", "dynamic", "int8"],
        calibrate=clips,
        waveform=True,
    )
    for result in found.results:
        assert result.status == "kept", (result.name, result.message)
        assert result.waveform.parity.windows == 500
        if result.quantization in ("fp32", "fp16"):
            assert result.waveform.parity.max_difference <= 1e-3
        if result.suffix == "tflite":
            assert read_metadata(result.path.read_bytes()).sample_rate == 22_050
        report(
            f"{result.path.name}: {result.size / 1000:.1f} kB, {result.facts.milliseconds:.2f} "
            f"ms; split {result.waveform.split_size / 1000:.1f} kB, "
            f"{result.waveform.split_milliseconds:.2f} ms; front end moves a probability by "
            f"{result.waveform.parity.max_difference:.1e}"
        )


def test_metadata_survive_a_new_description(converted) -> None:
    """A waveform file's texts are stored as they are: MediaPipe reads nothing compressed."""
    found, _ = converted
    path = next(path for path in found.files if path.suffix == ".tflite")
    model = read(path)
    content = attach(model.content, replace(model.info, card="# A card\n" + "text " * 500))
    again = path.with_name("again.tflite")
    again.write_bytes(content)
    with zipfile.ZipFile(again) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert read(again).info.card.startswith("# A card")
    assert read_metadata(content) == read_metadata(model.content)


@pytest.mark.parametrize("kind", BOTH)
def test_outputs_in_8_bits_add_up_to_1(kind: str) -> None:
    """In the graph: other programs than edge-genre take its outputs as they are."""
    path = next(path for path in bundled_models() if path.name == "tiny-gtzan.tflite")
    if kind == "tflite":
        model = read(path)
        graph, spec = split(model.content)[0], model.info.front_end
    else:
        spec, exact = SPEC, onnx.load_from_string(small.onnx_graph())
        exact.graph.node.extend(
            [
                helper.make_node("QuantizeLinear", ["y", "step"], ["rounded"]),
                helper.make_node("DequantizeLinear", ["rounded", "step"], ["z"]),
            ]
        )
        exact.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(1 / 64, np.float32), "step")
        )
        exact.graph.output[0].name = "z"
        graph = exact.SerializeToString()
    joined = with_front_end(graph, spec)
    for seed in range(5):
        row = features_of(joined, music(spec.window_samples, spec.sample_rate, seed=seed))
        assert row.sum() == pytest.approx(1, abs=1e-6)


def test_constants_behind_the_flatbuffer() -> None:
    """Some quantizers put them there, where writing the graph again would lose them."""
    graph = nothing_else("tflite", SPEC.shape)
    model = flatbuffer.parse(graph)
    (buffer,) = [each for each in model.buffers if each.data is not None]
    values, buffer.data = bytes(buffer.data), None
    buffer.offset, buffer.size = 1 << 20, len(values)
    size = len(flatbuffer.pack(model))
    buffer.offset = size
    outside = flatbuffer.pack(model) + values
    assert len(outside) == size + len(values)
    samples = music(SPEC.window_samples, SPEC.sample_rate)
    np.testing.assert_array_equal(
        features_of(with_front_end(outside, SPEC), samples),
        features_of(with_front_end(graph, SPEC), samples),
    )
