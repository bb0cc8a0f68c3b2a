"""What outputs are and mean: by their values, by the graph's last operator, by what is said."""

import numpy as np
import pytest

from edge_genre.convert.outputs.activations import LOG_SOFTMAX, SIGMOID, SOFTMAX
from edge_genre.convert.outputs.meaning import MULTI, SINGLE, meaning
from edge_genre.errors import ConversionError

LOGITS = np.random.default_rng(0).normal(0, 3, (50, 5)).astype(np.float32)
SOFTMAXES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
SIGMOIDS = 1 / (1 + np.exp(-LOGITS))


@pytest.mark.parametrize(
    ("rows", "activation", "output", "kind"),
    [
        (LOGITS, None, "logits", SINGLE),
        (SOFTMAXES, None, "probabilities", SINGLE),
        (SOFTMAXES, SOFTMAX, "probabilities", SINGLE),
        (np.rint(SOFTMAXES * 256) / 256, None, "probabilities", SINGLE),  # of 8 bits
        (np.log(SOFTMAXES), LOG_SOFTMAX, "log_probabilities", SINGLE),
        (np.log(SOFTMAXES), None, "log_probabilities", SINGLE),
        (SIGMOIDS, None, "probabilities", MULTI),
        (SIGMOIDS, SIGMOID, "probabilities", MULTI),
        # Sigmoids of labels of which one holds add up to 1 or nearly: the operator knows better.
        (np.eye(5, dtype=np.float32), SIGMOID, "probabilities", MULTI),
        (np.eye(5, dtype=np.float32), None, "probabilities", SINGLE),
    ],
)
def test_found_out(rows, activation, output, kind) -> None:
    found = meaning(rows, activation)
    assert (found.output, found.kind) == (output, kind)
    assert bool(found.note) == (kind == MULTI)


def test_what_is_said_holds_where_nothing_contradicts_it() -> None:
    assert meaning(LOGITS, kind=MULTI).kind == MULTI
    logarithms = meaning(np.log(SIGMOIDS), output="log_probabilities", kind=MULTI)
    assert (logarithms.output, logarithms.kind) == ("log_probabilities", MULTI)
    assert meaning(LOGITS / 100 + 0.5, output="logits").output == "logits"
    single = meaning(SIGMOIDS, SIGMOID, kind=SINGLE)
    assert (single.output, single.kind) == ("probabilities", SINGLE)
    assert "divided by their sum" in single.note


@pytest.mark.parametrize(
    ("rows", "activation", "said", "message"),
    [
        (SOFTMAXES, SOFTMAX, {"kind": MULTI}, "--task multi-label, but .* a softmax"),
        (SOFTMAXES, None, {"kind": MULTI}, "--task multi-label, but its outputs add up to 1"),
        (np.log(SOFTMAXES), None, {"kind": MULTI}, "but its outputs are log-probabilities"),
        (SIGMOIDS, SIGMOID, {"output": "logits"}, "--outputs logits, but .* a sigmoid"),
    ],
)
def test_contradictions_name_both_sides(rows, activation, said, message) -> None:
    with pytest.raises(ConversionError, match=message):
        meaning(rows, activation, **said)
