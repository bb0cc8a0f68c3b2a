"""``edge-genre inspect``: what a model file says of itself, and whether it is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import describe_options, json_option
from edge_genre.cli.view import console, facts, print_json

if TYPE_CHECKING:
    from edge_genre.classifier import Classifier


@click.command("inspect")
@click.argument("model", required=False, metavar="[MODEL]")
@json_option
@describe_options
def command(model: str | None, as_json: bool, load: Callable[..., Classifier]) -> None:
    """Show what a model file holds, load it and run its self-test.

    MODEL is a TFLite or ONNX file or a bundled name; the default model where it is left out.
    """
    classifier = load(model)
    if as_json:
        print_json(_values(classifier))
        return
    console().print(facts(_rows(classifier)))


def _values(classifier: Classifier) -> dict[str, Any]:
    return {
        "file": str(classifier.model.path),
        "kind": classifier.model.kind,
        "bytes": classifier.model.size,
        "engine": classifier.engine.name,
        "input_shape": list(classifier.engine.input_shape),
        "labels": list(classifier.labels),
        **classifier.info.to_dict(),
        "self_test_deviation": classifier.self_test(),
    }


def _rows(classifier: Classifier) -> dict[str, str]:
    info, spec = classifier.info, classifier.spec
    front_end = spec.to_dict()
    window = f"{spec.window_seconds:g} s at {spec.sample_rate} Hz"
    numbers = ", ".join(f"{key} {value}" for key, value in front_end.items())
    rows = {
        "file": f"{classifier.model.path} ({classifier.model.size / 1000:.1f} kB)",
        "name": " ".join((info.name, info.version)),
        "description": info.description,
        "licence": info.license,
        "engine": classifier.engine.name,
        "input": f"{window} -> {' x '.join(map(str, classifier.engine.input_shape))}",
        "front end": f"{numbers} (hash {spec.hash})",
        "labels": ", ".join(info.labels),
        "outputs": info.output.replace("_", "-"),
        "weights": info.quantization,
        "training": _list(info.training),
        "accuracy": "\n".join(
            f"{row['correct']} of {row['n']} {row['unit']}s ({row['correct'] / row['n']:.1%}), "
            f"{row['data']}"
            for row in info.accuracy
        ),
        "parity": _list(info.parity),
        "self-test": _self_test(classifier),
    }
    return {name: value for name, value in rows.items() if value.strip()}


def _self_test(classifier: Classifier) -> str:
    deviation, test = classifier.self_test(), classifier.info.self_test
    if deviation is None or test is None:
        return "none in the file"
    return f"passed: off by {deviation:.2g}, {test.tolerance:.2g} allowed"


def _list(values: dict[str, Any]) -> str:
    return "\n".join(
        f"{key.replace('_', ' ')}: {f'{value:.3g}' if isinstance(value, float) else value}"
        for key, value in values.items()
    )
