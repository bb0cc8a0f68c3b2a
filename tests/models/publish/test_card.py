"""Cards: calibration, the artist effect, what is measured, and that bad folders are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge_genre.errors import DataError
from edge_genre.frontend import FrontEndSpec
from edge_genre.model.bundled import find_model
from edge_genre.models.data.corpus import Tracks
from edge_genre.models.data.dataset import Data
from edge_genre.models.publish import figures as measure
from edge_genre.models.publish.card import write_card
from edge_genre.models.train.baselines import artist_effect
from edge_genre.models.train.temperature import calibrate, fit_temperature
from edge_genre.results import tempered
from tests.support import models_on_the_fly as small

SPEC = FrontEndSpec.preset("songnet-gtzan")


def _drawn(n: int, classes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are exactly as sure as they should be, and labels drawn from them."""
    rows = rng.dirichlet(np.full(classes, 0.7), n)
    labels = np.array([rng.choice(classes, p=row) for row in rows])
    return rows, labels


def test_a_temperature_undoes_overconfidence() -> None:
    rows, labels = _drawn(4000, 5, np.random.default_rng(0))
    assert fit_temperature(rows, labels) == pytest.approx(1, rel=0.06)
    assert fit_temperature(tempered(rows, 0.5), labels) == pytest.approx(2, rel=0.06)
    assert fit_temperature(tempered(rows, 2.5), labels) == pytest.approx(0.4, rel=0.06)


def test_windows_and_songs_are_calibrated_apart() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 300)
    owner = np.repeat(np.arange(300), 9)
    # Windows err on their own: their mean knows more than it says.
    logits = rng.normal(size=(2700, 4))
    logits[np.arange(2700), labels[owner]] += 1.2
    rows = np.exp(3 * logits) / np.exp(3 * logits).sum(1, keepdims=True)
    found = calibrate(rows, owner, labels)
    assert found["temperature"] > 1.5
    assert found["song_temperature"] < 0.7
    for kind in ("window", "track"):
        before, after = found[f"{kind}_error"]
        assert after < before / 2
    assert found["cross_fitted_error"] < found["track_error"][0]


def test_songs_of_one_window_have_one_temperature() -> None:
    rows, labels = _drawn(200, 3, np.random.default_rng(0))
    assert calibrate(rows, np.arange(200), labels)["song_temperature"] == 1.0


def test_what_is_known_of_artists_is_no_genre() -> None:
    """What an artist sounds like tells the genre, until the artist is new."""
    rng = np.random.default_rng(0)
    frames, labels, held = [], [], []
    for genre in range(2):
        for artist in range(6):
            sound = rng.normal(0, 12, SPEC.n_mels)  # of the artist, not of the genre
            for _ in range(6):
                frames.append(-40 + sound + rng.normal(0, 3, (2 * SPEC.n_frames, SPEC.n_mels)))
                labels.append(genre)
                held.append(artist >= 4)
    lengths, names = np.full(len(frames), 2 * SPEC.n_frames), np.arange(len(frames)).astype(str)
    levels = np.concatenate(frames).astype(np.float32)
    tracks = Tracks(levels, lengths, np.array(labels), names, names, ("a", "b"))
    held_out = np.array(held)
    data = Data(tracks.chosen(~held_out), tracks.chosen(held_out), "made up", "by artist", SPEC)
    found = artist_effect(data)
    assert found["genres"] == ["a", "b"]
    assert found["all_mixed"] > 0.9
    assert found["all_apart"] < 0.8
    assert len(found["apart"]) == len(found["mixed"]) == 2


def test_measuring_a_bundled_model(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    rows = ["track,genre,split,extent,file"]
    rng = np.random.default_rng(0)
    for number, part in enumerate(("valid", "train", "valid")):
        name = f"metal.{number:05}.wav"
        rows.append(f"metal.{number:05},metal,{part},full,{name}")
        soundfile.write(clips / name, rng.normal(0, 0.1, 4 * 22_050), 22_050)
    (clips / "index.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "measured.json").write_text('{"kept": 1}')
    files = [str(find_model(name)) for name in ("songnet-gtzan", "songnet-gtzan.onnx")]
    done = CliRunner().invoke(measure.main, [str(tmp_path), *files, "--clips", str(clips)])
    assert done.exit_code == 0, done.output
    values = json.loads((tmp_path / "measured.json").read_text())
    assert values["kept"] == 1
    assert values["robustness"]["tracks"] == 2
    assert 0 <= min(values["robustness"]["conditions"].values()) <= 2
    for kind in ("tflite", "onnx"):
        assert values["cost"][kind]["inference_ms"] > 0


def test_folders_without_a_run_and_files_without_description(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(small.onnx_graph())
    with pytest.raises(DataError, match="says nothing of itself"):
        write_card(tmp_path, [path])
    path.write_bytes(small.onnx_model())
    with pytest.raises(DataError, match=r"holds no metrics\.json"):
        write_card(tmp_path, [path])
