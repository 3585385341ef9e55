"""Doubling and halving the resolution of images, without parameters.

All are sums of shifted or strided views: every derivative is one too, and they are fast everywhere.
Outside a image there is black nothing (0).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float


def repeat_up(x: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w c"]:
    """Every pixel four times: nearest neighbours."""
    n, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c))
    return x.reshape(n, 2 * h, 2 * w, c)


def average_down(x: Float[Array, "n h w c"]) -> Float[Array, "n h//2 w//2 c"]:
    """The means of 2×2 pixels."""
    total: Any = sum(x[:, i::2, j::2] for i in (0, 1) for j in (0, 1))
    return total / 4


def filter_up(x: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w c"]:
    """Twice the resolution, smoothed by the binomial filter [1, 3, 3, 1] along both axes.

    Along an axis, pixel 2i is ¾·x[i] + ¼·x[i − 1], and 2i + 1 is ¾·x[i] + ¼·x[i + 1]. The filter
    is [1, 2, 1] after nearest neighbours [1, 1].

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020,
    appendix B.
    """
    for axis in (1, 2):
        even, odd = 0.75 * x + 0.25 * shift(x, 1, axis), 0.75 * x + 0.25 * shift(x, -1, axis)
        shape = [*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :]]
        x = jnp.stack([even, odd], axis=axis + 1).reshape(shape)
    return x


def filter_down(x: Float[Array, "n h w c"]) -> Float[Array, "n h//2 w//2 c"]:
    """Half the resolution, smoothed before by the binomial filter [1, 3, 3, 1] / 8 along both axes:
    pixel i is (x[2i − 1] + 3·x[2i] + 3·x[2i + 1] + x[2i + 2]) / 8. A quarter of the transpose of
    `filter_up`."""
    for axis in (1, 2):
        even = jnp.moveaxis(jnp.moveaxis(x, axis, 0)[0::2], 0, axis)
        odd = jnp.moveaxis(jnp.moveaxis(x, axis, 0)[1::2], 0, axis)
        x = 0.375 * (even + odd) + 0.125 * (shift(odd, 1, axis) + shift(even, -1, axis))
    return x


def shift(x: Array, by: int, axis: int) -> Array:
    """x[i − by] at i: ±1 pixel, with 0 coming in."""
    ends = [(0, 0)] * x.ndim
    ends[axis] = (1, 0) if by > 0 else (0, 1)
    window = [slice(None)] * x.ndim
    window[axis] = slice(None, -1) if by > 0 else slice(1, None)
    return jnp.pad(x[tuple(window)], ends)
