"""Audio files, raw PCM, the ring, and the devices' names."""

import io
import math
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edge_genre.audio import microphone
from edge_genre.audio.file import AudioFile, RealTime, find_audio
from edge_genre.audio.microphone import Device, find_device
from edge_genre.audio.pcm import PcmStream
from edge_genre.audio.ring import Ring
from edge_genre.audio.source import Metered, Source
from edge_genre.errors import AudioError, DeviceError
from tests.support.signals import music

FORMATS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "float.wav": {"format": "WAV", "subtype": "FLOAT"},
    "24.wav": {"format": "WAV", "subtype": "PCM_24"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
    "aiff": {"format": "AIFF", "subtype": "PCM_16"},
}
RATE = 24_000  # one that all of them take


def written(folder: Path, name: str, *, seconds: float = 5.0, channels: int = 2) -> Path:
    """An audio file of music in one of the formats, the channels in opposite balance."""
    path = folder / f"music.{name}"
    samples = music(round(seconds * RATE), RATE)
    balance = np.linspace(0.5, 1.5, channels) if channels > 1 else np.ones(1)
    with soundfile.SoundFile(path, "w", RATE, channels, **FORMATS[name]) as file:
        for first in range(0, len(samples), 4096):
            file.write(samples[first : first + 4096, None] * balance)
    return path


def everything(source: Source) -> np.ndarray:
    return np.concatenate(list(source.blocks()))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", FORMATS)
def test_formats(tmp_path: Path, name: str, channels: int) -> None:
    with AudioFile(written(tmp_path, name, channels=channels)) as source:
        assert source.rate == RATE
        samples = everything(source)
        assert samples.dtype == np.float32
        assert len(samples) / source.rate == pytest.approx(source.duration, abs=1e-6)
    assert len(samples) / source.rate == pytest.approx(5.0, abs=0.1)
    # The mean of the channels is the signal itself, up to what the codec leaves of it.
    level = float(np.sqrt(np.mean(np.square(samples))))
    expected = float(np.sqrt(np.mean(np.square(music(5 * RATE, RATE)))))
    assert level == pytest.approx(expected, rel=0.05)


def test_blocks_are_short(tmp_path: Path) -> None:
    """A file is never in memory as a whole."""
    with AudioFile(written(tmp_path, "flac", seconds=5.5)) as source:
        assert [len(block) for block in source.blocks()] == [RATE] * 5 + [RATE // 2]


@pytest.mark.parametrize("part", [0.3, 0.7, 0.98])
@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "opus", "mp3", "aiff"])
def test_cut_off_files_are_errors(tmp_path: Path, name: str, part: float) -> None:
    path = written(tmp_path, name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(AudioError, match="cut off"), AudioFile(path) as source:
        everything(source)


@pytest.mark.parametrize("container", ["AU", "W64", "RF64"])
def test_cut_off_files_of_rarer_kinds(tmp_path: Path, container: str) -> None:
    path = tmp_path / "rare"
    soundfile.write(path, music(RATE, RATE), RATE, format=container, subtype="PCM_16")
    with AudioFile(path) as source:
        assert len(everything(source)) == RATE
    path.write_bytes(path.read_bytes()[: RATE // 2])
    with pytest.raises(AudioError, match="cut off"):
        AudioFile(path)


def test_a_wrong_riff_size_alone_is_no_cut(tmp_path: Path) -> None:
    """What counts is whether the samples are there."""
    content = bytearray(written(tmp_path, "wav").read_bytes())
    struct.pack_into("<I", content, 4, len(content) + 8)
    (tmp_path / "odd.wav").write_bytes(content)
    with AudioFile(tmp_path / "odd.wav") as source:
        assert len(everything(source)) == 5 * RATE


@pytest.mark.parametrize("bitrate", ["CONSTANT", "VARIABLE"])
def test_mp3_without_a_header_of_its_length(tmp_path: Path, bitrate: str) -> None:
    """Radio recordings and old encoders: libsndfile can only guess how long they are."""
    path = tmp_path / "whole.mp3"
    samples = music(20 * RATE, RATE)
    with soundfile.SoundFile(
        path, "w", RATE, 1, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode=bitrate
    ) as file:
        file.write(samples)
    content = path.read_bytes()
    header = next(name for name in (b"Xing", b"Info") if name in content[:500])
    bare = tmp_path / "bare.mp3"
    bare.write_bytes(content.replace(header, bytes(4), 1))
    with AudioFile(bare) as source:
        assert len(everything(source)) / RATE == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("declared", [0xFFFFFFFF, 0x7FFFFFFF])
def test_wav_from_a_pipe_is_whole(tmp_path: Path, declared: int) -> None:
    """Who writes to a pipe does not know the length, and declares the greatest one."""
    content = bytearray(written(tmp_path, "wav").read_bytes())
    struct.pack_into("<I", content, 4, declared)
    struct.pack_into("<I", content, content.index(b"data") + 4, declared)
    path = tmp_path / "pipe.wav"
    path.write_bytes(content)
    with AudioFile(path) as source:
        assert len(everything(source)) == 5 * RATE


def test_files_that_are_no_audio(tmp_path: Path) -> None:
    cases = {
        "empty.wav": (b"", "is empty"),
        "text.mp3": (b"this is a text, not music\n" * 50, "no audio file"),
        "noise.flac": (np.random.default_rng(0).bytes(10_000), "no audio file"),
        "head.wav": (b"RIFF", "no audio file|cut off"),
        "head.ogg": (b"OggS" + bytes(10), "no audio file|cut off"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AudioError, match=message):
            AudioFile(tmp_path / name)
    with pytest.raises(AudioError, match="no such file"):
        AudioFile(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match="folder"):
        AudioFile(tmp_path)


def test_find_audio(tmp_path: Path) -> None:
    for name in ("b.wav", "a/x.MP3", "a/y.txt", "a/.hidden.ogg", ".trash/z.flac", "c.opus"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in find_audio(tmp_path)]
    assert names == ["a/x.MP3", "b.wav", "c.opus"]


def test_real_time(tmp_path: Path) -> None:
    """No block comes before it would have been played."""
    now = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def clock() -> float:
        return now

    with AudioFile(written(tmp_path, "wav", seconds=1.25)) as source:
        played = 0
        for block in RealTime(source, clock=clock, sleep=sleep).blocks():
            played += len(block)
            assert now - 100 == pytest.approx(played / RATE)
            now += 0.01  # the listener's own work is not added to the wait
    assert played == 1.25 * RATE


@pytest.mark.parametrize(("limit", "seconds"), [(1.5, 1.5), (10, 3), (None, 3)])
def test_metered(tmp_path: Path, limit: float | None, seconds: float) -> None:
    with AudioFile(written(tmp_path, "wav", seconds=3)) as source:
        metered = Metered(source, limit)
        assert len(everything(metered)) == seconds * RATE
        assert metered.seconds == seconds


@pytest.mark.parametrize(
    ("sample_format", "dtype", "scale"),
    [("s16le", "<i2", 32768), ("s32le", "<i4", 2**31), ("f32le", "<f4", 1)],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_raw_pcm(sample_format: str, dtype: str, scale: int, channels: int) -> None:
    samples = music(30_000, 22_050)
    values = np.repeat(samples[:, None] * scale, channels, axis=1).astype(dtype)
    stream = PcmStream(
        io.BytesIO(values.tobytes()), rate=22_050, channels=channels, sample_format=sample_format
    )
    np.testing.assert_allclose(everything(stream), samples, atol=1 / 32768)


def test_raw_pcm_that_ends_within_a_sample() -> None:
    stream = PcmStream(io.BytesIO(bytes(4001)), rate=22_050, channels=2)
    with pytest.raises(AudioError, match="within a sample: 1 of 4 bytes"):
        everything(stream)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=60))
def test_ring_is_a_queue_that_counts_what_it_drops(steps: list[tuple[bool, int]]) -> None:
    ring = Ring(100)
    queue: list[float] = []
    counter, dropped = 0, 0
    for write, size in steps:
        if write:
            block = np.arange(counter, counter + size, dtype=np.float32)
            counter += size
            room = 100 - len(queue)
            queue += block[:room].tolist()
            dropped += max(0, size - room)
            ring.write(block[:, None])
        else:
            taken: list[float] = []
            while len(block := ring.read(timeout=0)):
                taken += block.tolist()
            assert taken == queue
            queue = []
    while len(ring.read(timeout=0)):
        pass
    assert ring.dropped == dropped


def test_ring_between_threads() -> None:
    """Everything arrives once and in order while both sides run at full speed."""
    ring, total = Ring(10_000), 400_000
    received: list[np.ndarray] = []

    def reader() -> None:
        count = 0
        while count < total:
            block = ring.read(timeout=60)
            assert len(block)
            received.append(block)
            count += len(block)

    thread = threading.Thread(target=reader)
    thread.start()
    position = 0
    while position < total:
        block = np.arange(position, min(position + 317, total), dtype=np.float32)
        while 10_000 - (ring._written - ring._read) < len(block):
            pass
        ring.write(block[:, None])
        position += len(block)
    thread.join(timeout=300)
    assert not thread.is_alive()
    assert ring.dropped == 0
    np.testing.assert_array_equal(np.concatenate(received), np.arange(total, dtype=np.float32))


def test_ring_gap_is_where_the_samples_are_missing() -> None:
    """What was buffered before the loss comes first, and counts as whole."""
    ring = Ring(10)
    ring.write(np.arange(12, dtype=np.float32)[:, None])
    assert ring.read(0).tolist() == list(range(10))
    assert ring.dropped == 0
    ring.write(np.arange(12, 15, dtype=np.float32)[:, None])
    assert ring.read(0).tolist() == [12, 13, 14]
    assert ring.dropped == 2


def test_ring_samples_that_were_taken_wake_nobody() -> None:
    """What was read without waiting must not look like a time-out to the next reader."""
    ring = Ring(100)
    for size in (5, 7):
        ring.write(np.ones((size, 1), np.float32))
        assert len(ring.read(timeout=60)) == size
    threading.Timer(0.05, ring.write, [np.ones((9, 1), np.float32)]).start()
    assert len(ring.read(timeout=60)) == 9
    assert len(ring.read(timeout=0.01)) == 0


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_ring_mixes_down(channels: int) -> None:
    """By the mean, where the buffer begins again, too."""
    ring = Ring(10)
    rng = np.random.default_rng(0)
    for _ in range(5):
        block = rng.standard_normal((7, channels)).astype(np.float32)
        ring.write(block)
        np.testing.assert_allclose(ring.read(0), block.mean(axis=1), rtol=1e-5, atol=1e-7)


def test_ring_read_times_out() -> None:
    assert len(Ring(10).read(timeout=0.01)) == 0


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Device(0, "USB Audio: one", "ALSA", 1, 48_000, default=False),
        Device(3, "default", "ALSA", 2, 44_100, default=True),
        Device(4, "USB Audio: two", "ALSA", 1, 16_000, default=False),
    ]
    monkeypatch.setattr(microphone, "devices", lambda: found)


@pytest.mark.usefixtures("two_devices")
@pytest.mark.parametrize(
    ("wanted", "index"), [(None, 3), ("", 3), ("4", 4), (0, 0), ("TWO", 4), ("default", 3)]
)
def test_find_device(wanted: str | int | None, index: int) -> None:
    assert find_device(wanted).index == index


@pytest.mark.usefixtures("two_devices")
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("bluetooth", "is no input device; there are 0: USB"),
        ("usb", "fits 2 devices"),
        ("9", "is no"),
    ],
)
def test_find_device_says_what_there_is(wanted: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        find_device(wanted)


def test_find_device_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "devices", list)
    with pytest.raises(DeviceError, match="no microphone found"):
        find_device()


def test_level_of_full_scale() -> None:
    from edge_genre.results import MIN_DBFS, level_dbfs

    assert level_dbfs(np.ones(1000, np.float32)) == pytest.approx(0, abs=1e-5)
    sine = np.sin(2 * math.pi * np.arange(1000) / 100).astype(np.float32)
    assert level_dbfs(sine) == pytest.approx(-3.01, abs=0.01)
    assert level_dbfs(np.zeros(1000, np.float32)) == MIN_DBFS
    assert level_dbfs(np.full(1000, 1e-30, np.float32)) == MIN_DBFS
