"""From noise to data: the adversarial game of Goodfellow et al., 2014."""

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
    together: bool = struct.field(pytree_node=False, default=True)
    """Let the discriminator judge real and generated examples in one batch, where nothing else
    speaks against it: penalties, or collections (other than spectral norm's) that may hold
    statistics. False is for discriminators that compare the examples of a batch without keeping
    anything, as by minibatch standard deviation."""

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
        critic = _Critic(d, d_params, label, axis_name)
        together = self.together and d.collections.keys() <= {"spectral"}
        if together and not self.regularizers:
            real_logits, fake_logits = critic.judge_together(real, fake)
        else:
            real_logits, fake_logits = critic.judge(real), critic.judge(fake)

        real_logits = parallel.gather(real_logits, axis_name)
        fake_logits = parallel.gather(fake_logits, axis_name)
        smoothing = (
            {} if self.label_smoothing is None else {"label_smoothing": self.label_smoothing}
        )
        loss = self.loss.discriminator(real_logits, fake_logits, **smoothing)
        metrics = {"loss": loss, **_judgement(self.loss, real_logits, fake_logits)}

        for i, regularizer in enumerate(self.regularizers):
            penalty = regularizer(critic, real, fake, jax.random.fold_in(penalty_key, i))
            metrics["penalty"] = metrics.get("penalty", 0.0) + penalty
            loss = loss + penalty
        return loss, Aux(critic.collections, metrics)

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


class _Critic:
    """The discriminator in one of its updates, as a function of its input alone.

    It first judges the examples at hand, as in training; penalties then see it with its collections
    held fixed. What they most often ask for, the input gradients at those same examples, comes from
    the pass that judged them: then one backward pass serves both the loss and the penalty.
    """

    def __init__(self, d: TrainState, params: PyTree, label: Array | None, axis_name: str | None):
        self.axis_name = axis_name
        self._d, self._params, self._label = d, params, label
        self._judged: list[tuple[Array, Callable[..., tuple[Array]]]] = []

    @property
    def collections(self) -> dict[str, PyTree]:
        """The discriminator's, after what it has judged."""
        return self._d.collections

    def judge(self, x: Array) -> Float[Array, " b"]:
        """Logits of examples in a batch of their own."""
        label = self._label
        logits, pull_back, collections = jax.vjp(
            lambda x: self._apply(x, label, train=True), x, has_aux=True
        )
        self._d = self._d.replace(collections=collections)
        self._judged.append((x, lambda: pull_back(jnp.ones_like(logits))))
        return logits

    def judge_together(self, real: Array, fake: Array) -> tuple[Array, Array]:
        """Logits of both, in one batch: half as many, larger products. For discriminators that
        treat examples apart."""
        label = None if self._label is None else jnp.concatenate([self._label, self._label])
        logits, collections = self._apply(jnp.concatenate([real, fake]), label, train=True)
        self._d = self._d.replace(collections=collections)
        return logits[: len(real)], logits[len(real) :]

    def __call__(self, x: Array) -> Float[Array, " b"]:
        return self._apply(x, self._label, train=False)[0]

    def known_gradients(self, x: Array) -> Array | None:
        """∇ₓ of the sum of logits, if it has judged these examples."""
        return next((gradients()[0] for judged, gradients in self._judged if x is judged), None)

    def _apply(self, x: Array, label: Array | None, *, train: bool):
        return self._d.apply(self._params, x, label, train=train, axis_name=self.axis_name)


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
