"""Which of several outputs is the answer."""

import numpy as np
import pytest

from edge_genre.convert.outputs.answer import choose
from edge_genre.errors import ConversionError

OUTPUTS = {
    "bpm": np.zeros((2, 1), np.float32),
    "genre": np.zeros((2, 10), np.float32),
    "steps": np.zeros((2, 40), np.float32),
    "picture": np.zeros((2, 8, 8), np.float32),
}


def test_the_answer_has_a_number_for_each_label() -> None:
    chosen = choose(OUTPUTS, 10, ["steps"])
    assert chosen.names == ("genre", "steps")
    assert chosen.notes == (
        "output genre is the answer; left out: bpm, picture (--explain NAME keeps one)",
    )
    assert choose({"only": OUTPUTS["genre"]}, 10).notes == ()


def test_of_several_the_first_one() -> None:
    twice = {"main": OUTPUTS["genre"], "auxiliary": OUTPUTS["genre"]}
    chosen = choose(twice, 10)
    assert chosen.answer == "main"
    assert "the first, main, is taken for the answer" in chosen.notes[0]
    assert choose(twice, 10, ["main"]).names == ("auxiliary", "main")


@pytest.mark.parametrize(
    ("n_labels", "explain", "message"),
    [
        (8, [], r"bpm \(1,\) and genre \(10,\) .* but there are 8 labels"),
        (10, ["why"], "no output 'why' to explain with: its outputs are bpm, genre, steps"),
        (10, ["picture"], "'picture' is 8 x 8 for each window, expected a number for each step"),
    ],
)
def test_no_answer(n_labels, explain, message) -> None:
    with pytest.raises(ConversionError, match=message):
        choose(OUTPUTS, n_labels, explain)


def test_the_shapes_of_a_single_output_are_said_without_its_name() -> None:
    with pytest.raises(ConversionError, match=r"^gives outputs of shape \(10,\), but there are 3"):
        choose({"Identity": OUTPUTS["genre"]}, 3)
