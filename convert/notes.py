"""What only shows beside the other formats, or on few windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from edge_genre.convert.report import FormatResult

_ENOUGH = 500  # windows to compare on; fewer are said


def noted(results: Sequence[FormatResult]) -> tuple[FormatResult, ...]:
    """The results of one model with their notes."""
    exact = {result.suffix: result for result in results if result.quantization == "fp32"}
    return tuple(
        replace(result, notes=tuple(_notes(result, exact.get(result.suffix)))) for result in results
    )


def _notes(result: FormatResult, fp32: FormatResult | None) -> Iterator[str]:
    if fp32 and result.size > fp32.size > 0:
        note = f"{result.size / fp32.size:.1f} times the size of fp32"
        if fp32.facts is not None and "WHILE" in fp32.facts.graph.operators:
            note += ": its recurrent layers are written out step by step; use dynamic"
        yield note
    if result.quantization == "int8" and result.facts is not None:
        graph = result.facts.graph
        if graph.in_8_bits < graph.layers:
            yield (
                f"{graph.in_8_bits} of {graph.layers} layers compute in 8 bits, the others have "
                "weights in 8 bits and compute in float"
            )
    compared = result.verdict.parity.windows if result.verdict else _ENOUGH
    if compared < _ENOUGH:
        yield f"compared on {compared} windows only, fewer than {_ENOUGH}"
