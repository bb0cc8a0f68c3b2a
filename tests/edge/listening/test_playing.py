"""One label a song, or all labels that hold."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edge_genre.listening.playing import UNCERTAIN, NowPlaying, Playing
from edge_genre.results import NOTHING, SILENCE, WindowResult
from edge_genre.task import Task

GENRES = ("jazz", "metal", "pop")


def window(end: float, **probabilities: float) -> WindowResult:
    """A window of these probabilities, or of silence."""
    rest = (1 - sum(probabilities.values())) / (len(GENRES) - len(probabilities) or 1)
    full = {genre: probabilities.get(genre, rest) for genre in GENRES}
    labels = (max(full, key=full.__getitem__),) if probabilities else ()
    return WindowResult(
        start=end - 3,
        end=end,
        labels=labels,
        probabilities=full if probabilities else None,
        level_dbfs=-20.0 if probabilities else -90.0,
        front_end_ms=1.0,
        inference_ms=1.0,
    )


def play(now_playing: NowPlaying, *stretches: tuple[str, int], sure: float = 0.6) -> list[Playing]:
    """What is said second by second while genres (or silence) play for so many seconds each."""
    found, end = [], 2.0
    for genre, seconds in stretches:
        for _ in range(seconds):
            end += 1
            heard = {} if genre == SILENCE else {genre: sure}
            found.append(now_playing.update(window(end, **heard)))
    return found


def changes(found: list[Playing]) -> list[str]:
    labels = [each.label for each in found]
    return [b for a, b in zip(["", *labels], labels, strict=False) if a != b]


def test_a_song_gives_one_label_and_a_change_one_change() -> None:
    found = play(NowPlaying(), ("jazz", 60), ("metal", 60))
    assert changes(found) == ["jazz", "metal"]
    # It needs half of the smoothing for the lead, and the hold.
    (since,) = {each.since for each in found if each.label == "metal"}
    assert 62 + 12 <= since <= 62 + 25
    assert found[-1].since == since


def test_windows_that_waver_do_not_change_the_label() -> None:
    rng = random.Random(0)
    now_playing = NowPlaying()
    found = []
    for second in range(300):
        genre = rng.choices(GENRES, (6, 2, 2))[0]
        found.append(now_playing.update(window(3.0 + second, **{genre: 0.7})))
    assert changes(found[25:]) == ["jazz"]
    alone = NowPlaying(smooth=0, hold=0, margin=0)
    assert len(changes(play(alone, *[("jazz", 1), ("pop", 1)] * 20))) == 40


def test_a_short_interlude_is_no_song() -> None:
    found = play(NowPlaying(), ("jazz", 40), ("metal", 6), ("jazz", 40))
    assert changes(found) == ["jazz"]


def test_silence() -> None:
    found = play(NowPlaying(), (SILENCE, 3), ("jazz", 30), (SILENCE, 3), ("jazz", 5))
    assert changes(found) == [SILENCE, "jazz"]  # a pause is shorter than the hold
    assert found[0].probabilities is None
    found = play(NowPlaying(), ("jazz", 30), (SILENCE, 10), ("metal", 3))
    # After silence comes another song: nothing of the old one counts.
    assert changes(found) == ["jazz", SILENCE, "metal"]
    assert found[-1].probability == pytest.approx(0.6)


def test_uncertain() -> None:
    found = play(NowPlaying(min_confidence=0.5), ("jazz", 30), sure=0.4)
    assert changes(found) == [UNCERTAIN]
    assert found[-1].probability == 0
    assert found[-1].probabilities is not None
    assert changes(play(NowPlaying(min_confidence=0.5), ("jazz", 30), sure=0.6)) == ["jazz"]


def test_majority_counts_windows() -> None:
    mean, majority = NowPlaying(), NowPlaying(vote="majority")
    for end, probabilities in ((3, {"pop": 0.9}), (4, {"jazz": 0.4}), (5, {"jazz": 0.4})):
        by_mean = mean.update(window(end, **probabilities))
        by_majority = majority.update(window(end, **probabilities))
    assert max(by_mean.probabilities or {}, key=(by_mean.probabilities or {}).get) == "pop"
    assert by_majority.probabilities == pytest.approx({"jazz": 2 / 3, "metal": 0, "pop": 1 / 3})


TAGS = ("drum", "guitar", "voice")
TASK = Task(kind="multi_label", thresholds=(0.5, 0.7, 0.04))


def tagged(end: float, *probabilities: float) -> WindowResult:
    """A window of many labels, or of silence."""
    row = np.float32(probabilities)  # as engines give them
    held = TASK.decide(row) if probabilities else []
    return WindowResult(
        start=end - 3,
        end=end,
        labels=tuple(TAGS[number] for number in held),
        probabilities=dict(zip(TAGS, row.tolist(), strict=True)) if probabilities else None,
        level_dbfs=-20.0,
        front_end_ms=1.0,
        inference_ms=1.0,
    )


def hear(now_playing: NowPlaying, *stretches: tuple[int, tuple[float, ...]]) -> list[Playing]:
    """What is said second by second, for so many seconds of each row of probabilities."""
    rows = [row for seconds, row in stretches for _ in range(seconds)]
    return [now_playing.update(tagged(3.0 + n, *row)) for n, row in enumerate(rows)]


def test_each_of_many_labels_holds_on_its_own() -> None:
    now_playing = NowPlaying(task=TASK, smooth=0, hold=2)
    first, second = (0.9, 0.1, 0.0), (0.9, 0.95, 0.0)
    found = hear(now_playing, (10, first), (5, second), (5, first), (5, (0.1, 0.1, 0.0)))
    assert [each.labels for each in found] == [
        *[("drum",)] * 10,
        *[("guitar", "drum")] * 5,  # the most probable first
        *[("drum", "guitar")] * 2,  # it ends after two seconds below
        *[("drum",)] * 5,
        *[()] * 3,
    ]
    assert [each.since for each in found[12].held] == [13.0, 3.0]
    assert found[-1].label == NOTHING
    assert found[-1].since == 25.0
    assert found[-1].probability == 0
    assert found[-1].probabilities == pytest.approx({"drum": 0.1, "guitar": 0.1, "voice": 0})


def test_windows_alone_have_the_labels_that_the_task_decides() -> None:
    """Those at a threshold that single precision rounds, too."""
    numbers = np.random.default_rng(3)
    now_playing = NowPlaying(task=TASK, smooth=0, hold=0, margin=0)
    for end in range(500):
        row = np.where(numbers.random(3) < 0.3, TASK.thresholds, numbers.random(3))
        window = tagged(float(end), *row)
        assert now_playing.update(window).labels == window.labels


def test_many_labels_are_smoothed() -> None:
    found = hear(NowPlaying(task=TASK), (60, (0.9, 0.0, 0.0)), (60, (0.0, 0.9, 0.0)))
    means = [each.probabilities or {} for each in found]
    assert means[70]["drum"] == pytest.approx(0.9 * 14 / 25)
    changes = [found[0].labels]
    for each in found:
        if set(each.labels) != set(changes[-1]):
            changes.append(each.labels)
    # Drum is below 80 % of its threshold after 14 of 25 s, and 5 s later it ends.
    assert changes == [("drum",), (), ("guitar",)]
    assert next(each.since for each in found if each.label == "guitar") == 82.0


def test_a_label_that_wavers_about_its_threshold_changes_seldom(
    report: Callable[[str], None],
) -> None:
    """The worst case; the figures are those that `NowPlaying` gives."""
    numbers = np.random.default_rng(0)
    noise = np.convolve(numbers.standard_normal(36_002), np.ones(3) / 3**0.5, "valid")
    wavering = 1 / (1 + np.exp(-noise))  # windows of 3 s, one a second, for ten hours
    counts = {}
    for name, options in {
        "alone": {"smooth": 0, "hold": 0, "margin": 0},
        "smoothed": {"hold": 0, "margin": 0},
        "both": {},
    }.items():
        now_playing = NowPlaying(task=Task(kind="multi_label", thresholds=(0.5,)), **options)
        before, counts[name] = False, 0
        for second, value in enumerate(wavering):
            result = replace(tagged(second, 0, 0, 0), probabilities={"drum": float(value)})
            now = bool(now_playing.update(result).held)
            counts[name] += now != before
            before = now
    said = ", ".join(f"{name} {count / 10:.0f}" for name, count in counts.items())
    report(f"changes an hour of a label that wavers about its threshold: {said}")
    assert counts["alone"] > 9_000
    assert 1_500 < counts["smoothed"] < 2_500
    assert counts["both"] < 400


def test_a_label_with_a_small_threshold_ends() -> None:
    """A margin that is the same for all would be greater than the threshold."""
    found = hear(NowPlaying(task=TASK), (30, (0.0, 0.0, 0.1)), (60, (0.0, 0.0, 0.01)))
    assert found[29].labels == ("voice",)
    assert found[-1].labels == ()


def test_silence_ends_all_labels() -> None:
    now_playing = NowPlaying(task=TASK)
    loud = (0.9, 0.9, 0.0)
    found = hear(now_playing, (3, ()), (30, loud), (4, ()), (5, loud), (10, ()), (5, (0.9, 0, 0)))
    assert [each.label for each in found[:3]] == [SILENCE] * 3
    assert {each.labels for each in found[3:47]} == {("drum", "guitar")}  # a pause ends nothing
    assert [each.label for each in found[47:52]] == [SILENCE] * 5
    assert found[47].probabilities is None
    # What comes after it is something else: nothing of the old one counts.
    assert found[52].labels == ("drum",)
    assert found[52].held[0].since == 55.0


def test_majority_of_many_labels() -> None:
    now_playing = NowPlaying(task=TASK, vote="majority")
    found = hear(now_playing, (2, (0.0, 0.0, 0.9)), (1, (0.6, 0.0, 0.9)), (1, (0.6, 0.0, 0.0)))
    assert found[-1].probabilities == {"drum": 0.5, "guitar": 0.0, "voice": 0.75}
    assert found[-1].labels == ("voice", "drum")


def test_a_least_confidence_is_not_for_thresholds() -> None:
    with pytest.raises(ValueError, match="min_confidence"):
        NowPlaying(task=TASK, min_confidence=0.3)


def test_a_margin_that_no_label_could_fall_by() -> None:
    with pytest.raises(ValueError, match="margin is 1, expected a share of the threshold"):
        NowPlaying(task=TASK, margin=1.0)


def test_schema_of_many_labels() -> None:
    (playing,) = hear(NowPlaying(task=TASK), (1, (0.6, 0.8, 0.0)))
    guitar = {"label": "guitar", "probability": 0.8, "since": 3.0}
    drum = {"label": "drum", "probability": 0.6, "since": 3.0}
    assert playing.to_dict() == {**guitar, "labels": [guitar, drum]}


@pytest.mark.parametrize("bad", [{"smooth": -1.0}, {"hold": -1.0}, {"vote": "loudest"}])
def test_bad_values(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        NowPlaying(**bad)  # type: ignore[arg-type]


def test_schema() -> None:
    playing = play(NowPlaying(), ("jazz", 2))[-1]
    jazz = {"label": "jazz", "probability": 0.6, "since": 3.0}
    assert playing.to_dict() == {**jazz, "labels": [jazz]}
    uncertain = play(NowPlaying(min_confidence=0.7), ("jazz", 2))[-1]
    shown = {"label": UNCERTAIN, "probability": 0.0, "since": 3.0}
    assert uncertain.to_dict() == {**shown, "labels": []}
