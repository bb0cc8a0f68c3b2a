"""``edge-genre inspect``: what a model file says of itself, and whether it is true."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from edge_genre.cli.options import describe_options, json_option
from edge_genre.cli.view import console, facts, print_json
from edge_genre.errors import ModelError

if TYPE_CHECKING:
    from edge_genre.classifier import Classifier
    from edge_genre.model.file import ModelFile, ModelInfo

_FEW = 12  # thresholds to show


@click.command("inspect")
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--card", is_flag=True, help="Print the model card in the file, and nothing else.")
@json_option
@describe_options
def command(model: str | None, card: bool, as_json: bool, load: Callable[..., Classifier]) -> None:
    """Show what a model file says of itself, load it and run its self-test.

    MODEL is a TFLite or ONNX file or a bundled name; without it, the default model is shown.
    """
    from edge_genre.model.bundled import find_model
    from edge_genre.model.file import read

    file = read(find_model(model))
    if card:
        if file.info is None or not file.info.card:
            raise ModelError(f"{file.path}: holds no model card")
        click.echo(file.info.card, nl=False)
        return
    if file.info is not None and file.info.front_end is None:
        # No audio, no self-test, nothing to load: what it says of itself is all there is to show.
        values = {"file": str(file.path), "kind": file.kind, "bytes": file.size}
        values |= {"labels": list(file.info.labels), **file.info.to_dict()}
        rows = _file_rows(file, file.info) | _card_rows(file.info)
    else:
        classifier = load(model)
        values, rows = _values(classifier), _rows(classifier)
    if as_json:
        print_json(values)
    else:
        console().print(facts({name: value for name, value in rows.items() if value.strip()}))


def _values(classifier: Classifier) -> dict[str, Any]:
    return {
        "file": str(classifier.model.path),
        "kind": classifier.model.kind,
        "bytes": classifier.model.size,
        "engine": classifier.engine.name,
        "input_shape": list(classifier.engine.shapes[0]),
        "labels": list(classifier.labels),
        **classifier.info.to_dict(),
        "inputs": [
            {**each.to_dict(), "shape": list(shape)}
            for each, shape in zip(classifier.info.inputs, classifier.engine.shapes, strict=True)
        ],
        "task": classifier.task.to_dict(),
        "self_test_deviation": classifier.self_test(),
    }


def _rows(classifier: Classifier) -> dict[str, str]:
    inputs: dict[str, str] = {}
    for each, shape in zip(classifier.info.inputs, classifier.engine.shapes, strict=True):
        spec = each.front_end
        of = f" {each.name}" if len(classifier.info.inputs) > 1 else ""
        window = f"{spec.window_seconds:g} s at {spec.sample_rate} Hz"
        numbers = ", ".join(f"{key} {value}" for key, value in spec.to_dict().items())
        inputs[f"input{of}"] = f"{window} -> {' x '.join(map(str, shape))}"
        inputs[f"front end{of}"] = f"{numbers} (hash {spec.hash})"
    return {
        **_file_rows(classifier.model, classifier.info),
        "engine": classifier.engine.name,
        **inputs,
        **_card_rows(classifier.info),
        "self-test": _self_test(classifier),
    }


def _file_rows(file: ModelFile, info: ModelInfo) -> dict[str, str]:
    return {
        "file": f"{file.path} ({file.size / 1000:.1f} kB)",
        "name": " ".join((info.name, info.version)),
        "description": info.description,
        "licence": info.license,
    }


def _card_rows(info: ModelInfo) -> dict[str, str]:
    return {
        "labels": ", ".join(info.labels),
        "task": f"{info.task.kind.replace('_', ' ')}, {info.task.noun}",
        "thresholds": _thresholds(info),
        "background": info.task.background or "",
        "explanations": ", ".join(info.task.explanations),
        "outputs": info.output.replace("_", "-"),
        "weights": info.quantization,
        "training": _list(info.training),
        "accuracy": "\n".join(
            f"{row['correct']} of {row['n']} {row['unit']}s ({row['correct'] / row['n']:.1%}), "
            f"{row['data']}"
            for row in info.accuracy
        ),
        "provenance": _list(info.provenance),
        "parity": _list(info.parity),
    }


def _thresholds(info: ModelInfo) -> str:
    values = info.task.thresholds
    if len(set(values)) == 1:
        return f"{values[0]:g} for each"
    if len(values) > _FEW:
        return f"{min(values):g} to {max(values):g}, see --json"
    return ", ".join(
        f"{label} {value:g}" for label, value in zip(info.labels, values, strict=False)
    )


def _self_test(classifier: Classifier) -> str:
    deviation, test = classifier.self_test(), classifier.info.self_test
    if deviation is None or test is None:
        return "none in the file"
    return f"passed, difference {deviation:.2g} ({test.tolerance:.2g} allowed)"


def _list(values: dict[str, Any]) -> str:
    return "\n".join(
        f"{key.replace('_', ' ')}: {_text(value)}"
        for key, value in values.items()
        if value is not None
    )


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)
