"""The generator's moving average."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from gan_jax.nodes import Node
from gan_jax.schedules import Number, Scheduled
from gan_jax.state import AVERAGED, TrainState


class EMA(Node):
    """An exponential moving average of the generator's parameters, measured in images.

    After each generator update the average moves to β·average + (1 − β)·parameters with
    β = 0.5^(batch / h): `half_life` images ago counts half. Early on, h is `ramp_up` times the
    images seen so far where that is less, so that the average forgets the random start. An image
    is seen when a generator update uses it; with a ramp, the first update copies the parameters.

    Statistics of batches (`gan_jax.state.STATISTICS`) are averaged as the parameters are: those of
    the parameters under training would not fit their average. Other collections (spectral-norm
    vectors, StyleGAN2's mean style) are used as they are, as in the published implementations.

    Source: Yaz et al., "The Unusual Effectiveness of Averaging in GAN Training", 2019; half-life
    and ramp as in Karras et al., "Training GANs with Limited Data", 2020.
    """

    half_life: Scheduled = 10_000.0
    ramp_up: Scheduled | None = 0.05

    def decay(self, images_seen: Number, batch_size: Number) -> Float[Array, ""]:
        """β of the update that follows after `images_seen` images, for `batch_size` more."""
        half_life = jnp.asarray(self.half_life, jnp.float32)
        if self.ramp_up is not None:
            half_life = jnp.minimum(half_life, self.ramp_up * jnp.asarray(images_seen, jnp.float32))
        return jnp.where(half_life > 0, 0.5 ** (batch_size / jnp.maximum(half_life, 1e-8)), 0.0)

    def follow(
        self, old: TrainState, new: TrainState, images_seen: Number, batch_size: Number
    ) -> TrainState:
        """The generator's state after an update, `new`, with the averages of the one before it,
        `old`, moved on."""
        average = functools.partial(self.update, images_seen=images_seen, batch_size=batch_size)
        new = new.replace(ema_params=average(old.ema_params, new.params))
        if AVERAGED not in old.collections:
            return new
        before = old.collections[AVERAGED]
        statistics = average(before, {name: new.collections[name] for name in before})
        return new.replace(collections=new.collections | {AVERAGED: statistics})

    def update(
        self, average: PyTree, params: PyTree, images_seen: Number, batch_size: Number
    ) -> PyTree:
        """The moving average after one more generator update."""
        decay = self.decay(images_seen, batch_size)
        return jax.tree.map(lambda a, p: (p + decay * (a - p)).astype(p.dtype), average, params)
