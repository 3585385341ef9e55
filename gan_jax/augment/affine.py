"""Affine transformations of images, without aliasing."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int

from gan_jax.augment import wavelets
from gan_jax.augment.base import Images

# On GPUs and TPUs, products would otherwise be rounded to less than float32.
product = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)


def along_axes(
    rows: ArrayLike, columns: ArrayLike, x: Float[Array, "b h w c"]
) -> Float[Array, "b h_out w_out c"]:
    """Matrices [… h_out, h] and [… w_out, w] applied along both axes."""
    return product("...ih,...jw,...hwc->...ijc", rows, columns, x)


def resample(x: Images, matrix: Float[Array, "b 2 2"], shift: Float[Array, "b 2"]) -> Images:
    """The images whose pixel at q is what `x` is at matrix · (q − shift), with positions (right,
    down) in pixels from the centre.

    Images go on as their own reflection beyond their edges. They are interpolated linearly at
    twice their resolution, between an orthogonal low-pass filter upwards and its transpose
    downwards, so that the identity is the identity.

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020,
    appendix B. The published code reflects them once, and is 0 beyond that.
    """
    _, h, w, _ = x.shape
    right = _positions(w) - shift[:, 0, None, None]
    down = _positions(h)[:, None] - shift[:, 1, None, None]
    columns, rows = (
        2 * (matrix[:, i, 0, None, None] * right + matrix[:, i, 1, None, None] * down) + side - 1
        for i, side in enumerate((w, h))
    )
    fine = along_axes(wavelets.upsampling(h), wavelets.upsampling(w), x)
    sampled = _interpolate(fine, rows, columns)
    return along_axes(wavelets.downsampling(h), wavelets.downsampling(w), sampled)


def _positions(side: int) -> Float[Array, " s"]:
    """From the centre, of the samples from which `downsampling` makes that many pixels."""
    samples = jnp.arange(2 * side + wavelets.REACH) - wavelets.CENTER
    return (samples - (side - 1)) / 2


def _interpolate(
    x: Images, rows: Float[Array, "b s t"], columns: Float[Array, "b s t"]
) -> Float[Array, "b s t c"]:
    """Between pixels, linearly along both axes, of images that go on with their second row and
    column where they end: they hold one period, and the first pixel of the next."""
    n, h, w, c = x.shape
    top, left = jnp.floor(rows), jnp.floor(columns)
    first = top.astype(jnp.int32) % (h - 1) * w + left.astype(jnp.int32) % (w - 1)
    return _gather((h, w), x.reshape(n, h * w, c), (first, rows - top, columns - left))


Where = tuple[Int[Array, "b s t"], Float[Array, "b s t"], Float[Array, "b s t"]]
"""Of positions between pixels: the index of the pixel on their upper left, and how far they are
down and right from it."""


def _neighbours(width: int, where: Where) -> tuple[tuple[Array, Array], ...]:
    """Indices and weights of the four pixels around each position."""
    first, down, right = where
    return (
        (first, (1 - down) * (1 - right)),
        (first + 1, (1 - down) * right),
        (first + width, down * (1 - right)),
        (first + width + 1, down * right),
    )


# Differentiating a gather of four pixels, JAX would scatter four times: twice as slow on CPU.


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gather(
    size: tuple[int, int], x: Float[Array, "b hw c"], where: Where
) -> Float[Array, "b s t c"]:
    look_up = jax.vmap(lambda x, indices: x.at[indices].get(mode="promise_in_bounds"))
    total: Any = sum(
        weights[..., None] * look_up(x, indices) for indices, weights in _neighbours(size[1], where)
    )
    return total


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scatter(
    size: tuple[int, int], y: Float[Array, "b s t c"], where: Where
) -> Float[Array, "b hw c"]:
    """The transpose of `_gather`."""
    indices, weights = (
        jnp.stack(each, axis=-1) for each in zip(*_neighbours(size[1], where), strict=True)
    )
    zeros = jnp.zeros((size[0] * size[1], y.shape[-1]), y.dtype)
    add = jax.vmap(lambda indices, y: zeros.at[indices].add(y, mode="promise_in_bounds"))
    return add(indices, weights[..., None] * y[..., None, :])


_gather.defvjp(
    lambda size, x, where: (_gather(size, x, where), where),
    lambda size, where, y: (_scatter(size, y, where), None),
)
_scatter.defvjp(
    lambda size, y, where: (_scatter(size, y, where), where),
    lambda size, where, x: (_gather(size, x, where), None),
)
