"""Affine transformations of pictures, without aliasing."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gan_jax.augment import wavelets
from gan_jax.augment.base import Pictures

# On GPUs and TPUs, products would otherwise be rounded to less than float32.
product = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def resample(x: Pictures, matrix: Float[Array, "b 2 2"], shift: Float[Array, "b 2"]) -> Pictures:
    """The pictures whose pixel at q is what `x` is at matrix · (q − shift), with positions (right,
    down) in pixels from the centre.

    Pictures go on as their own reflection beyond their edges. They are interpolated linearly at
    twice their resolution, between an orthogonal low-pass filter upwards and its transpose
    downwards, so that the identity is the identity.

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020,
    appendix B. The published code reflects them once, and is 0 beyond that.
    """
    _, h, w, _ = x.shape
    # Of the samples that are made, at twice the resolution and a little beyond the edges.
    right = _positions(w) - shift[:, 0, None, None]
    down = _positions(h)[:, None] - shift[:, 1, None, None]
    columns, rows = (
        2 * (matrix[:, i, 0, None, None] * right + matrix[:, i, 1, None, None] * down) + side - 1
        for i, side in enumerate((w, h))
    )
    fine = product(product(wavelets.upsampling(h), jnp.moveaxis(x, 3, 1)), wavelets.upsampling(w).T)
    sampled = _interpolate(fine, rows, columns)
    y = product(product(wavelets.downsampling(h), sampled), wavelets.downsampling(w).T)
    return jnp.moveaxis(y, 1, 3)


def _positions(side: int) -> Float[Array, " s"]:
    samples = jnp.arange(2 * side + wavelets.REACH) - wavelets.CENTER
    return (samples - (side - 1)) / 2


def _interpolate(
    x: Float[Array, "b c h w"], rows: Float[Array, "b s t"], columns: Float[Array, "b s t"]
) -> Float[Array, "b c s t"]:
    """Periodic pictures between their pixels, linearly along both axes."""
    h, w = x.shape[2:]
    top, left = jnp.floor(rows), jnp.floor(columns)
    down, right = (rows - top)[:, None], (columns - left)[:, None]
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)

    def pixels(i: int, j: int) -> Float[Array, "b c s t"]:
        return _look_up(x, (top + i) % h * w + (left + j) % w)

    upper = (1 - right) * pixels(0, 0) + right * pixels(0, 1)
    lower = (1 - right) * pixels(1, 0) + right * pixels(1, 1)
    return (1 - down) * upper + down * lower


@jax.vmap
def _look_up(x: Float[Array, "c h w"], indices: Int[Array, "s t"]) -> Float[Array, "c s t"]:
    return x.reshape(len(x), -1).at[:, indices].get(mode="promise_in_bounds")
