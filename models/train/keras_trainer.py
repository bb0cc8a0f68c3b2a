"""A Keras network, its moving average and its optimizer; `training` runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edge_genre.errors import DataError
from edge_genre.models.networks.songnet import songnet
from edge_genre.models.networks.tiny import tiny
from edge_genre.models.train.objectives import OBJECTIVES
from edge_genre.models.train.recipes import Recipe

NETWORKS: dict[str, Callable[..., keras.Model]] = {"songnet": songnet, "tiny": tiny}
_GENRES = "genre"  # the last layer of every network
_FEATURES = "features"  # what it and the head for embeddings read


class KerasTrainer:
    """A network that is trained with AdamW and averaged over its steps.

    Parameters
    ----------
    recipe : for network, seed, rates and momentum.
    n_classes : of the data.
    n_embedded : length of the teacher embeddings to learn beside the genres; 0 for none.
    initial : Keras file with a network to begin with; its last layer is not taken over.

    Raises
    ------
    DataError
        `initial` holds no such network.
    """

    suffix = ".keras"

    def __init__(
        self,
        recipe: Recipe,
        n_classes: int,
        *,
        n_embedded: int = 0,
        initial: Path | None = None,
    ) -> None:
        keras.utils.set_random_seed(recipe.seed)
        self._recipe = recipe
        spec = recipe.spec
        frequency_first = spec.axes == "frequency_first"
        objective = OBJECTIVES[recipe.task.kind]
        self._n_classes, self._loss_of_labels = n_classes, keras.losses.get(objective.loss)
        self._options = recipe.options | {
            "n_mels": spec.shape[0 if frequency_first else 1],
            "n_classes": n_classes,
            "frequency_first": frequency_first,
            "name": spec.kind,
            "activation": objective.activation,
        }
        self._n_embedded = n_embedded
        self.model, self.average = self._build(), self._build()
        if initial:
            try:
                _copy(keras.models.load_model(initial), self.model, but=_GENRES)
            except ValueError:
                raise DataError(
                    f"{initial}: is no Keras network of the same shape as {recipe.network}: give "
                    "one that was trained by the same recipe"
                ) from None
        self.average.set_weights(self.model.get_weights())
        warmup = min(recipe.warmup, recipe.steps // 10)
        self.optimizer = keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                recipe.peak_rate / 100,
                max(recipe.steps - warmup, 1),
                warmup_target=recipe.peak_rate,
                warmup_steps=warmup,
            ),
            weight_decay=recipe.weight_decay,
        )
        # Decay pulls on kernels; gains and biases have nothing to lose by being large.
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.optimizer.build(self.model.trainable_variables)
        self._checkpoint = tf.train.Checkpoint(
            model=self.model, average=self.average, optimizer=self.optimizer
        )
        self._step = tf.function(self._one_step, reduce_retracing=True)
        self._predict = tf.function(
            lambda x: self.average(x, training=False)[:, :n_classes], reduce_retracing=True
        )

    @property
    def steps(self) -> int:
        """Steps done."""
        return int(self.optimizer.iterations.numpy())

    @property
    def parameters(self) -> int:
        """Weights of the network that is saved."""
        return int(self._network().count_params())

    @property
    def versions(self) -> dict[str, str]:
        """Of what the weights depend on."""
        return {"tensorflow": tf.__version__, "keras": keras.__version__}

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        """Move the weights once.

        Parameters
        ----------
        x : features (batch, ...), as the front end orders frames and bands.
        y : probabilities of the genres and the embedding, (batch, classes + n_embedded).

        Returns
        -------
        The loss.
        """
        return float(self._step(x, y))

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Probabilities (windows, classes) by the averaged weights."""
        size = max(1, 10_000 // self._recipe.spec.n_frames)
        parts = [self._predict(windows[i : i + size]) for i in range(0, len(windows), size)]
        return np.concatenate([part.numpy() for part in parts])

    def save(self, path: Path, *, temperature: float = 1.0) -> None:
        """Write the averaged network; its logits are divided by the temperature."""
        network = self._network()
        _copy(self.average, network)
        last = network.get_layer(_GENRES)
        last.set_weights([weight / temperature for weight in last.get_weights()])
        network.save(path)

    def load(self, path: Path) -> None:
        """Take averaged weights that `save` wrote."""
        _copy(keras.models.load_model(path), self.average)

    def keep(self, folder: Path) -> None:
        """Write all that is needed to go on."""
        self._manager(folder).save()

    def resume(self, folder: Path) -> bool:
        """Go on from what `keep` wrote last; return whether there is any."""
        latest = self._manager(folder).latest_checkpoint
        if latest:
            self._checkpoint.restore(latest).assert_consumed()
        return latest is not None

    def _manager(self, folder: Path) -> Any:
        return tf.train.CheckpointManager(self._checkpoint, folder, max_to_keep=1)

    def _network(self, *, any_length: bool = False) -> keras.Model:
        recipe = self._recipe
        n_frames = None if any_length else recipe.spec.n_frames
        return NETWORKS[recipe.network](n_frames=n_frames, **self._options)

    def _build(self) -> keras.Model:
        """The network as it is trained: where it is on crops for any length, with both heads."""
        body = self._network(any_length=self._recipe.crop is not None)
        if not self._n_embedded:
            return body
        features = body.get_layer(_FEATURES).output
        head = keras.layers.Dense(self._n_embedded, name="embedding")(features)
        return keras.Model(body.inputs, keras.layers.Concatenate(name="heads")([body.output, head]))

    def _one_step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._loss(y, self.model(x, training=True))
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
        # Early on the average follows closely: it must not keep the random start for long.
        steps = tf.cast(self.optimizer.iterations, tf.float32)
        keep = tf.minimum(self._recipe.momentum, (1 + steps) / (10 + steps))
        for slow, fast in zip(self.average.weights, self.model.weights, strict=True):
            slow.assign(keep * slow + (1 - keep) * fast)
        return loss

    def _loss(self, wanted: tf.Tensor, said: tf.Tensor) -> tf.Tensor:
        n = self._n_classes
        loss = self._loss_of_labels(wanted[:, :n], said[:, :n])
        if self._n_embedded:
            error = tf.reduce_mean(tf.square(wanted[:, n:] - said[:, n:]), axis=1)
            loss = loss + self._recipe.embedding * error
        return tf.reduce_mean(loss)


def _copy(source: keras.Model, target: keras.Model, *, but: str = "") -> None:
    """Move weights from layer to layer of the same name; others keep their own."""
    theirs = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        if layer.weights and layer.name != but and layer.name in theirs:
            layer.set_weights(theirs[layer.name].get_weights())
