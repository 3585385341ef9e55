"""The discriminator in one update of either player."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from gan_jax.critic import Judged, of_examples
from gan_jax.objectives.streams import NETWORK
from gan_jax.state import OBJECTIVE, SPECTRAL, TrainState


class Discriminator:
    """The discriminator of one update, as a function of its input alone.

    It first judges the examples at hand, as in training; regularisers then call it with its
    collections held fixed. What it is shown is augmented first, anew each time; gradients are with
    respect to what it was shown.

    It lives no longer than the trace of a loss. While that lasts, it counts what it has been shown,
    since each time has a key of its own, and keeps the `collections` that its network returned.
    """

    def __init__(
        self,
        d: TrainState,
        params: PyTree,
        label: Array | None,
        augmentation: Callable[..., Array] | None,
        key: Key[Array, ""],
        axis_name: str | None,
    ):
        self._d, self._params, self._label, self._axis_name = d, params, label, axis_name
        self._augmentation, self._key, self._shown = augmentation, key, 0
        self.classes: list[Array] = []
        """Class logits, of networks that return them, batch by batch of what was judged."""

    @property
    def collections(self) -> dict[str, PyTree]:
        """The network's, after what was judged so far."""
        return self._d.collections

    def judge(self, x: Array) -> Judged:
        """The logits of examples in a batch of their own, as in training."""
        logits, pull_back, (classes, collections) = jax.vjp(self._apply, x, has_aux=True)
        self._keep(classes, collections)
        return Judged(self, x, (logits, pull_back))

    def judge_together(
        self, real: Array, fake: Array
    ) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """The logits of all patches of both in one batch: half as many, larger products. It is for
        discriminators that treat examples apart."""
        logits, (classes, collections) = self._apply(jnp.concatenate([real, fake]))
        self._keep(classes, collections)
        real_logits, fake_logits = jnp.split(logits, 2)
        return real_logits.reshape(-1), fake_logits.reshape(-1)

    def logits(self, x: Array) -> Float[Array, " p"]:
        """Of all patches, as in training, but nothing that the network would remember of it is
        kept."""
        logits, (classes, _) = self._apply(x)
        self._keep(classes, self.collections)
        return logits.reshape(-1)

    def check_examples_apart(self, x: Array) -> None:
        """
        Raises:
            ValueError: the network keeps statistics of what it is shown, as batch norm does.
        """
        for name in self.collections.keys() - {OBJECTIVE, SPECTRAL}:
            if self._depends(name, x):
                raise ValueError(
                    "penalties need a discriminator without batch norm: with it, logit and "
                    "gradient at one example depend on the others (use norm='none' or 'spectral'). "
                    f"This one's collection {name!r} is about the batch that it is shown; if "
                    "its logits do not read that, keep it out of the network"
                )

    def _depends(self, collection: str, x: Array) -> bool:
        """Whether an update of this collection has to do with the examples shown: then it cannot be
        the same for all of several batches."""

        def updated(x):
            return self._output(x, self._key)[1][collection]

        try:
            jax.eval_shape(jax.vmap(updated, out_axes=None), x[None])
        except ValueError as error:
            if "out_axes" not in str(error):
                raise
            return True
        return False

    def __call__(self, x: Array) -> Float[Array, " b"]:
        """As outside training."""
        return of_examples(self._apply(x, train=False)[0])

    def _keep(self, classes: Array | None, collections: dict[str, PyTree]) -> None:
        self._d = self._d.replace(collections=collections)
        if classes is not None:
            self.classes.append(classes)

    def _apply(self, x: Array, *, train: bool = True):
        """Logits, and beside them class logits and collections."""
        key = jax.random.fold_in(self._key, self._shown)
        self._shown += 1
        output, collections = self._output(x, key, train=train)
        logits, classes = output if isinstance(output, tuple) else (output, None)
        return logits, (classes, collections)

    def _output(self, x: Array, key: Key[Array, ""], *, train: bool = True):
        """The network's output, and its collections after that."""
        label = self._label
        if label is not None and len(x) > len(label):
            label = jnp.concatenate([label] * (len(x) // len(label)))
        if self._augmentation is not None:
            x = self._augmentation(x, key, self._axis_name)
        network_key = jax.random.fold_in(key, NETWORK) if train else None
        return self._d.apply(
            self._params, x, label, train=train, axis_name=self._axis_name, key=network_key
        )
