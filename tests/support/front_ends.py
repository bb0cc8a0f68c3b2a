"""Front ends of every kind, with values that Hypothesis draws."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from edge_genre.errors import SpecError
from edge_genre.frontend import FrontEndSpec, kinds
from edge_genre.frontend.finishing import Finished
from edge_genre.frontend.framed import Framed
from edge_genre.frontend.kinds.mfcc_deltas import MfccDeltas
from edge_genre.frontend.mel_spectrogram import MelSpectrogram

_FRAMED: dict[str, st.SearchStrategy[Any]] = {
    "n_fft": st.sampled_from([256, 400, 512, 1000]),
    "hop_length": st.integers(40, 1200),
    "center": st.booleans(),
    "pad_mode": st.sampled_from(["constant", "reflect"]),
    "win_length": st.integers(2, 256),
    "window_function": st.sampled_from(["hann", "hamming"]),
    "periodic": st.booleans(),
    "power": st.sampled_from([1, 2]),
    "pre_emphasis": st.sampled_from([0.97, 1]),
}
_FINISHED: dict[str, st.SearchStrategy[Any]] = {
    "normalize": st.sampled_from(["none", "min_max", "mean_variance", "fixed"]),
    "mean": st.floats(-100, 100),
    "scale": st.floats(1e-2, 100),
    "normalize_over": st.sampled_from(["window", "time"]),
    "statistics": st.lists(
        st.sampled_from(["mean", "std", "var", "min", "max"]), unique=True, min_size=1
    ),
}
_MEL: dict[str, st.SearchStrategy[Any]] = {
    "n_mels": st.integers(8, 64),
    "mel_scale": st.sampled_from(["slaney", "htk"]),
    "mel_norm": st.sampled_from(["slaney", None]),
    "fmin": st.sampled_from([0, 30.5]),
    "fmax": st.sampled_from([None, 3500]),
    "log": st.sampled_from(["db", "amplitude_db", "natural", "log10", "none"]),
    "ref": st.one_of(st.just("max"), st.floats(1e-3, 10)),
    "top_db": st.one_of(st.none(), st.floats(20, 120)),
}


@st.composite
def specs(draw: st.DrawFn, *names: str) -> FrontEndSpec:
    """Specs of these kinds, of all where none is named, with windows of half a second to one."""
    kind = kinds.named(draw(st.sampled_from(names or kinds.names()), label="kind"))
    values: dict[str, Any] = {
        "sample_rate": draw(st.sampled_from([8000, 16_000])),
        "window_seconds": draw(st.floats(0.5, 1)),
    }
    fields: dict[str, st.SearchStrategy[Any]] = {}
    if issubclass(kind, Framed):
        fields |= _FRAMED
    if issubclass(kind, MelSpectrogram):
        fields |= _MEL
    if issubclass(kind, Finished):
        fields |= _FINISHED | {"axes": st.sampled_from(kind.orders())}
    if "n_mfcc" in kind.__dataclass_fields__:
        fields["n_mfcc"] = st.integers(1, 8)
    for name, field in fields.items():
        if name in kind.__dataclass_fields__ and draw(st.booleans()):
            values[name] = draw(field, label=name)
    try:
        spec = kind(**values)
        if isinstance(spec, Finished) and draw(st.booleans()):
            spec = spec.replace(normalize="fixed", scale=list_of_numbers(spec, 1.0))
        return spec
    except SpecError:  # some values do not go together
        assume(False)
        raise AssertionError from None


def list_of_numbers(spec: FrontEndSpec, first: float) -> list[Any]:
    """What ``mean`` or ``scale`` may be: first, first + 1 and so on, one a band or feature.

    Of stacks, the first channel has a list, and the others one number each.
    """
    if spec.statistics or not isinstance(spec, MfccDeltas):
        count = spec.shape[0] if spec.statistics else spec.width
        return [first + number for number in range(count)]
    return [
        [first + number for number in range(spec.width)],
        *(first + number for number in range(1, spec.channels)),
    ]
