"""What the README says is what the program does."""

import re

import pytest

from edge_genre.benchmarks.markdown import part
from tests.programs.documentation import README, every_command, generated

TEXT = README.read_text()


@pytest.mark.parametrize("name", ["commands", "models", "window"])
def test_generated_parts_are_up_to_date(name: str) -> None:
    assert part(TEXT, name) == generated()[name], "run `make readme`"


def test_every_command_is_documented() -> None:
    assert set(every_command()) == set(re.findall(r"^### (\w+)$", TEXT, re.MULTILINE))


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (README.parent / target).exists(), target
