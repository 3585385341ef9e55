"""The path-length regulariser of style-based generators."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax
from jaxtyping import Array, Float, Key, PyTree

from gan_jax import parallel
from gan_jax.nodes import Node
from gan_jax.objectives.protocols import Aux, Batch, Scalar
from gan_jax.objectives.sampled import Wrapper
from gan_jax.objectives.streams import PATHS
from gan_jax.schedules import Scheduled
from gan_jax.state import OBJECTIVE, TrainState, remember


class PathLength(Node):
    """λ · E(‖J_wᵀy‖ − a)²: a step in the styles w should change the image by as much everywhere.

    J_w is the Jacobian of an example's image in its styles, y ~ N(0, 1)/√(pixels), and `a` the
    running mean of the lengths ‖J_wᵀy‖, which is held constant in the gradient. A length is the
    root of the squared norm summed over a style's features and averaged over the layers' styles,
    where these differ.

    A length is that of the change at one pixel, of all channels, whatever the resolution: doubling
    all images doubles the lengths and `a`, and quadruples the penalty. For styles of each layer
    and the default weight of 2 the penalty is the paper's, which weighs sums over r² pixels and
    2·log₂(r) − 2 layers by γ = ln 2 / (r²·(ln r − ln 2)).

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, eq. 4 and
    appendix B.
    """

    weight: Scheduled = 2.0
    decay: Scheduled = 0.01
    """How far the running mean moves towards each batch's."""

    def __call__(
        self,
        generate: Callable[[Array], Float[Array, "n h w c"]],
        style_shape: tuple[int, ...],
        key: Key[Array, ""],
        mean: Scalar,
        axis_name: str | None = None,
    ) -> tuple[Scalar, Scalar]:
        """The penalty, and the running mean that it compared with.

        Args:
            generate: Images as a function of an offset of their styles: a pure function that
                treats examples apart.
            style_shape: Of the offset: [n, features], or [n, layers, features].
            key: Of the directions y, one for each example.
            mean: The running mean so far; 0 at the start of training.
            axis_name: The device axis over which the batch is spread.
        """
        n, *layers, _ = style_shape
        # Of these examples alone: without the mark, `shard_map` sums the gradient over all devices.
        offset = parallel.varying(jnp.zeros(style_shape), axis_name)
        images, pull_back = jax.vjp(generate, offset)
        _, height, width, _ = images.shape
        directions = parallel.per_example(
            lambda k: jax.random.normal(k, images.shape[1:], images.dtype), key, n, axis_name
        )
        (gradients,) = pull_back(directions / math.sqrt(height * width))
        # The norm's gradient is 0 where it is 0.
        norms = optax.safe_norm(gradients.reshape(n, -1), 0.0, axis=-1)
        lengths = norms / math.sqrt(math.prod(layers))
        batch_mean = parallel.mean(jnp.mean(lax.stop_gradient(lengths)), axis_name)
        mean = mean + self.decay * (batch_mean - mean)
        return self.weight * jnp.mean(jnp.square(lengths - mean)), mean


class PathLengthRegularization(Wrapper):
    """Adds a `PathLength` penalty to the generator's loss, for networks that take a `style_offset`.
    The generator's state remembers the mean length."""

    style_shape: tuple[int, ...] = struct.field(pytree_node=False)
    """Of one example's offset: (layers, features), or (features,)."""
    penalty: PathLength = PathLength()
    every: int = struct.field(pytree_node=False, default=1)
    """The penalty comes in one of so many generator updates (the paper: 4), that much stronger."""

    def init(
        self, key: Key[Array, ""], *, generator: Any, discriminator: Any, batch: Batch
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """Initial variables of both networks, and the mean length's beginning."""
        d_variables, g_variables = self.objective.init(
            key, generator=generator, discriminator=discriminator, batch=batch
        )
        return d_variables, remember(g_variables, {"path_length": jnp.zeros(())})

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
        """The generator's loss, and the penalty on other examples than those."""
        loss, aux = self.objective.g_loss_given_fake(g_params, g, d, fake, batch, key, axis_name)
        penalty, mean = self._penalize(g_params, g, batch, key, axis_name)
        return loss + penalty, aux._replace(
            collections=remember(aux.collections, {"path_length": mean}),
            metrics=aux.metrics | {"penalty": penalty},
        )

    def _penalize(
        self,
        g_params: PyTree,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> tuple[Scalar, Scalar]:
        """The penalty, and the mean length after it."""
        key, direction_key = jax.random.split(jax.random.fold_in(key, PATHS))
        shape = (len(batch["real"]), *self.style_shape)

        def images(offset: Array) -> Array:
            return self.generate(g_params, g, batch, key, axis_name, style_offset=offset)[0]

        def penalize(mean: Scalar) -> tuple[Scalar, Scalar]:
            penalty, mean = self.penalty(images, shape, direction_key, mean, axis_name)
            return self.every * penalty, mean

        mean = g.collections[OBJECTIVE]["path_length"]
        if self.every == 1:
            penalty, mean = penalize(mean)
        else:
            idle = parallel.varying(jnp.zeros(()), axis_name)
            due = g.step % self.every == 0
            penalty, mean = lax.cond(due, penalize, lambda mean: (idle, mean), mean)
        return penalty, lax.stop_gradient(mean)
