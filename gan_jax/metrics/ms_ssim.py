"""Multi-scale structural similarity of images, and the diversity of samples by it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from gan_jax.metrics._inputs import AnyArray

Image = Float[Array, "h w c"]
Map = Float[Array, "i j c"]
Scalar = Float[Array, ""]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, from fine to coarse, as published (their sum is 1.0001)."""

WINDOW = 11
SIGMA = 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

_PAIRS = 32  # compared at a time


class Moments(NamedTuple):
    """Of two images, at each place of the window that lies wholly inside."""

    mean_a: Map
    mean_b: Map
    var_a: Map
    var_b: Map
    covariance: Map


def _blur(side: int, size: int) -> Float[np.ndarray, "places side"]:
    """Maps a line of pixels to its means under a Gaussian window, wherever all of that fits."""
    x = np.arange(size) - (size - 1) / 2
    window = np.exp(-0.5 * np.square(x / (SIGMA * size / WINDOW)))
    places = side - size + 1
    matrix = np.zeros((places, side), np.float32)
    for place in range(places):
        matrix[place, place : place + size] = window / window.sum()
    return matrix


def _halve(x: Image) -> Float[Array, "h//2 w//2 c"]:
    """Means of 2×2 pixels, without an odd last row or column."""
    h, w, c = (x.shape[0] // 2, x.shape[1] // 2, x.shape[2])
    return x[: 2 * h, : 2 * w].reshape(h, 2, w, 2, c).mean(axis=(1, 3))


def moments(a: Image, b: Image) -> Moments:
    """The means, variances and covariance of two images under the window, channel by channel.

    In float32 these are off by about 10⁻⁷ of the squares of the pixels, however little those vary.
    """
    h, w, _ = a.shape
    size = min(WINDOW, h, w)
    maps = jnp.stack([a, b, a * a, b * b, a * b])
    # Variances are small differences of these, which the default precision of GPUs would spoil.
    mean_a, mean_b, square_a, square_b, product = jnp.einsum(
        "ih,jw,mhwc->mijc", _blur(h, size), _blur(w, size), maps, precision="highest"
    )
    var_a, var_b = square_a - mean_a * mean_a, square_b - mean_b * mean_b
    return Moments(mean_a, mean_b, var_a, var_b, product - mean_a * mean_b)


def structure(m: Moments) -> Map:
    """The factor of contrast and structure of SSIM, at each place of the window."""
    return (2 * m.covariance + C2) / (m.var_a + m.var_b + C2)


def luminance(mean_a: Map, mean_b: Map) -> Map:
    """The factor of luminance of SSIM, at each place of the window."""
    return (2 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1)


def _similarity(a: Image, b: Image) -> tuple[Scalar, Scalar]:
    """Structural similarity, and its factor of contrast and structure, over pixels and channels."""
    m = moments(a, b)
    alike = structure(m)
    return jnp.mean(luminance(m.mean_a, m.mean_b) * alike), jnp.mean(alike)


def _scale_weights(side: int) -> Float[np.ndarray, " scales"]:
    weights = np.array(WEIGHTS[: side.bit_length() - 1])
    return weights if len(weights) == len(WEIGHTS) else weights / weights.sum()


def _ms_ssim(pair: tuple[Array, Array]) -> Scalar:
    a, b = (x.astype(jnp.float32) for x in pair)
    weights = _scale_weights(min(a.shape[:2]))
    result = jnp.float32(1)
    for scale, weight in enumerate(weights):
        similarity, structure = _similarity(a, b)
        factor = similarity if scale == len(weights) - 1 else structure
        # A negative factor, of opposite structures, has no real power.
        result *= jnp.maximum(factor, 0.0) ** float(weight)
        a, b = _halve(a), _halve(b)
    return result


def two_batches(a: AnyArray, b: AnyArray, *, minimum: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images to be compared one by one, as NumPy.

    Raises:
        ValueError: if the shapes differ or are not of images of `minimum` pixels at least, or if a
            pixel is outside [0, 255].
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 4 or min(a.shape[1:3]) < minimum:
        raise ValueError(f"no two batches of images [n, h, w, c]: {a.shape} and {b.shape}")
    for x in (a, b):
        # NaN fails both comparisons.
        if x.size and not (x.min() >= 0 and x.max() <= 255):
            raise ValueError("images have pixels in [0, 255], and not all of these are")
    return a, b


@jax.jit
def _of_pairs(a: Num[Array, "n h w c"], b: Num[Array, "n h w c"]) -> Float[Array, " n"]:
    return jax.lax.map(_ms_ssim, (a, b), batch_size=_PAIRS)


def ms_ssim(a: Num[AnyArray, "n h w c"], b: Num[AnyArray, "n h w c"]) -> Float[np.ndarray, " n"]:
    """The similarity of `a[i]` and `b[i]`: 1 for equal images, 0 for unlike ones, never less.

    Images are uint8, or floats in [0, 255]. There are five scales, each half the size of the one
    before and the coarsest at least 2 pixels across; images smaller than 32 pixels have fewer,
    and their weights then add up to 1. The window is a Gaussian of 11 pixels and σ = 1.5, shrunk
    with its σ where a image is smaller, as in the published code of Karras et al., "Progressive
    Growing of GANs", 2018; it does not reach over the border. Channels are compared one by one and
    averaged.

    Source: Wang et al., "Multiscale Structural Similarity for Image Quality Assessment", 2003.

    Raises:
        ValueError: if the shapes differ or are not of images of 2 pixels at least, or if a pixel
            is outside [0, 255].
    """
    a, b = two_batches(a, b, minimum=2)
    return np.asarray(_of_pairs(a, b)) if len(a) else np.zeros(0, np.float32)


def ms_ssim_diversity(
    images: Num[AnyArray, "n h w c"], *, pairs: int = 1000, seed: int = 0
) -> float:
    """The mean similarity of random pairs of different samples: the lower, the more diverse.

    No pair is drawn twice; if there are fewer than `pairs`, all are used. It compares with that of
    real images, and within one class, as in the paper.

    Source: Odena et al., "Conditional Image Synthesis with Auxiliary Classifier GANs", 2017, §4.2.

    Raises:
        ValueError: for fewer than two images or no pairs, and as `ms_ssim`.
    """
    images = np.asarray(images)
    i, j = _random_pairs(len(images), pairs, seed)
    return float(ms_ssim(images[i], images[j]).mean(dtype=np.float64))


def _random_pairs(n: int, pairs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Different pairs i < j < n, all equally likely."""
    if n < 2 or pairs < 1:
        raise ValueError(f"{pairs} pairs of {n} images: this needs 1 of 2 at least")
    count = n * (n - 1) // 2
    number = np.random.default_rng(seed).choice(count, min(pairs, count), replace=False)
    # Pairs are numbered (0, 1), (0, 2), (1, 2), (0, 3), …: those below j come first, j(j − 1)/2.
    j = ((1 + np.sqrt(1 + 8 * number.astype(np.float64))) // 2).astype(np.int64)
    return number - j * (j - 1) // 2, j
