"""The browser page listens to a microphone, in real time, and hears what `classify` hears."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from edge_genre.audio.file import AudioFile
from edge_genre.audio.resample import resampled
from edge_genre.classifier import Classifier
from edge_genre.demo import clip
from tests.support.browser import Visit, launched, playwright, served, site, waveform_file
from tests.support.waiting import on_time

pytestmark = pytest.mark.alone

RATE = 22_050
SECONDS = 8
# Of a probability, as in test_browser.py.
TOLERANCE = {"tflite": 0.01, "onnx": 1e-4}


# A second listener beside the page's own, to know what exactly the page has heard: false
# microphones lose samples when they start, and on busy machines later, too.
_TAP = """() => {
    const make = AudioContext.prototype.createMediaStreamSource;
    AudioContext.prototype.createMediaStreamSource = function (stream) {
        const source = make.call(this, stream);
        const tap = new AudioWorkletNode(this, "recorder", { numberOfOutputs: 0 });
        window.tapped = [];
        tap.port.onmessage = ({ data }) => tapped.push(...data);
        source.connect(tap);
        return source;
    };
}"""
_TAPPED = """() => {
    const bytes = new Uint8Array(Float32Array.from(tapped).buffer);
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) {
        text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    }
    return btoa(text);
}"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page's models."""
    folder = tmp_path_factory.mktemp("models")
    return {kind: waveform_file(f"songnet-gtzan.{kind}", folder) for kind in ("tflite", "onnx")}


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears: the demo clip at the rate of the browser's sound card."""
    with AudioFile(clip()) as source:
        samples = resampled(source, RATE)
    path = tmp_path_factory.mktemp("audio") / "played.wav"
    soundfile.write(path, soxr.resample(samples, RATE, 44_100), 44_100, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def visit(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], audio: Path
) -> Iterator[Visit]:
    """The page in a browser with a microphone."""
    folder = tmp_path_factory.mktemp("site")
    named = {f"genre.{kind}": path for kind, path in models.items()}
    with (
        playwright() as driver,
        launched(
            driver,
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={audio}",
        ) as browser,
        served(site(folder, named)) as server,
        Visit(browser, server.url) as visit,
    ):
        visit.ready()
        visit.page.evaluate(_TAP)
        yield visit


def heard(visit: Visit, seconds: float) -> list[dict[str, Any]]:
    """Listen for some time."""
    visit.page.click("#listen")
    visit.shows("listen", "Stop")
    time.sleep(seconds)
    visit.page.click("#listen")
    visit.shows("listen", "Listen")
    return visit.saved()


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_hears_what_classify_hears(visit, models, audio, tmp_path, report, kind):
    visit.page.select_option("#engine", kind)
    visit.ready()
    found = heard(visit, SECONDS)
    samples = np.frombuffer(base64.b64decode(visit.page.evaluate(_TAPPED)), np.float32)
    on_time(len(found) >= SECONDS - 5, f"{len(found)} windows in {SECONDS} s")
    assert [row["start"] for row in found] == list(range(len(found)))
    on_time(not any(row["skipped_windows"] for row in found), "windows were skipped")

    played, rate = soundfile.read(audio, dtype="float32")
    seconds = [samples[at : at + rate] for at in range(0, len(samples) - rate, rate)]
    whole = sum(is_part(second, played) for second in seconds)
    on_time(whole > len(seconds) / 2, f"{whole} of {len(seconds)} seconds came whole")

    classifier = Classifier.load(models[kind])
    mine = np.array([list(row["probabilities"].values()) for row in found])
    expected = []
    # The tap is connected first, and may be a few blocks of the audio thread ahead.
    for ahead in range(0, 1024, 128):
        path = tmp_path / "heard.wav"
        soundfile.write(path, samples[ahead:], rate, subtype="FLOAT")
        windows = classifier.classify_file(path, hop=1.0).windows[: len(found)]
        row = np.array([list((window.probabilities or {}).values()) for window in windows])
        expected.append((np.abs(row - mine).max(), [window.label for window in windows]))
    off, labels = min(expected)
    report(f"{kind}: {len(mine)} windows off by {off:.1e} at most")
    assert off < TOLERANCE[kind]
    assert [row["label"] for row in found] == labels


def is_part(piece: np.ndarray, whole: np.ndarray) -> bool:
    """Whether some samples stand somewhere in others, but for the rounding of 16 bits."""
    size = len(piece) + len(whole)
    spectra = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(piece, size))
    at = int(np.fft.irfft(spectra, size)[: len(whole) - len(piece)].argmax())
    return bool(np.abs(whole[at : at + len(piece)] - piece).max() < 1e-3)


def test_a_machine_that_is_too_slow_is_never_late(visit):
    # More windows than any machine can classify.
    visit.page.eval_on_selector("#hop option", "option => { option.value = '0.001'; }")
    visit.page.select_option("#hop", index=0)
    found = heard(visit, 5)
    skipped = sum(row["skipped_windows"] for row in found)
    assert skipped > 100
    # The last window is the newest: what was listened to is over, not waiting.
    end = found[-1]["end"]
    on_time(3.5 < end < 6.5, f"after 5 s the newest window ends at {end} s")


def test_stops_and_starts_again(visit):
    visit.page.select_option("#hop", "1")
    first = heard(visit, 4)
    again = heard(visit, 4)
    on_time(bool(first and again), "no window in 4 s")
    assert again[0]["start"] == 0
    assert visit.mistakes == []


def test_a_microphone_that_goes_away_is_said(visit):
    visit.page.evaluate(
        """() => {
            const { mediaDevices } = navigator;
            const open = mediaDevices.getUserMedia.bind(mediaDevices);
            mediaDevices.getUserMedia = async (wanted) => (window.opened = await open(wanted));
        }"""
    )
    visit.page.click("#listen")
    visit.shows("status", re.compile(" a window$"))
    # What a browser does when the device is pulled out.
    visit.page.evaluate("() => opened.getTracks()[0].dispatchEvent(new Event('ended'))")
    assert visit.problem() == "The microphone went away."
    visit.shows("listen", "Listen")
    assert visit.saved()
