"""One label a song."""

import random

import pytest

from edge_genre.listening.playing import UNCERTAIN, NowPlaying, Playing
from edge_genre.results import SILENCE, WindowResult

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


@pytest.mark.parametrize("bad", [{"smooth": -1.0}, {"hold": -1.0}, {"vote": "loudest"}])
def test_bad_values(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        NowPlaying(**bad)  # type: ignore[arg-type]


def test_schema() -> None:
    playing = play(NowPlaying(), ("jazz", 2))[-1]
    assert playing.to_dict() == {"label": "jazz", "probability": 0.6, "since": 3.0}
