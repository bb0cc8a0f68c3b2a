import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_genre.errors import SpecError
from edge_genre.frontend import PRESETS, FrontEndSpec

specs = st.builds(
    FrontEndSpec,
    kind=st.sampled_from(["log_mel", "waveform"]),
    sample_rate=st.sampled_from([16_000, 22_050, 44_100]),
    window_seconds=st.floats(0.5, 40),
    n_fft=st.sampled_from([512, 1000, 2048]),
    hop_length=st.integers(64, 3000),
    n_mels=st.integers(8, 256),
    mel_norm=st.sampled_from(["slaney", None]),
    ref=st.one_of(st.just("max"), st.floats(1e-3, 10)),
    top_db=st.one_of(st.none(), st.floats(20, 120)),
    normalize=st.sampled_from(["none", "mean_variance"]),
)


@given(specs)
def test_round_trips_through_json(spec: FrontEndSpec) -> None:
    again = FrontEndSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again.to_dict() == spec.to_dict()
    assert again.hash == spec.hash


def test_hash_is_stable() -> None:
    # Model files carry these: a change here makes every one of them fail to load.
    assert FrontEndSpec().hash == "b265ba998ceeb1c5"
    assert FrontEndSpec.preset("songnet-gtzan").hash == "b78bb47d52c8a095"
    assert FrontEndSpec(kind="waveform").hash == "6f32f46d5709b48d"


def test_whole_and_decimal_numbers_mean_the_same() -> None:
    assert FrontEndSpec(window_seconds=3, top_db=80).hash == FrontEndSpec().hash


def test_hash_tells_specs_apart() -> None:
    hashes = {FrontEndSpec().hash, FrontEndSpec(hop_length=511).hash, FrontEndSpec(ref=1.0).hash}
    assert len(hashes) == 3


def test_numbers_of_other_kinds_do_not_count() -> None:
    assert FrontEndSpec(kind="waveform", n_mels=64).hash == FrontEndSpec(kind="waveform").hash
    assert "n_mels" not in FrontEndSpec(kind="waveform").to_dict()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "spectrogram"),
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
