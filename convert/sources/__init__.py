"""Trained models as people have them, behind one protocol.

Importing this package loads no framework; `open_model` imports the one that the file needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_genre.convert.sources.kinds import source_kind
from edge_genre.errors import ConversionError, EdgeGenreError
from edge_genre.host.files import reading
from edge_genre.model.file import ModelInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_genre.convert.batches import Outputs
    from edge_genre.convert.tensors import Arrays, TensorSpec

__all__ = ["TrainedModel", "open_model"]


class TrainedModel(Protocol):
    """A model in the framework that it was trained with, or in the engine that it was made for."""

    @property
    def kind(self) -> str:
        """``"keras"``, ``"h5"``, ``"saved_model"``, ``"pytorch"``, ``"onnx"`` or ``"tflite"``."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it takes, in its own order."""

    @property
    def parameters(self) -> int:
        """How many numbers its weights are."""

    @property
    def versions(self) -> dict[str, str]:
        """Of the packages that read it and write what is made of it."""

    @property
    def quantization(self) -> str | None:
        """Of a TFLite file, which cannot be quantized again; None of all others."""

    @property
    def info(self) -> ModelInfo | None:
        """What a file that edge-genre made says of itself; None of all others."""

    def predict(self, *windows: NDArray[np.float32]) -> Outputs:
        """Run it on windows, some at a time.

        Parameters
        ----------
        windows : for each input, in their order, float32 [shape=(n, *shape)]

        Returns
        -------
        Its outputs by name, as the model gives them; see `edge_genre.convert.batches.in_batches`

        Raises
        ------
        ConversionError
            It does not run on windows of this shape, or gives something else than one row a window.
        """

    def activation(self) -> str | None:
        """What its first output is made by; see `edge_genre.convert.outputs.activations`."""

    def tflite(
        self,
        *,
        quantize: str = "fp32",
        calibration: Arrays | None = None,
        edges: Sequence[float] | None = None,
        target: str = "litert",
        integer_io: bool = False,
        activation: str | None = None,
    ) -> bytes:
        """Convert it to a TFLite file; the options are those of `edge_genre.convert.tflite.writer`.

        An ``activation`` makes probabilities of its first output; a TFLite file has none put in.

        Raises
        ------
        ConversionError
            It cannot be converted so.
        """

    def onnx(self) -> bytes:
        """Convert it to an ONNX file in fp32.

        Raises
        ------
        ConversionError
            It cannot be converted.
        """


def open_model(
    path: str | Path,
    *,
    architecture: str | None = None,
    custom: str | Path | None = None,
    inputs: Sequence[TensorSpec] = (),
    outputs: Sequence[str] = (),
) -> TrainedModel:
    """Open a trained model; its content says of which kind it is.

    Parameters
    ----------
    path : a Keras file, a SavedModel folder, a PyTorch checkpoint, an ONNX or a TFLite file
    architecture : of a PyTorch checkpoint: a bundled name or ``path/to/file.py:ClassName``
    custom : a Python file with the Keras layers that the model has of its own
    inputs : shapes of one window: needed for a PyTorch checkpoint, which does not say; elsewhere
        they fix the lengths that the model leaves free. The name of a single one may be any
    outputs : those that are wanted, in this order; all if left out

    Raises
    ------
    ConversionError
        The file is missing, damaged, of another kind or not safe to read, it does not fit the
        architecture, its inputs are others, or its framework is not installed.
    """
    path = Path(path)
    try:
        with reading(path, ConversionError):
            return _open(path, architecture, custom, inputs, outputs)
    except EdgeGenreError as error:
        message = str(error)
        raise ConversionError(message if str(path) in message else f"{path}: {message}") from error


def _open(
    path: Path,
    architecture: str | None,
    custom: str | Path | None,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[str],
) -> TrainedModel:
    if not path.exists():
        raise ConversionError("no such file or folder")
    kind = source_kind(path)
    _refuse_what_does_not_apply(kind, architecture, custom)
    try:
        if kind in ("keras", "h5"):
            from edge_genre.convert.sources.keras_source import KerasSource

            return KerasSource(path, kind=kind, custom=custom, inputs=inputs, outputs=outputs)
        if kind == "saved_model":
            from edge_genre.convert.sources.saved_model import SavedModelSource

            return SavedModelSource(path, inputs=inputs, outputs=outputs)
        if kind == "pytorch":
            from edge_genre.convert.sources.pytorch import PyTorchSource

            return PyTorchSource(path, architecture=architecture, inputs=inputs, outputs=outputs)
        if kind == "onnx":
            from edge_genre.convert.sources.onnx_source import OnnxSource

            return OnnxSource(path, inputs=inputs, outputs=outputs)
        from edge_genre.convert.sources.tflite_source import TFLiteSource

        return TFLiteSource(path, outputs=outputs)
    except ImportError as error:
        extra = "pytorch" if kind == "pytorch" else "convert"
        raise ConversionError(
            f"reading this kind of model needs more packages: pip install 'edge-genre[{extra}]' "
            f"({error})"
        ) from None


def _refuse_what_does_not_apply(
    kind: str, architecture: str | None, custom: str | Path | None
) -> None:
    if architecture is not None and kind != "pytorch":
        raise ConversionError("has its own architecture: leave --architecture out")
    if custom is not None and kind not in ("keras", "h5"):
        raise ConversionError("is no Keras file: leave --custom out")
