"""The path-length regulariser of style-based generators."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax
from jaxtyping import Array, Float, Key

from gan_jax import parallel

Scalar = Float[Array, ""]
Weight = float | int | Float[Array, "..."]


class PathLength(struct.PyTreeNode):
    """λ · E(‖J_wᵀy‖ − a)²: a step in the styles w should change the picture by as much everywhere.

    J_w is the Jacobian of an example's picture in its styles, y ~ N(0, 1)/√(pixels), and `a` the
    running mean of the lengths ‖J_wᵀy‖, which is held constant in the gradient. A length is the
    root of the squared norm summed over a style's features and averaged over the layers' styles,
    where these differ.

    A length is that of the change at one pixel, of all channels, whatever the resolution: doubling
    all pictures doubles the lengths and `a`, and quadruples the penalty. For styles of each layer
    and the default weight of 2 the penalty is the paper's, which weighs sums over r² pixels and
    2·log₂(r) − 2 layers by γ = ln 2 / (r²·(ln r − ln 2)).

    Penalties are meant for every so manieth update (the paper: 4), multiplied by that number.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, eq. 4 and
    appendix B.
    """

    weight: Weight = 2.0
    decay: Weight = 0.01
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
            generate: Pictures as a function of an offset of their styles: a pure function that
                treats examples apart.
            style_shape: Of the offset: [n, features], or [n, layers, features].
            key: Of the directions y, one for each example.
            mean: The running mean so far; 0 at the start of training.
            axis_name: The device axis over which the batch is spread.
        """
        n, *layers, _ = style_shape
        # Of these examples alone: without the mark, `shard_map` sums the gradient over all devices.
        offset = parallel.varying(jnp.zeros(style_shape), axis_name)
        pictures, pull_back = jax.vjp(generate, offset)
        _, height, width, _ = pictures.shape
        directions = parallel.per_example(
            lambda k: jax.random.normal(k, pictures.shape[1:], pictures.dtype), key, n, axis_name
        )
        (gradients,) = pull_back(directions / math.sqrt(height * width))
        # The norm's gradient is 0 where it is 0.
        norms = optax.safe_norm(gradients.reshape(n, -1), 0.0, axis=-1)
        lengths = norms / math.sqrt(math.prod(layers))
        batch_mean = parallel.mean(jnp.mean(lax.stop_gradient(lengths)), axis_name)
        mean = mean + self.decay * (batch_mean - mean)
        return self.weight * jnp.mean(jnp.square(lengths - mean)), mean
