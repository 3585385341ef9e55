"""From noise to data: the adversarial game of Goodfellow et al., 2014."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Float, Key, PyTree

from gan_jax import parallel
from gan_jax.ema import EMA
from gan_jax.losses import Loss
from gan_jax.objectives.base import Aux
from gan_jax.state import TrainState

Batch = dict[str, Array]
Scalar = Float[Array, ""]


class Adversarial(struct.PyTreeNode):
    """Two players, a loss for each, and penalties on the discriminator.

    Latents are standard normal, drawn afresh in every update of either player. For a conditional
    model the batch's labels condition the generated examples too, index by index.

    Raises (when traced):
        ValueError: a penalty on a discriminator with batch norm, whose input gradients are not per
            example.
    """

    loss: Loss = struct.field(pytree_node=False)
    latent_dim: int = struct.field(pytree_node=False)
    regularizers: tuple[Callable[..., Scalar], ...] = ()
    label_smoothing: float | Scalar | None = None
    """One-sided: how far the discriminator's target for real examples lies below 1."""
    ema: EMA | None = EMA()

    def __post_init__(self):
        # A function is a leaf, and no array; Partial makes it a pytree without leaves.
        regularizers = tuple(
            jax.tree_util.Partial(r) if callable(r) and jax.tree_util.all_leaves([r]) else r
            for r in self.regularizers
        )
        object.__setattr__(self, "regularizers", regularizers)

    def init(
        self, key: Key[Array, ""], *, generator: Any, discriminator: Any, batch: Batch
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """Initial variables of both networks."""
        d_key, g_key = jax.random.split(key)
        real, label = batch["real"][:1], batch.get("label")
        label = None if label is None else label[:1]
        z = jnp.zeros((1, self.latent_dim), jnp.float32)
        return (
            discriminator.init(d_key, real, label, train=True),
            generator.init(g_key, z, label, train=True),
        )

    def d_loss(
        self,
        d_params: PyTree,
        d: TrainState,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The discriminator's loss and penalties on real examples and as many generated ones."""
        if self.regularizers and "batch_stats" in d.collections:
            raise ValueError(
                "gradient penalties need a discriminator without batch norm: with it, the gradient "
                "at one example depends on the others (use norm='none' or 'spectral')"
            )
        latent_key, penalty_key = jax.random.split(key)
        real, label = batch["real"], batch.get("label")
        fake, _ = self._generate(g.params, g, batch, latent_key, axis_name)
        fake = lax.stop_gradient(fake)

        real_logits, collections = d.apply(d_params, real, label, train=True, axis_name=axis_name)
        d = d.replace(collections=collections)
        fake_logits, collections = d.apply(d_params, fake, label, train=True, axis_name=axis_name)
        d = d.replace(collections=collections)

        real_logits = parallel.gather(real_logits, axis_name)
        fake_logits = parallel.gather(fake_logits, axis_name)
        smoothing = (
            {} if self.label_smoothing is None else {"label_smoothing": self.label_smoothing}
        )
        loss = self.loss.discriminator(real_logits, fake_logits, **smoothing)
        metrics = {"loss": loss, **_judgement(self.loss, real_logits, fake_logits)}

        critic = _Critic(d, d_params, label, axis_name)
        for i, regularizer in enumerate(self.regularizers):
            penalty = regularizer(critic, real, fake, jax.random.fold_in(penalty_key, i))
            metrics["penalty"] = metrics.get("penalty", 0.0) + penalty
            loss = loss + penalty
        return loss, Aux(collections, metrics)

    def g_loss(
        self,
        g_params: PyTree,
        g: TrainState,
        d: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The generator's loss. The discriminator sees its batches as in training (batch statistics
        of the batch at hand), but what it would remember of them is dropped."""
        label = batch.get("label")
        fake, collections = self._generate(g_params, g, batch, key, axis_name)
        fake_logits, _ = d.apply(d.params, fake, label, train=True, axis_name=axis_name)
        real_logits, _ = d.apply(d.params, batch["real"], label, train=True, axis_name=axis_name)
        loss = self.loss.generator(
            parallel.gather(real_logits, axis_name), parallel.gather(fake_logits, axis_name)
        )
        return loss, Aux(collections, {"loss": loss})

    def _generate(
        self,
        g_params: PyTree,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> tuple[Array, dict[str, PyTree]]:
        n = batch["real"].shape[0]
        z = parallel.per_example(
            lambda k: jax.random.normal(k, (self.latent_dim,)), key, n, axis_name
        )
        return g.apply(g_params, z, batch.get("label"), train=True, axis_name=axis_name)


@dataclasses.dataclass(frozen=True)
class _Critic:
    """The discriminator as a function of its input alone, its collections held fixed."""

    d: TrainState
    params: PyTree
    label: Array | None
    axis_name: str | None

    def __call__(self, x: Array) -> Float[Array, " b"]:
        logits, _ = self.d.apply(self.params, x, self.label, train=False, axis_name=self.axis_name)
        return logits


def _judgement(
    loss: Loss, real_logits: Float[Array, " b"], fake_logits: Float[Array, " b"]
) -> dict[str, Scalar]:
    """How well the discriminator tells the two apart.

    `accuracy` is the share of examples on the right side of the loss's threshold; for losses
    without one, the share of pairs whose real example has the larger logit. Ties count half.
    """
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)

    def share_positive(margins):
        return jnp.mean(0.5 * (1 + jnp.sign(margins)))

    metrics = {"real_logit": jnp.mean(real), "fake_logit": jnp.mean(fake)}
    if loss.threshold is None:
        return metrics | {"accuracy": share_positive(real - fake)}
    on_real = share_positive(real - loss.threshold)
    on_fake = share_positive(loss.threshold - fake)
    return metrics | {
        "accuracy": 0.5 * (on_real + on_fake),
        "accuracy_real": on_real,
        "accuracy_fake": on_fake,
    }
