"""The generator's moving average."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from gan_jax.nodes import Node
from gan_jax.schedules import Number, Scheduled


class EMA(Node):
    """An exponential moving average of the generator's parameters, measured in images.

    After each generator update the average moves to β·average + (1 − β)·parameters with
    β = 0.5^(batch / h): `half_life` images ago counts half. Early on, h is `ramp_up` times the
    images seen so far where that is less, so that the average forgets the random start. An image
    is seen when a generator update uses it; with a ramp, the first update copies the parameters.

    Only parameters are averaged. Other collections (batch statistics, spectral-norm vectors) are
    used as they are: they follow the parameters under training already, as averages of their own.

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

    def update(
        self, average: PyTree, params: PyTree, images_seen: Number, batch_size: Number
    ) -> PyTree:
        """The moving average after one more generator update."""
        decay = self.decay(images_seen, batch_size)
        return jax.tree.map(lambda a, p: (p + decay * (a - p)).astype(p.dtype), average, params)
