"""What the writers ask of a Keras model, and how they copy it before they change it."""

from collections.abc import Callable, Iterator

import keras

from edge_genre.errors import ConversionError, one_line


def require_convertible(model: keras.Model) -> None:
    """Refuse a model that the writers cannot carry over faithfully.

    Parameters
    ----------
    model : built functional or sequential model, one input of fixed shape but for the batch
        axis, one output.

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
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ConversionError(
            f"model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs; expected one of each: make a model of the part that classifies"
        )
    shape = model.inputs[0].shape
    if None in shape[1:]:
        raise ConversionError(
            f"model {model.name!r} takes input of shape {shape}; expected fixed lengths after the "
            "batch axis: rebuild it with the window length it is to run on"
        )
    for layer in _layers(model):
        # The exported graphs have windows of one length and carry no masks; dropping one in
        # silence would change the result.
        if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
            raise ConversionError(
                f"layer {layer.name!r} masks time steps, which the exported formats cannot "
                "express: remove it and pad the input instead"
            )


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
