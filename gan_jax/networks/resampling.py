"""Other resolutions of images, without parameters.

What doubles and halves is a sum of shifted or strided views: every derivative is one too, and they
are fast everywhere. `resize` gives any resolution, by matrix products.

Outside an image there is black nothing (0), but where it says otherwise.
"""

import functools
from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np
from jax import lax
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


def bilinear_up(x: Float[Array, "n h w c"]) -> Float[Array, "n 2*h 2*w c"]:
    """Twice the resolution, by linear interpolation along both axes: `filter_up` of an image that
    goes on beyond its edges as it ends there. PyTorch's `interpolate` gives the same (bilinear,
    without `align_corners`)."""
    around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return filter_up(around)[:, 2:-2, 2:-2]


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


Filter = Literal["area", "bilinear", "bicubic"]
"""What a pixel of a resized image is: the mean over what it covers; or weighted by a triangle, or
by Keys' cubic with a = −0.5, both widened where the image becomes smaller."""
FILTERS: tuple[Filter, ...] = get_args(Filter)


def resize(
    images: Float[Array, "b h w c"], height: int, width: int, filter: Filter
) -> Float[Array, "b i j c"]:
    """Images [B, H, W, C] resized to [B, height, width, C], up or down, without aliasing.

    "bicubic" can give values beyond those of the image, which are not clipped. "bilinear" and
    "bicubic" are Pillow's `BILINEAR` and `BICUBIC` (and, but for its borders, MATLAB's `imresize`);
    "area" is its `BOX` wherever an image becomes a whole number of times smaller.

    Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981, for the
    cubic.

    Raises:
        ValueError: an unknown filter.
    """
    _, h, w, _ = images.shape
    rows, columns = resizing(h, height, filter), resizing(w, width, filter)
    # On GPUs and TPUs, products would otherwise be rounded to less than float32.
    return jnp.einsum("ih,jw,bhwc->bijc", rows, columns, images, precision=lax.Precision.HIGHEST)


@functools.cache
def resizing(n: int, size: int, filter: Filter) -> np.ndarray:
    """[size, n]: the matrix that resizes a signal of `n` pixels. Its rows sum to 1.

    Raises:
        ValueError: an unknown filter.
    """
    if filter not in FILTERS:
        raise ValueError(f"unknown filter {filter!r}: one of {', '.join(FILTERS)}")
    ratio = n / size
    i, j = np.arange(size)[:, None], np.arange(n)
    if filter == "area":
        weights = np.minimum((i + 1) * ratio, j + 1) - np.maximum(i * ratio, j)
        weights = np.maximum(weights, 0)
    else:
        distance = np.abs(j + 0.5 - (i + 0.5) * ratio) / max(ratio, 1)
        weights = {"bilinear": _triangle, "bicubic": _cubic}[filter](distance)
    # Beyond the ends there is nothing: what is inside counts for more there.
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - x, 0)


def _cubic(x: np.ndarray) -> np.ndarray:
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))
