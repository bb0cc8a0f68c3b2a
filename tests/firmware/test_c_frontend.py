"""The front end in C99: equal to the NumPy one, clean under every checker, and small."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge_genre import Classifier, FrontEnd
from edge_genre.cli import main
from edge_genre.convert.c.code import write_sources
from edge_genre.convert.c.tables import c_tables
from edge_genre.convert.golden.vectors import golden
from edge_genre.errors import ConversionError
from edge_genre.frontend import PRESETS, FrontEndSpec
from tests.support.c_compiler import (
    SANITIZED,
    SOURCES,
    STRICT,
    Library,
    compiled,
    features,
    require,
)
from tests.support.signals import SIGNALS, music

# Every choice that a spec has, in some combination.
SPECS = {
    name: PRESETS[name].replace(window_seconds=3.0)
    for name in ("songnet-gtzan", "log-mel", "mfcc-13", "audio-lyrics", "cross-modal")
} | {
    "hops beyond a frame": FrontEndSpec(
        sample_rate=44_100, hop_length=10_336, window_seconds=4, normalize="mean_variance"
    ),
    "reflected to the last sample": FrontEndSpec(
        sample_rate=16_000, window_seconds=2.048, hop_length=2048, pad_mode="reflect"
    ),
    "min and max, no floor": FrontEndSpec(
        window_seconds=1, pad_mode="reflect", normalize="min_max", top_db=None, ref=1.0
    ),
    "scaled coefficients": FrontEndSpec(
        kind="mfcc", n_fft=1024, hop_length=3000, pad_mode="reflect", ref=0.5,
        axes="frequency_first", normalize="fixed", mean=-3.0, scale=20.0,
    ),
    "not centred": FrontEndSpec(
        sample_rate=16_000, window_seconds=1, n_fft=512, hop_length=160, center=False,
        log="natural", amin=1e-6, n_mels=64, normalize="mean_variance",
    ),
    "a short window in the frame": FrontEndSpec(
        sample_rate=16_000, window_seconds=1, n_fft=512, win_length=400, hop_length=160,
        pad_mode="reflect", n_mels=40,
    ),
    "Hamming": FrontEndSpec(
        kind="mfcc", sample_rate=16_000, window_seconds=1, n_fft=512, hop_length=160, n_mfcc=13,
        window_function="hamming", center=False, n_mels=40, ref=1.0,
    ),
    "tiny": FrontEndSpec(
        sample_rate=8000, window_seconds=0.01, n_fft=8, hop_length=1, n_mels=3, fmin=300,
        fmax=3000, mel_scale="htk", mel_norm=None, pad_mode="reflect",
    ),
}  # fmt: skip


def _tolerance(spec: FrontEndSpec) -> float:
    """That of golden vectors: 1e-3 of the features' spread over music."""
    samples = music(spec.window_samples, spec.sample_rate)
    return 1e-3 * float(FrontEnd(spec)(samples).std())


@pytest.fixture(scope="module", params=SPECS)
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FrontEndSpec, Path]:
    spec = SPECS[request.param]
    return spec, compiled(spec, tmp_path_factory.mktemp("c"), *SANITIZED)


@pytest.mark.parametrize("name", SIGNALS)
def test_equal_to_numpy_and_clean_under_sanitizers(
    built: tuple[FrontEndSpec, Path], name: str
) -> None:
    spec, program = built
    samples = SIGNALS[name](spec.window_samples, spec.sample_rate)
    expected = FrontEnd(spec, precision="float64")(samples)
    found = features(program, samples).reshape(spec.shape)
    # Steady signals leave whole bands to what rounding makes of nothing: what single precision
    # does to them is the measure there, as the NumPy front end has it.
    rounding = np.abs(FrontEnd(spec)(samples) - expected).max()
    assert np.abs(found - expected).max() <= max(_tolerance(spec), 4 * rounding)


def test_how_near_it_is(tmp_path: Path, report: Callable[[str], None]) -> None:
    """In decibels, on golden vectors: as near to exact as NumPy in single precision."""
    spec = PRESETS["songnet-gtzan"].replace(normalize="none")
    program, worst = compiled(spec, tmp_path), {}
    for case in golden(Classifier.load("tiny-gtzan")).cases:
        samples = case.pcm / np.float32(32768)
        expected = FrontEnd(spec, precision="float64")(samples)
        both = features(program, case.pcm).reshape(spec.shape), FrontEnd(spec)(samples)
        worst[case.name] = [float(np.abs(each - expected).max()) for each in both]
    c, numpy = (max(column) for column in zip(*worst.values(), strict=True))
    report(f"largest error of the front end in C: {c:.1e} dB (NumPy in float32: {numpy:.1e} dB)")
    assert c <= 1e-3


def test_accepted_by_the_checker(tmp_path: Path) -> None:
    """As a user would do it, from exported tables and golden vectors to the verdict."""
    require("gcc", "make")
    vectors, results = tmp_path / "golden", tmp_path / "results"
    runner, root = CliRunner(), Path(__file__).parents[2]
    export = ["export", "songnet-gtzan", "--golden", vectors, "--c-tables", tmp_path / "tables"]
    assert runner.invoke(main, list(map(str, export))).exit_code == 0
    program = tmp_path / "features"
    make = ["make", "-C", root / "firmware_notes/c", f"TABLES={tmp_path / 'tables'}"]
    subprocess.run([*make, f"PROGRAM={program}"], check=True, capture_output=True)
    for wav in vectors.glob("*/pcm.wav"):
        place = results / wav.parent.name
        place.mkdir(parents=True)
        command = f"tail -c +45 '{wav}' | '{program}' s16 > '{place}/features.f32'"
        subprocess.run(command, shell=True, check=True)
    check = ["export", "songnet-gtzan", "--check", str(results)]
    result = runner.invoke(main, check)
    assert result.exit_code == 0, result.output
    assert result.output.count("accepted") == 5
    # A wrong one is not: the window function of a symmetric Hann, say.
    table = tmp_path / "tables/edge_genre_tables.h"
    text = table.read_text()
    wrong = re.sub(r"(eg_hann\[\d+\] = \{\s*)([^}]*)", _symmetric, text)
    assert wrong != text
    table.write_text(wrong)
    subprocess.run([*make, "-B", f"PROGRAM={program}"], check=True, capture_output=True)
    place = results / "music/features.f32"
    features(program, _pcm(vectors / "music/pcm.wav")).tofile(place)
    assert runner.invoke(main, check).exit_code == 3


def _symmetric(match: re.Match[str]) -> str:
    hann = np.hanning(2048)[:1025]
    return match[1] + ", ".join(f"{value:.9e}f" for value in hann)


def _pcm(path: Path) -> np.ndarray:
    return np.frombuffer(path.read_bytes()[44:], np.int16)


def test_valgrind_finds_nothing(tmp_path: Path) -> None:
    require("valgrind")
    spec = SPECS["hops beyond a frame"].replace(pad_mode="reflect", normalize="min_max")
    program = compiled(spec, tmp_path, "-g")
    samples = music(spec.window_samples, spec.sample_rate)
    checked = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full"]
    found = features(program, samples, *checked)
    expected = FrontEnd(spec)(samples)
    np.testing.assert_allclose(found.reshape(spec.shape), expected, atol=_tolerance(spec))


@pytest.mark.parametrize("name", ["songnet-gtzan", "audio-lyrics", "not centred"])
def test_streaming_in_blocks_of_any_size(name: str, tmp_path: Path) -> None:
    spec = SPECS[name]
    library, rng = Library(spec, tmp_path), np.random.default_rng(1)
    for window in range(2):  # of the second one, nothing of the first may be left
        samples = music(spec.window_samples, spec.sample_rate, seed=window)
        pcm = np.rint(samples * 32768).astype(np.int16)
        blocks = np.split(pcm, np.sort(rng.integers(0, len(pcm), 40)))
        for number, block in enumerate(blocks):
            assert not library.full()
            block = block / np.float32(32768) if number % 2 else block
            assert library.accept(block) == len(block)
        assert library.full()
        assert library.accept(pcm) == 0
        found = library.finish()
        expected = FrontEnd(spec)(pcm / np.float32(32768))
        np.testing.assert_allclose(found, expected, atol=_tolerance(spec))
        library.reset()


def test_a_short_window_is_padded(tmp_path: Path) -> None:
    spec = SPECS["songnet-gtzan"]
    library = Library(spec, tmp_path)
    samples = music(spec.window_samples // 3, spec.sample_rate)
    library.accept(samples)
    padded = np.pad(samples, (0, spec.window_samples - len(samples)))
    expected = FrontEnd(spec)(padded)
    np.testing.assert_allclose(library.finish(), expected, atol=_tolerance(spec))


def test_window_after_window(tmp_path: Path) -> None:
    spec = SPECS["songnet-gtzan"]
    program = compiled(spec, tmp_path)
    samples = music(5 * spec.window_samples // 2, spec.sample_rate)
    found = features(program, samples).reshape(-1, *spec.shape)
    for row, start in zip(found, range(0, len(samples), spec.window_samples), strict=True):
        window = samples[start : start + spec.window_samples]
        expected = FrontEnd(spec)(np.pad(window, (0, spec.window_samples - len(window))))
        np.testing.assert_allclose(row, expected, atol=_tolerance(spec))


def test_memory(tmp_path: Path, report: Callable[[str], None]) -> None:
    """No allocation, a stack of a few hundred bytes, and the sizes that the notes tell."""
    require("gcc", "nm", "size")
    spec = PRESETS["songnet-gtzan"]
    state = Library(spec, tmp_path / "library").size
    write_sources(tmp_path, c_tables(spec))
    source, unit = SOURCES / "edge_genre_frontend.c", tmp_path / "frontend.o"
    options = [*STRICT, "-Os", "-fstack-usage", f"-I{tmp_path}", "-c", str(source), "-o", str(unit)]
    subprocess.run(["gcc", *options], check=True)
    usage = [line.split("\t") for line in unit.with_suffix(".su").read_text().splitlines()]
    assert {kind for _, _, kind in usage} == {"static"}
    stack = sum(int(number) for _, number, _ in usage)  # more than the deepest chain of calls
    assert stack <= 1024
    needed = subprocess.run(["nm", "-u", unit], capture_output=True, text=True, check=True).stdout
    outside = {line.split()[-1] for line in needed.splitlines()}
    assert outside <= {"logf", "sqrtf", "memmove", "memset", "memcpy", "_GLOBAL_OFFSET_TABLE_"}
    sizes = subprocess.run(["size", unit], capture_output=True, text=True, check=True).stdout
    text, data, bss = map(int, sizes.splitlines()[1].split()[:3])
    assert data == bss == 0
    tables = 4 * (3 * 512 + 1025) + 4 * 128 + 4 * _weights(spec)
    report(
        f"front end in C for songnet-gtzan and tiny-gtzan: state {state:,} bytes, stack below "
        f"{stack}, tables {tables:,}, code {text - tables:,} on this processor"
    )
    # Features, a frame and the one to come, and four counters.
    assert state <= 4 * (39 * 128 + 2 * 2048 + 1) + 40
    assert text <= 28_000


def _weights(spec: FrontEndSpec) -> int:
    found = re.search(r"eg_mel_weights\[(\d+)\]", c_tables(spec)["edge_genre_tables.h"])
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "five_channel", "ref": 1.0, "axes": "channels_last"}, "beats and chroma"),
        ({"kind": "mfcc_deltas", "axes": "channels_last"}, "no deltas"),
        ({"kind": "waveform"}, "takes the samples themselves"),
        ({"n_fft": 2000}, "power of two"),
        ({"n_fft": 1 << 16}, "power of two"),
        ({"kind": "pcen"}, "log-mel and MFCC, not pcen"),
        ({"power": 1}, "takes power 2.0 alone, not 1.0"),
        ({"pre_emphasis": 0.97}, "takes pre_emphasis 0.0 alone, not 0.97"),
        ({"log": "log10"}, "'natural' or 'none' alone, not 'log10'"),
        ({"statistics": ["mean"]}, r"takes statistics \(\) alone, not \('mean',\)"),
        ({"normalize_over": "time"}, "takes normalize_over 'window' alone, not 'time'"),
        ({"scale": [2.0] * 128}, "takes one scale for all features, not 128"),
        ({"periodic": False}, "periodic window functions of an even win_length alone"),
        ({"win_length": 1001}, "periodic window functions of an even win_length alone"),
        (
            {"window_function": "hamming", "pad_mode": "reflect"},
            "pad_mode 'constant' alone with window_function 'hamming'",
        ),
    ],
)
def test_what_it_does_not_compute(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        c_tables(FrontEndSpec(**changes))


def test_bad_input_of_the_program(tmp_path: Path) -> None:
    program = compiled(SPECS["tiny"], tmp_path, *SANITIZED)

    def run(content: bytes, *arguments: str) -> tuple[int, str]:
        result = subprocess.run(
            [program, *arguments], input=content, capture_output=True, check=False
        )
        return result.returncode, result.stderr.decode()

    assert run(b"") == (2, "usage: features s16|f32 < samples > features.f32\n")
    assert run(b"", "mp3")[0] == 2
    assert run(b"", "s16") == (0, "")
    assert run(b"\0\0\0", "s16")[0] == 1
    code, message = run(np.array([0, np.nan], np.float32).tobytes(), "f32")
    assert code == 1
    assert "not a number" in message
    with Path("/dev/full").open("wb") as full:
        pcm = bytes(2 * 80)
        result = subprocess.run([program, "s16"], input=pcm, stdout=full, stderr=-1, check=False)
    assert result.returncode == 1
    assert result.stderr == b"features: cannot write\n"
