"""No skew: windows for training, validation and calibration are those that the device computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import resampled
from edge_genre.benchmarks.accuracy.features_file import TOP_DB, decibels
from edge_genre.benchmarks.accuracy.levels import features_of
from edge_genre.frontend import PRESETS, FrontEnd, FrontEndSpec
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.data.stored import Levels, Stored, storing
from edge_genre.models.data.whole_track import WholeTracks
from edge_genre.models.train.augment import Augmentation
from tests.support.signals import music

# None of them changes anything.
NOTHING = Augmentation(
    stretch=0,
    shift=0,
    equalise_db=0,
    floor_db=-1000,
    masks=0,
    jitter_db=0,
    band_limited=0,
    coded=0,
    overdriven=0,
    reverberant=0,
)
# Where frames are cut in other ways than the presets', a window's edges are others.
OTHERS = {
    "not centred": FrontEndSpec(center=False),
    "reflected": FrontEndSpec(pad_mode="reflect", hop_length=300),
    "one frame's length": FrontEndSpec(window_seconds=2048 / 22_050, hop_length=700),
    "hop beyond a frame": FrontEndSpec(n_fft=512, hop_length=1500, window_seconds=1.0),
    "odd frames": FrontEndSpec(n_fft=601, hop_length=200, sample_rate=8000, window_seconds=1.0),
    "as tutorials have them": FrontEndSpec(
        win_length=1200, window_function="hamming", periodic=False, power=1.0, pre_emphasis=0.97
    ),
    "decibels of magnitudes": FrontEndSpec(log="amplitude_db", power=1.0, ref=1.0),
    "decimal logarithm": FrontEndSpec(log="log10", power=1.0, amin=1e-6),
    "each band by itself": FrontEndSpec(normalize="mean_variance", normalize_over="time"),
    "statistics": FrontEndSpec(kind="mfcc", n_mfcc=20, statistics=("mean", "std")),
    "MFCC of a window": FrontEndSpec(kind="mfcc", normalize="mean_variance", n_mfcc=20),
    "the samples": FrontEndSpec(kind="waveform", sample_rate=8000, window_seconds=1.0),
}
SPECS = PRESETS | OTHERS
OF_LEVELS = {name: spec for name, spec in SPECS.items() if spec.made_of_levels}


def heard(spec: FrontEndSpec, samples: np.ndarray, start: int) -> np.ndarray:
    """What the device computes of a window."""
    return FrontEnd(spec)(samples[start : start + spec.window_samples])


def close(got: np.ndarray, want: np.ndarray) -> None:
    """Equal but for rounding, whatever the features' scale is."""
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * max(1, np.abs(want).max()))


def kept(spec: FrontEndSpec) -> tuple[np.ndarray, Stored]:
    """Two and a half windows of music, and what is kept of them."""
    samples = music(int(2.5 * spec.window_samples), spec.sample_rate)
    return samples, storing(spec)(samples)


def tracks_of(spec: FrontEndSpec, sound: Stored) -> Tracks:
    names = np.array(["a"])
    return Tracks(spec, (sound,), np.zeros(1, np.int64), names, names, ("a",))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_windows_side_by_side_are_the_devices(spec: FrontEndSpec) -> None:
    samples, sound = kept(spec)
    windows, owner = tracks_of(spec, sound).windows()
    assert owner.tolist() == [0, 0]
    for number, window in enumerate(windows):
        close(window, heard(spec, samples, number * spec.window_samples))


@pytest.mark.parametrize("spec", OF_LEVELS.values(), ids=OF_LEVELS)
def test_windows_from_anywhere_are_the_devices(spec: FrontEndSpec) -> None:
    samples, sound = kept(spec)
    starts = range(0, len(sound) - spec.n_frames + 1, sound.edges.grid)
    assert len(starts) >= 2
    # Every place that a window can begin at.
    hop = spec.hop_length
    assert (starts[-1] + sound.edges.grid) * hop + spec.window_samples > len(samples)
    for start in {starts[0], starts[len(starts) // 2], starts[-1]}:
        crop = sound.crop(start + 0.4, 1.0, spec.n_frames, blend=True)
        close(features_of(spec, crop[None])[0], heard(spec, samples, start * hop))


@pytest.mark.parametrize("spec", OF_LEVELS.values(), ids=OF_LEVELS)
def test_training_sees_them_if_nothing_is_augmented(spec: FrontEndSpec) -> None:
    spec = spec.replace(window_seconds=min(spec.window_seconds, 3.0))
    samples, sound = kept(spec)
    seen = NOTHING.windows(
        tracks_of(spec, sound), np.zeros(3, int), spec.n_frames, np.random.default_rng(0)
    )
    assert seen.shape == (3, *spec.shape)
    grid, hop = sound.edges.grid, spec.hop_length
    could = [
        heard(spec, samples, start * hop)
        for start in range(0, len(sound) - spec.n_frames + 1, grid)
    ]
    for window in seen:
        nearest = min(could, key=lambda each: np.abs(each - window).max())
        np.testing.assert_allclose(
            window, nearest, rtol=1e-3, atol=1e-4 * max(1, np.abs(nearest).max())
        )


def test_edges_take_no_more_room_than_the_frames() -> None:
    for spec in PRESETS.values():
        if spec.made_of_levels:
            seconds = 2 * spec.window_seconds
            arrays = storing(spec)(music(int(seconds * spec.sample_rate), spec.sample_rate)).arrays
            assert arrays["first"].size + arrays["last"].size <= 1.1 * arrays["frames"].size


def test_faster_and_slower_windows_keep_edges_and_meet_the_frames_between() -> None:
    spec = PRESETS["log-mel"]
    sound = Levels(spec)(music(10 * spec.sample_rate, spec.sample_rate))
    edges = sound.edges
    assert (edges.first, edges.last) == (2, 2)
    for rate in (0.82, 1.18):
        crop = sound.crop(40, rate, spec.n_frames, blend=False)
        position = np.rint(40 + rate * np.arange(spec.n_frames)).astype(int)
        np.testing.assert_array_equal(crop[2:-2], sound.frames[position[2:-2]])
        np.testing.assert_array_equal(crop[:2], sound.first[40 // edges.grid])
        ends = edges.end + edges.grid * np.arange(len(sound.last))
        nearest = np.abs(ends - position[-1]).argmin()
        np.testing.assert_array_equal(crop[-2:], sound.last[nearest])


def test_crops_shorter_than_a_window_have_its_edges() -> None:
    """Recipes may train on parts of a window, however short, from anywhere in a track."""
    spec = PRESETS["log-mel"]
    sound = Levels(spec)(music(7 * spec.sample_rate, spec.sample_rate))
    for n_frames in (2, 3, 20):
        for start in (0, 8, len(sound) - n_frames):
            crop = sound.crop(start, 1.0, n_frames, blend=True)
            assert crop.shape == (n_frames, spec.n_mels)
            assert np.isfinite(crop).all()
    np.testing.assert_array_equal(crop[-2:], sound.last[-1])
    np.testing.assert_array_equal(sound.crop(8, 1.0, 20, blend=True)[:2], sound.first[2])


def test_chunks_are_windows() -> None:
    spec = PRESETS["log-mel"]
    sound = Levels(spec)(music(7 * spec.sample_rate, spec.sample_rate))
    chunks = sound.chunks()
    assert len(chunks) == 2
    for chunk, window in zip(chunks, sound.windows, strict=True):
        np.testing.assert_array_equal(chunk.windows, window[None])
        np.testing.assert_array_equal(chunk.crop(0, 1.0, spec.n_frames, blend=True), window)


@pytest.mark.parametrize("name", ["songnet-gtzan", "log-mel", "mfcc-13", "five-channel"])
def test_from_a_file_too(name: str, tmp_path: Path) -> None:
    """Computed and from the cache, at another rate."""
    spec, path = PRESETS[name], tmp_path / "song.flac"
    soundfile.write(path, music(8 * 44_100, 44_100), 44_100)
    with AudioFile(path) as source:
        samples = resampled(source, spec.sample_rate)
    for _ in range(2):
        sound = WholeTracks(spec, tmp_path / "cache")(path).sound
        windows, _ = tracks_of(spec, sound).windows()
        assert len(windows) == 2
        for number, window in enumerate(windows):
            close(window, heard(spec, samples, number * spec.window_samples))


@pytest.mark.slow
def test_what_a_features_file_leaves_out(clips: Path, report: Callable[[str], None]) -> None:
    """Real windows as the device computes them, cut from a track's frames, and kept as bytes."""
    classifier = Classifier.load()
    spec = classifier.spec
    store, n_frames = Levels(spec), spec.n_frames
    first, others, changed = [], [], []
    for path in sorted(clips.glob("*.opus"))[::3]:
        with AudioFile(path) as source:
            sound = store(resampled(source, spec.sample_rate))
        columns = Stored.of_columns(sound.frames, n_frames)
        loudest = sound.frames.max()
        share = np.clip((columns.windows - loudest) / TOP_DB + 1, 0, 1)
        as_bytes = decibels(np.rint(share * 255).astype(np.uint8))
        starts = np.arange(len(columns.windows)) * n_frames
        device, cut, kept = (
            features_of(spec, windows)
            for windows in (
                np.stack([sound.crop(start, 1.0, n_frames, blend=False) for start in starts]),
                columns.windows,
                as_bytes,
            )
        )
        first.append(np.abs(device - cut)[:, 0])
        others.append(np.abs(device - kept)[:, 1:])
        said = [np.stack([classifier.run(x) for x in some]) for some in (device, cut, kept)]
        changed.append([(row.argmax(1) != said[0].argmax(1)) for row in said[1:]])
    edges, in_bytes = np.concatenate(changed, axis=1).mean(axis=1)
    report(
        f"{sum(map(len, first))} windows of {len(first)} clips: without its own edge a window's "
        f"first frame differs by {np.concatenate(first).mean():.2f} standard deviations and "
        f"{edges:.1%} of the genres; as bytes, the others by {np.concatenate(others).mean():.3f}, "
        f"and {in_bytes:.1%}"
    )
    assert np.concatenate(others).mean() < 0.03
    assert max(edges, in_bytes) < 0.04
