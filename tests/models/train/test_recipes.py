"""Recipes: those that the command line offers, and what they ask for."""

import json

import pytest

from edge_genre import choices
from edge_genre.models.train.recipes import RECIPES, Recipe


def test_the_command_line_offers_each_recipe_by_its_name() -> None:
    assert tuple(RECIPES) == choices.RECIPES
    assert all(recipe.name == name for name, recipe in RECIPES.items())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_is_the_same_after_a_way_through_json(recipe: Recipe) -> None:
    values = recipe.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["augmentation"]
    assert values["seed"] == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"crop": 1}, r"crop is 1; it must lie in 2\.\.39"),
        ({"crop": 40}, "crop is 40"),
    ],
)
def test_impossible_recipes_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**wrong)
