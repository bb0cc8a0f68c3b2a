"""Records survive JSON, and what is no record is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_genre.host.record import OMITTED, Record


@dataclass(frozen=True)
class Song(Record):
    title: str
    seconds: float
    year: int | None
    right: bool
    plays: int = 0


@dataclass(frozen=True)
class Album(Record):
    songs: tuple[Song, ...]
    best: Song | None
    levels: dict[str, float]
    by: str = field(metadata={"key": "from"})


SONG = {"title": "a", "seconds": 1.5, "year": None, "right": True, "plays": 2}
ALBUM = {"songs": [SONG, SONG], "best": None, "levels": {"x": 1.0}, "from": "somebody"}

figures = st.floats(allow_nan=False, allow_infinity=False)
songs = st.builds(Song, st.text(), figures, st.none() | st.integers(), st.booleans())
albums = st.builds(
    Album,
    st.lists(songs, max_size=3).map(tuple),
    st.none() | songs,
    st.dictionaries(st.text(), figures, max_size=3),
    st.text(),
)


@given(albums)
def test_a_record_survives_json(album: Album) -> None:
    assert Album.from_dict(json.loads(json.dumps(album.to_dict()))) == album


def test_keys_are_the_fields_names_or_their_own() -> None:
    found = Album.from_dict(ALBUM)
    assert found.songs[1] == Song("a", 1.5, None, True, 2)
    assert found.by == "somebody"
    assert json.dumps(found.to_dict()) == json.dumps(ALBUM)


def test_what_a_later_version_wrote_is_left_out() -> None:
    assert Song.from_dict({**SONG, "mood": "calm"}) == Song.from_dict(SONG)


def test_an_integer_is_a_number_like_others() -> None:
    assert json.dumps(Song.from_dict({**SONG, "seconds": 2}).to_dict()["seconds"]) == "2"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"songs": 3}, "songs is 3"),
        ({"songs": [{**SONG, "seconds": "long"}]}, "seconds is 'long', expected float"),
        ({"songs": [{**SONG, "seconds": float("nan")}]}, "seconds is nan"),
        ({"songs": [{**SONG, "seconds": True}]}, "seconds is True"),
        ({"songs": [{**SONG, "year": 1.5}]}, "year is 1.5, expected int"),
        ({"songs": [{**SONG, "right": 1}]}, "right is 1, expected bool"),
        ({"songs": [{**SONG, "title": None}]}, "title is None, expected str"),
        ({"songs": [[]]}, "expected Song, found list"),
        ({"best": "it"}, "expected Song, found str"),
        ({"levels": []}, r"levels is \[\]"),
        ({"levels": {"x": None}}, "levels is None, expected float"),
    ],
)
def test_a_value_of_another_type_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Album.from_dict(ALBUM | change)


def test_a_field_that_is_missing_has_its_default() -> None:
    assert Song.from_dict({key: SONG[key] for key in SONG if key != "plays"}).plays == 0


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="from is missing"):
        Album.from_dict({key: value for key, value in ALBUM.items() if key != "from"})


@dataclass(frozen=True)
class Book(Record):
    title: str
    pages: int
    noun: str = field(default="book", metadata={OMITTED: True})


@dataclass(frozen=True)
class Shelf(Record):
    first: Song | Book | None


def test_of_several_records_the_one_whose_keys_are_there() -> None:
    book, song = Book("a", 9), Song("a", 1.5, None, True)
    for thing in (book, song, None):
        assert Shelf.from_dict(json.loads(json.dumps(Shelf(thing).to_dict()))) == Shelf(thing)
    with pytest.raises(ValueError, match="year is 'x', expected int"):
        Shelf.from_dict({"first": SONG | {"year": "x"}})
    with pytest.raises(ValueError, match="pages is missing"):  # what is neither is not the last one
        Shelf.from_dict({"first": {"title": "a"}})


def test_what_may_be_omitted_is_where_it_is_nothing_new() -> None:
    assert Book("a", 9).to_dict() == {"title": "a", "pages": 9}
    assert Book("a", 9, "atlas").to_dict() == {"title": "a", "pages": 9, "noun": "atlas"}
