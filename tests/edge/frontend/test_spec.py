"""Specifications: their JSON and hashes, what they refuse, and the kinds that they are of."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from edge_genre.errors import SpecError
from edge_genre.frontend import PRESETS, FrontEnd, FrontEndSpec, kinds
from edge_genre.frontend.kinds.mfcc import Mfcc
from tests.support.front_ends import specs

# What edge-genre 0.1.0 made of these values: its presets, and many others.
RELEASED = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data/front_ends.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("known", RELEASED, ids=lambda known: known["hash"])
def test_json_and_hash_are_those_of_0_1_0(known: dict[str, Any]) -> None:
    """Model files carry them: a change here makes files fail to load."""
    values = known["given"]
    spec = PRESETS[values] if isinstance(values, str) else FrontEndSpec.from_dict(values)
    assert json.dumps(spec.to_dict()) == json.dumps(known["front_end"])
    assert spec.hash == known["hash"]
    assert list(spec.shape) == known["shape"]
    assert spec.format_version == 1
    assert FrontEndSpec.from_dict(known["front_end"]) == spec


@given(specs())
def test_round_trips(spec: FrontEndSpec) -> None:
    again = FrontEndSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert again.hash == spec.hash
    assert hash(again) == hash(spec)
    for same in (pickle.loads(pickle.dumps(spec)), copy.deepcopy(spec), spec.replace()):
        assert same == spec
        assert type(same) is type(spec)


def test_whole_and_decimal_numbers_mean_the_same() -> None:
    assert FrontEndSpec(window_seconds=3, top_db=80).hash == FrontEndSpec().hash


def test_hash_tells_specs_apart() -> None:
    hashes = {FrontEndSpec().hash, FrontEndSpec(hop_length=511).hash, FrontEndSpec(ref=1.0).hash}
    assert len(hashes) == 3


@pytest.mark.parametrize("kind", kinds.names())
def test_a_kind_is_found_by_its_name(kind: str) -> None:
    """Its defaults are possible values, and it says what a reader wants to know."""
    spec = FrontEndSpec(kind=kind)
    assert type(spec) is kinds.named(kind)
    assert spec == FrontEndSpec.from_dict({"kind": kind}) == type(spec)()
    features = FrontEnd(spec)(np.zeros(spec.window_samples, np.float32))
    assert features.shape == spec.shape
    assert spec.description
    assert spec.no_graph or spec.no_graph is None
    assert spec.no_c or spec.in_c()


def test_kinds_that_are_not_asked_for_are_not_loaded() -> None:
    program = """
import sys
from edge_genre.frontend import FrontEnd, FrontEndSpec
FrontEnd(FrontEndSpec(kind="mfcc"))
print([name.rsplit(".", 1)[-1] for name in sys.modules if ".frontend.kinds." in name])
print([name for name in ("pkgutil", "edge_genre.frontend.beats") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout.decode().splitlines() == ["['mfcc']", "[]"]


def test_fields_of_other_kinds_are_refused() -> None:
    for make in (
        lambda: FrontEndSpec(kind="waveform", n_mels=64),
        lambda: FrontEndSpec(kind="waveform").replace(n_mels=64),
        lambda: FrontEndSpec.from_dict({"kind": "waveform", "n_mels": 64}),
    ):
        with pytest.raises(SpecError) as caught:
            make()
        assert str(caught.value) == (
            "front-end spec: unknown key 'n_mels'; waveform has kind, sample_rate, window_seconds"
        )


def test_another_kind_keeps_the_fields_that_both_have() -> None:
    log_mel = FrontEndSpec(sample_rate=16_000, n_mels=64, ref=1.0)
    assert log_mel.replace(kind="mfcc", n_mfcc=13) == Mfcc(
        sample_rate=16_000, n_mels=64, ref=1.0, n_mfcc=13
    )
    assert log_mel.replace(kind="waveform") == FrontEndSpec(kind="waveform", sample_rate=16_000)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "spectrogram"),
        ("kind", "../mel"),
        ("kind", "__init__"),
        ("kind", ["mfcc"]),
        ("kind", None),
        ("sample_rate", 0),
        ("sample_rate", 22050.5),
        ("n_fft", True),
        ("hop_length", -1),
        ("n_mels", "128"),
        ("center", 1.5),
        ("mel_scale", "bark"),
        ("fmin", -1),
        ("fmin", 12_000),
        ("fmax", 12_000),
        ("ref", 0),
        ("ref", "mean"),
        ("amin", 0),
        ("amin", float("nan")),
        ("top_db", -80),
        ("scale", 0),
        ("window_seconds", 0.01),
        ("window_seconds", float("inf")),
        ("axes", "ft"),
    ],
)
def test_impossible_value_is_named(key: str, value: object) -> None:
    with pytest.raises(SpecError, match=key):
        FrontEndSpec.from_dict({key: value})


@pytest.mark.parametrize("center", [True, False])
def test_deltas_need_nine_frames(center: bool) -> None:
    values = {"kind": "mfcc_deltas", "sample_rate": 8000, "n_fft": 1000, "hop_length": 400}
    samples = 9 * 400 if center else 1000 + 8 * 400
    spec = FrontEndSpec(**values, center=center, window_seconds=samples / 8000)
    assert spec.n_frames >= 9
    with pytest.raises(SpecError, match="window_seconds"):
        spec.replace(window_seconds=(samples - 1) / 8000)


def test_a_class_is_of_its_own_kind() -> None:
    with pytest.raises(SpecError, match="kind is 'log_mel', expected 'mfcc'"):
        Mfcc(kind="log_mel")


def test_unknown_key_is_named() -> None:
    with pytest.raises(SpecError, match="hop_size"):
        FrontEndSpec.from_dict({"hop_size": 512})


def test_unknown_preset_lists_the_known() -> None:
    with pytest.raises(SpecError, match="songnet-gtzan"):
        FrontEndSpec.preset("nothing")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name: str) -> None:
    assert FrontEndSpec.from_dict(FrontEndSpec.preset(name).to_dict()) == PRESETS[name]


def test_grid_of_the_gtzan_corpus() -> None:
    assert FrontEndSpec.preset("songnet-gtzan").shape == (39, 128)


def test_published_shapes() -> None:
    assert FrontEndSpec.preset("songnet").shape == (1292, 128)
    assert FrontEndSpec.preset("log-mel").shape == (128, 130)
