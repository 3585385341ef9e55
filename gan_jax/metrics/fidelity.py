"""How near an image is to the true one: the peak signal-to-noise ratio and structural similarity.

Both take uint8 images, or floats in [0, 255], and give one number an image. By the convention of
the literature on super-resolution they are measured on luma, without a border as wide as the factor
of enlargement; a number means little without saying whether it was so.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from gan_jax.metrics._inputs import AnyArray
from gan_jax.metrics.ms_ssim import (
    WINDOW,
    Scalar,
    luminance,
    moments,
    structure,
    two_batches,
)

PEAK = 255.0
LUMA = (65.481, 128.553, 24.966)
"""Weights of red, green and blue from 0 to 1 in the luma Y of YCbCr, which is from 16 to 235."""

_PAIRS = 32  # compared at a time, and fewer where images are large
_VALUES = 2**22  # of one side of those


def psnr(
    images: Num[AnyArray, "n h w c"],
    truth: Num[AnyArray, "n h w c"],
    *,
    luma: bool = False,
    border: int = 0,
) -> Float[np.ndarray, " n"]:
    """The peak signal-to-noise ratio of `images[i]` in decibels: 10·log₁₀(255² / MSE).

    The mean squared error is over all pixels and channels of an image. Equal images have an
    infinite ratio, and so has a mean that one of them is in. With `luma`, it is that of
    Y = 16 + (65.481 R + 128.553 G + 24.966 B)/255 (ITU-R BT.601), which is not rounded as MATLAB's
    `rgb2ycbcr` of uint8 rounds it, and the peak remains 255. `border` is in pixels, and cut off
    each side first.

    Raises:
        ValueError: if the shapes differ or are not of images, if a pixel is outside [0, 255], if
            `border` is negative or leaves nothing, or for `luma` of other than three channels.
    """
    images, truth = _compared(images, truth, luma=luma, border=border, minimum=1)
    errors = [
        np.mean(np.square(x.astype(np.float64) - y)) for x, y in zip(images, truth, strict=True)
    ]
    with np.errstate(divide="ignore"):
        return 10 * np.log10(PEAK**2 / np.array(errors, np.float64))


def ssim(
    images: Num[AnyArray, "n h w c"],
    truth: Num[AnyArray, "n h w c"],
    *,
    luma: bool = False,
    border: int = 0,
) -> Float[np.ndarray, " n"]:
    """The structural similarity of `images[i]` and `truth[i]`: 1 for equal images, never more.

    It has no unit. The window is a Gaussian of 11 pixels and σ = 1.5, K₁ = 0.01, K₂ = 0.03, and the
    variances are of the population, as published. The mean is over the places where the window
    lies wholly inside the image and over channels, which are compared one by one; the paper has
    gray images only. scikit-image gives the same with `gaussian_weights=True` and
    `use_sample_covariance=False`. `luma` and `border` are as for `psnr`.

    Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
    2004, eq. 13 and 17.

    Raises:
        ValueError: as `psnr`, and if images without their border are smaller than the window.
    """
    images, truth = _compared(images, truth, luma=luma, border=border, minimum=WINDOW)
    if not len(images):
        return np.zeros(0, np.float32)
    pairs = min(_PAIRS, max(1, _VALUES // images[0].size))
    return np.asarray(_ssim_of_pairs(images, truth, pairs=pairs))


@partial(jax.jit, static_argnames="pairs")
def _ssim_of_pairs(
    a: Num[Array, "n h w c"], b: Num[Array, "n h w c"], *, pairs: int
) -> Float[Array, " n"]:
    return jax.lax.map(_ssim, (a, b), batch_size=pairs)


def _ssim(pair: tuple[Array, Array]) -> Scalar:
    a, b = (x.astype(jnp.float32) for x in pair)
    # Variances do not depend on the origin. About zero, in float32, those of smooth bright images
    # would be off by as much as 10⁻⁴ of C₂.
    origin_a, origin_b = (jnp.mean(x, axis=(0, 1)) for x in (a, b))
    m = moments(a - origin_a, b - origin_b)
    return jnp.mean(luminance(m.mean_a + origin_a, m.mean_b + origin_b) * structure(m))


def _compared(
    images: AnyArray, truth: AnyArray, *, luma: bool, border: int, minimum: int
) -> tuple[np.ndarray, np.ndarray]:
    """What is compared of both batches, at least `minimum` pixels high and wide."""
    images, truth = two_batches(images, truth)
    h, w, c = images.shape[1:]
    if border < 0:
        raise ValueError(f"a border of {border} pixels cannot be cut off")
    if min(h, w) - 2 * border < minimum:
        raise ValueError(
            f"images of {h}×{w} pixels, less a border of {border} each side, are too small: "
            f"this needs {minimum}×{minimum}"
        )
    if luma and c != 3:
        raise ValueError(f"luma is of red, green and blue, and these images have {c} channels")
    a, b = (x[:, border : h - border, border : w - border] for x in (images, truth))
    return (_luma(a), _luma(b)) if luma else (a, b)


def _luma(x: Num[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n h w 1"]:
    return 16 + x @ (np.array(LUMA)[:, None] / 255)
