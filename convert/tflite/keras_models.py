"""What the writers ask of a Keras model, and how they copy it before they change it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from edge_genre.convert.tensors import INPUT, OUTPUT, names_in_files
from edge_genre.errors import ConversionError, one_line


def require_convertible(model: keras.Model) -> None:
    """Refuse a model that the writers cannot carry over faithfully.

    Parameters
    ----------
    model : built functional or sequential model, its inputs of fixed shape but for the batch
        axis.

    Raises
    ------
    ConversionError
        it is something else, or it masks time steps.
    """
    if not getattr(model, "inputs", None):  # subclassed, or a sequential one without its input
        raise ConversionError(
            f"model {model.name!r} is a {type(model).__name__}; expected a built functional or "
            "sequential Keras model: rebuild it as one and copy the weights"
        )
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ConversionError(
                f"model {model.name!r} takes input of shape {tensor.shape}; expected fixed lengths "
                "after the batch axis: rebuild it with the window length it is to run on"
            )
    for layer in _layers(model):
        # The exported graphs have windows of one length and carry no masks; dropping one in
        # silence would change the result.
        if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
            raise ConversionError(
                f"layer {layer.name!r} masks time steps, which the exported formats cannot "
                "express: remove it and pad the input instead"
            )


def input_names(model: keras.Model) -> tuple[str, ...]:
    """What a built model's inputs are called: as their layers, which keys of a dictionary are."""
    return tuple(tensor.name for tensor in model.inputs)


def output_names(model: keras.Model) -> tuple[str, ...]:
    """What a built model's outputs are called: by the keys of a dictionary, or as their layers."""
    is_functional = not isinstance(model, keras.Sequential)
    if is_functional and isinstance(model.output, dict):
        return tuple(sorted(model.output))  # as Keras orders them
    layers = [tensor._keras_history.operation.name for tensor in model.outputs]
    return tuple(
        f"{name}_{layers[:index].count(name)}" if name in layers[:index] else name
        for index, name in enumerate(layers)
    )


def ends(
    model: keras.Model, outputs: Sequence[str] | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a file that is made of a built model calls its inputs and its outputs.

    Parameters
    ----------
    outputs : names for the model's outputs; its own if left out
    """
    return (
        names_in_files(input_names(model), INPUT),
        names_in_files(outputs or output_names(model), OUTPUT),
    )


def called(model: keras.Model, *tensors: Any) -> list[Any]:
    """Call a built model with a tensor for each of its inputs, and return those of its outputs."""
    return list(keras.tree.flatten(model(packed(model, tensors), training=False)))


def packed(model: keras.Model, arrays: Sequence[Any]) -> Any:
    """A tensor for each of a built model's inputs as it takes them: alone, listed, or by name."""
    if isinstance(model, keras.Sequential):
        return arrays[0]
    return keras.tree.pack_sequence_as(model.input, arrays)


def copy_model(
    model: keras.Model,
    replace: Callable[[keras.layers.Layer], keras.layers.Layer | None] | None = None,
) -> keras.Model:
    """Copy a model, nested models included, with its weights and, if asked, with other layers.

    The copy shares nothing with the original, so what a writer does to it stays unseen outside.

    Parameters
    ----------
    model : functional or sequential model.
    replace : is asked for each layer and returns the one to put in its place, with the same
        weights in the same order, or None to keep it.

    Raises
    ------
    ConversionError
        a layer cannot be made again from its configuration.
    """

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        replacement = replace(layer) if replace else None
        return replacement or type(layer).from_config(layer.get_config())

    try:
        copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ConversionError(
            f"model {model.name!r} cannot be copied: {one_line(error, 300)}; a custom "
            "layer needs a get_config that returns the arguments of its constructor"
        ) from error
    copy.set_weights(model.get_weights())
    return copy


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """All layers, those of nested models included."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
