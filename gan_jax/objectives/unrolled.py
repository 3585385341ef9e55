"""Unrolled discriminators."""

import jax
from flax import struct
from jaxtyping import Array, Key, PyTree

from gan_jax import parallel
from gan_jax.objectives.protocols import Aux, Batch, Scalar
from gan_jax.objectives.sampled import Wrapper
from gan_jax.objectives.streams import UNROLLING
from gan_jax.state import TrainState


class Unrolled(Wrapper):
    """The generator faces the discriminator as it would be `updates` updates ahead, and
    differentiates through them.

    They are on the batch at hand, and by the discriminator's own optimiser, which must be
    differentiable at zero gradients: Adam needs an `eps_root` above 0.

    Source: Metz et al., "Unrolled Generative Adversarial Networks", 2017, eq. 5.
    """

    updates: int = struct.field(pytree_node=False, default=5)

    def g_loss_given_fake(
        self,
        g_params: PyTree,
        g: TrainState,
        d: TrainState,
        fake: Array,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The generator's loss against the discriminator that its examples lead to."""
        for i in range(self.updates):
            unrolling = jax.random.fold_in(jax.random.fold_in(key, UNROLLING), i)
            d = self._updated(d, fake, batch, unrolling, axis_name)
        return self.objective.g_loss_given_fake(g_params, g, d, fake, batch, key, axis_name)

    def _updated(
        self,
        d: TrainState,
        fake: Array,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> TrainState:
        """The discriminator after one more update, as a differentiable function of `fake`."""
        gradients, aux = jax.grad(self.objective.d_loss_given_fake, has_aux=True)(
            d.params, d, fake, batch, key, axis_name
        )
        gradients, collections = parallel.mean((gradients, aux.collections), axis_name)
        return d.updated(gradients, collections)
