"""What each part of a recipe brings: the recipe without it, over several seeds.

    python -m edge_genre.models.publish.ablation tiny gtzan_logmel.npz runs/ablation \\
        --initial runs/fma/best.keras --card models/tiny-gtzan

Run it again to go on. The weights of the last step are scored, so that no choice of a step blurs a
difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from edge_genre.models.data.dataset import Data
from edge_genre.models.publish.measured import Ablation, Measured
from edge_genre.models.train.augment import Augmentation
from edge_genre.models.train.recipes import RECIPES, Recipe
from edge_genre.models.train.records import write_json
from edge_genre.models.train.scores import Step
from edge_genre.models.train.training import train

# Of an augmentation: what is switched off, and by which values.
_WITHOUT: dict[str, dict[str, Any]] = {
    "SpecAugment": {"masks": 0},
    "time stretch and pitch shift": {"stretch": 0.0, "shift": 0.0},
    "equaliser and limited bands": {"equalise_db": 0.0, "band_limited": 0.0},
    "overdrive, rooms and coders": {
        "coded": 0.0,
        "overdriven": 0.0,
        "reverberant": 0.0,
        "jitter_db": 0.0,
    },
}


def variants(recipe: Recipe, initial: Path | None) -> Iterator[tuple[str, Recipe, Path | None]]:
    """The whole recipe, and it without each of its parts: name, recipe, what it begins with."""
    yield "all of it", recipe, initial
    if initial:
        yield "without pre-training", recipe, None
    yield "without mixup", replace(recipe, mix=0.0), initial
    yield "without label smoothing", replace(recipe, smoothing=0.0), initial
    yield "without weight averaging", replace(recipe, momentum=0.0), initial
    if isinstance(recipe.augmentation, Augmentation):
        for name, values in _WITHOUT.items():
            changed = replace(recipe.augmentation, **values)
            yield f"without {name}", replace(recipe, augmentation=changed), initial


@click.command(help=__doc__.partition("\n\n")[0])
@click.argument("recipe", type=click.Choice(list(RECIPES)))
@click.argument("corpus", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@click.option("--initial", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seeds", default=3, show_default=True)
@click.option("--steps", default=800, show_default=True)
@click.option(
    "--card",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder whose measured.json receives the table.",
)
def main(
    recipe: str,
    corpus: Path,
    output: Path,
    initial: Path | None,
    seeds: int,
    steps: int,
    card: Path | None,
) -> None:
    console = Console(stderr=True)
    base = replace(RECIPES[recipe], steps=steps, evaluate_every=steps)
    data = Data.of_file(corpus, base.spec)
    found = Ablation(_text(recipe, data, steps), {})
    for seed in range(seeds):
        for name, variant, begin in variants(replace(base, seed=seed), initial):
            console.print(f"{name}, seed {seed}")
            folder = output / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
            last = train(data, folder, variant, console, begin).metrics.validation_at_last_step
            assert isinstance(last, Step)  # a recipe's own task has one label
            runs = (*found.variants.get(name, ()), last)
            found = replace(found, variants=found.variants | {name: runs})
            write_json(output / "ablation.json", found.to_dict())
    if card:
        Measured(ablation=found).write(card)


def _text(recipe: str, data: Data, steps: int) -> str:
    return (
        f"The recipe `{recipe}` with {steps:,} steps and without one part at a time; mean over the "
        f"seeds, the lowest and the highest, on {data.name}'s validation part at the last step, "
        f"which was not chosen. One seed's tracks move by 3 points: differences of 2 points and "
        "less say nothing. Runs are shorter than the recipe's own, which is to the disadvantage of "
        "what keeps a network from learning by heart."
    )


if __name__ == "__main__":
    main()
