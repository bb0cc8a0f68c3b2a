"""Tables, and parts of a page."""

import pytest

from edge_genre.benchmarks.markdown import part, table, with_part
from edge_genre.errors import DataError

PAGE = "a\n<!-- figures -->\nold\n<!-- /figures -->\nb\n"


def test_a_part_is_written_again() -> None:
    assert part(PAGE, "figures") == "old"
    new = with_part(PAGE, "figures", "new\n\\1")
    assert new == "a\n<!-- figures -->\nnew\n\\1\n<!-- /figures -->\nb\n"
    assert part(new, "figures") == "new\n\\1"
    empty = "<!-- figures -->\n<!-- /figures -->"
    assert part(with_part(empty, "figures", "new"), "figures") == "new"


@pytest.mark.parametrize("page", ["", "<!-- figures -->\n", PAGE.replace("figures", "others")])
def test_a_page_without_the_part(page: str) -> None:
    with pytest.raises(DataError, match="has no part from <!-- figures --> to <!-- /figures -->"):
        with_part(page, "figures", "new")


def test_a_table() -> None:
    rows = [["tiny", "1"], ["large", "2"]]
    assert table(["model", "ms"], rows, left=1).splitlines() == [
        "| model | ms |",
        "| --- | ---: |",
        "| tiny | 1 |",
        "| large | 2 |",
    ]
    assert table(["model", "ms"], []).splitlines()[1] == "| --- | --- |"
