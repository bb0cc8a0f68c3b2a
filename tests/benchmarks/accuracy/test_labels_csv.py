"""Labels of audio files from a CSV file, in both forms, and what is wrong with one."""

from pathlib import Path

import pytest

from edge_genre.benchmarks.accuracy.labels_csv import read_labels
from edge_genre.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("music/a.ogg", "music/sub/b.ogg", "lists/c.ogg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def _read(folder: Path, text: str | bytes):
    path = folder / "lists/labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(path, folder / "music")


def test_labels_with_semicolons(folder):
    found = _read(
        folder, 'path,labels\na.ogg,rock; happy;\n\nsub\\b.ogg,"Child speech, kid;rock"\nc.ogg,\n'
    )
    names = [path.relative_to(folder).as_posix() for path in found.files]
    assert names == ["music/a.ogg", "music/sub/b.ogg", "lists/c.ogg"]
    assert found.truth == ({"rock", "happy"}, {"Child speech, kid", "rock"}, frozenset())
    assert list(found.labels.items()) == [("Child speech, kid", 4), ("happy", 2), ("rock", 2)]


def test_a_column_for_each_label(folder):
    text = "\ufeffpath,rock,happy,sad\na.ogg,1,0,0\nsub/b.ogg,1,1,0\nc.ogg,0,0,0\n"
    found = _read(folder, text)
    assert [*found.labels] == ["rock", "happy", "sad"]  # the last one holds of none
    assert found.truth == ({"rock"}, {"rock", "happy"}, frozenset())


def test_both_forms_say_the_same(folder):
    listed = _read(folder, "path,labels\na.ogg,x;y\nc.ogg,y\n")
    columns = _read(folder, "path,x,y\na.ogg,1,1\nc.ogg,0,1\n")
    assert (listed.files, listed.truth) == (columns.files, columns.truth)
    for found in (listed, columns):
        assert found.targets(("z", "y", "x")).tolist() == [[0, 1, 1], [0, 1, 0]]


def test_a_file_is_sought_in_the_folder_of_audio_first(folder):
    (folder / "lists/a.ogg").write_bytes(b"")
    assert _read(folder, "path,labels\na.ogg,x\n").files == (folder / "music/a.ogg",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty, expected path,labels"),
        ("\n\n", "is empty"),
        ("a.ogg,rock\n", "line 1: the header is 'a.ogg,rock', expected path,labels or path and"),
        ("path\na.ogg\n", "line 1: the header is 'path'"),
        ("path,labels,artist\na.ogg,x,y\n", "line 1: .* path,labels and no more"),
        ("path,x,x\na.ogg,0,1\n", "line 1: .* distinct labels"),
        ("path,x,\na.ogg,0,1\n", "line 1: .* distinct labels"),
        ("path,labels\n", "a header and no rows"),
        ("path,labels\na.ogg,\n", "none of its rows has a label"),
        ("path,labels\na.ogg,x\nd.ogg,x\n", "line 3: d.ogg is no file in .*music nor in .*lists"),
        ("path,labels\nsub,x\n", "line 2: sub is no file"),
        ("path,labels\n,x\n", "line 2: has no path"),
        ("path,labels\na.ogg,x\nc.ogg\n", "line 3: has 1 columns, expected 2"),
        ("path,labels\na.ogg,x\n\n./sub/../a.ogg,y\n", r"line 4: .*a.ogg is in line 2 already"),
        ("path,x,y\na.ogg,1,yes\n", "line 2: y is 'yes', expected 0 or 1"),
        ("path,x,y\na.ogg,1,\n", "line 2: y is '', expected 0 or 1"),
        ("path,labels\na.ogg,blå\n".encode("latin-1"), "is no CSV file in UTF-8"),
        (b'path,labels\na.ogg,"x"y\n', "is no CSV file in UTF-8"),
        (f"path,labels\n{'a' * 5000}.ogg,x\n", "line 2: .*cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line(folder, text, message):
    with pytest.raises(DataError, match=message) as raised:
        _read(folder, text)
    assert str(raised.value).startswith(str(folder / "lists/labels.csv"))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there(folder):
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(folder / "nothing.csv", folder)
