"""Small images, to be made large: by resizing alone, or as small photographs come to be."""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from gan_jax import parallel
from gan_jax.degradations.base import (
    DegradationSection,
    Images,
    Number,
    check_colors,
    check_range,
    each,
    product,
)
from gan_jax.degradations.blurred import LEAST_SIGMA
from gan_jax.degradations.grey import LUMA, luma
from gan_jax.errors import InputError
from gan_jax.networks.resampling import FILTERS, resize, resizing
from gan_jax.nodes import Node
from gan_jax.sections import number


class Bicubic(Node):
    """Images made `scale` times smaller by bicubic resizing, and nothing else: what most papers of
    super-resolution report on. Nothing is random.

    Networks that learn from these do not make good images of real small photographs, which are
    blurred, noisy and compressed: see `Camera`.

    Raises:
        ValueError: sides that are no multiples of `scale`.
    """

    scale: int = struct.field(pytree_node=False, default=4)

    def channels(self, c: int) -> int:
        return c

    def __call__(
        self, images: Images, key: Key[Array, ""], axis_name: str | None = None
    ) -> Float[Array, "b h_out w_out c"]:
        return jnp.clip(resize(images, *_small_sides(images, self.scale), "bicubic"), -1, 1)


def _small_sides(images: Images, scale: int) -> tuple[int, int]:
    _, h, w, _ = images.shape
    if h % scale or w % scale:
        raise ValueError(f"images of {h}×{w} pixels cannot be made {scale} times smaller")
    return h // scale, w // scale


# --- Compression ----------------------------------------------------------------------------------

LUMINANCE = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
])  # fmt: skip
"""Steps of quantisation of the luminance's frequencies, down and to the right (ITU-T T.81, K.1)."""
CHROMINANCE = np.full((8, 8), 99)
"""Of the chrominance's (ITU-T T.81, table K.2)."""
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_BLUE = 0.5 / (1 - LUMA[2]) * (np.array([0, 0, 1]) - LUMA)
_RED = 0.5 / (1 - LUMA[0]) * (np.array([1, 0, 0]) - LUMA)
YCBCR = np.stack([LUMA, _BLUE, _RED]).astype(np.float32)
"""From RGB to luma and the differences of blue and red from it (JFIF 1.02)."""
RGB = np.linalg.inv(YCBCR.astype(np.float64)).astype(np.float32)
"""And back."""


@functools.cache
def dct() -> np.ndarray:
    """[8, 8]: the orthonormal discrete cosine transform (DCT-II) of 8 pixels, by frequency."""
    frequency, pixel = np.ogrid[:8, :8]
    matrix = np.cos(np.pi * (pixel + 0.5) * frequency / 8) / 2
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def jpeg(images: Images, quality: Float[Array, " b"]) -> Images:
    """Grey or RGB images in [−1, 1] as JPEG gives them back, each at a quality of its own, from 1
    to 100.

    It is what libjpeg does at that quality, but for the entropy coding, which loses nothing.
    Chrominance is not subsampled (4:4:4), unlike in many files: that is little of the damage one
    sees. What it gives is rounded to 256 levels, so that its gradient is 0.

    Source: Recommendation ITU-T T.81, 1992, annex A.3 and K.1; libjpeg's `jpeg_quality_scaling`.

    Raises:
        ValueError: images of other than 1 or 3 channels.
    """
    _, h, w, c = images.shape
    if c not in (1, 3):
        raise ValueError(f"images have 1 (grey) or 3 (RGB) channels, not {c}")
    levels = jnp.round((images + 1) * 127.5) - 128
    if c == 3:
        levels = jnp.round(product("cd,bhwd->bhwc", YCBCR, levels + 128)) - np.array([128, 0, 0])
    blocks = ((0, 0), (0, -h % 8), (0, -w % 8), (0, 0))
    levels = jnp.pad(levels, blocks, mode="edge")
    shape = levels.shape
    levels = levels.reshape(shape[0], shape[1] // 8, 8, shape[2] // 8, 8, c)
    frequencies = product("ui,vj,bpiqjc->bpuqvc", dct(), dct(), levels)
    steps = _steps(quality, c)[:, None, :, None]
    frequencies = _round(frequencies / steps) * steps
    levels = product("ui,vj,bpuqvc->bpiqjc", dct(), dct(), frequencies)
    levels = jnp.clip(jnp.round(levels.reshape(shape)[:, :h, :w]), -128, 127)
    if c == 3:
        levels = product("cd,bhwd->bhwc", RGB, levels + np.array([128, 0, 0])) - 128
    return jnp.clip(jnp.round(levels + 128) / 127.5 - 1, -1, 1)


def _round(x: Array) -> Array:
    """To whole numbers, and halves away from 0, as libjpeg does."""
    # Levels are whole numbers, so that halves are common; without what is added, it would be the
    # rounding of sums that decides about them, which is another on every device.
    return jnp.sign(x) * jnp.floor(jnp.abs(x) + 0.5 + 1e-4)


def _steps(quality: Float[Array, " b"], c: int) -> Float[Array, "b 8 8 c"]:
    tables = np.stack([LUMINANCE, CHROMINANCE, CHROMINANCE], axis=2)[..., :c]
    percent = jnp.floor(jnp.where(quality < 50, 5000 / quality, 200 - 2 * quality))
    return jnp.clip(jnp.floor((tables * each(percent) + 50) / 100), 1, 255)


# --- Cameras --------------------------------------------------------------------------------------

Range = tuple[Number, Number]


class _Draws(NamedTuple):
    """Of each example."""

    sigmas: Float[Array, "*b 2"]
    angle: Float[Array, "*b"]
    filter: Int[Array, "*b"]
    noise: Float[Array, "*b"]
    shot: Float[Array, "*b"]
    gray: Array
    normal: Float[Array, "*b h w c"]
    quality: Float[Array, "*b"]


class Camera(Node):
    """Images made `scale` times smaller, and worse, as small photographs are. In this order, each
    step with a strength of its own for each image, uniform in the range that is given:

    - a Gaussian blur, wider along one axis, at any angle: two standard deviations from `blur`, in
      pixels of the small image, with reflecting borders;
    - resizing by "area", "bilinear" or "bicubic", each as likely;
    - noise of standard deviation √(noise² + shot² · v), as shares of the range from black to
      white, where v from 0 to 1 is the value of what is photographed: photons are counted. It is
      the same for all channels with probability `gray_noise`;
    - JPEG's compression at a quality from 1 to 100, without subsampling of the chrominance.

    The defaults leave images of 32 pixels recognisable. Real-ESRGAN's are stronger (blur up to 3
    pixels of an image that is made 4 times smaller, noise up to 0.12, quality from 30 on), and it
    does all twice.

    Source: Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure
    Synthetic Data", 2021, §3.1–3.2; Zhang et al., "Designing a Practical Degradation Model for Deep
    Blind Image Super-Resolution" (BSRGAN), 2021, §3. Both have noise that depends on the signal, or
    noise that does not, where this has their sum; and Poisson's, where this has a normal
    approximation.

    Raises:
        ValueError: sides that are no multiples of `scale`, or images of other than 1 or 3 channels.
    """

    blur: Range = (0.0, 0.6)
    noise: Range = (0.0, 0.03)
    shot: Range = (0.0, 0.03)
    quality: Range = (60.0, 95.0)
    gray_noise: Number = 0.4
    scale: int = struct.field(pytree_node=False, default=4)

    def channels(self, c: int) -> int:
        return c

    def __call__(
        self, images: Images, key: Key[Array, ""], axis_name: str | None = None
    ) -> Float[Array, "b h_out w_out c"]:
        n, h, w, c = images.shape
        height, width = _small_sides(images, self.scale)
        draw = functools.partial(self._draw, shape=(height, width, c))
        draws = parallel.per_example(draw, key, n, axis_name)

        x = blur(images, draws.sigmas * self.scale, draws.angle)
        rows, columns = (
            jnp.stack([resizing(side, small, f) for f in FILTERS])[draws.filter]
            for side, small in ((h, height), (w, width))
        )
        x = jnp.clip(product("bih,bjw,bhwc->bijc", rows, columns, x), -1, 1)

        gray = each(draws.gray)
        value = (jnp.where(gray, luma(x), x) + 1) / 2
        std = jnp.sqrt(each(draws.noise) ** 2 + each(draws.shot) ** 2 * jnp.maximum(value, 0))
        normal = jnp.where(gray, draws.normal[..., :1], draws.normal)
        x = jnp.clip(x + 2 * std * normal, -1, 1)
        return jpeg(x, draws.quality)

    def _draw(self, key: Key[Array, ""], shape: tuple[int, ...]) -> _Draws:
        keys = jax.random.split(key, len(_Draws._fields))

        def uniform(key, bounds: Range, shape: tuple[int, ...] = ()) -> Array:
            return jax.random.uniform(key, shape, minval=bounds[0], maxval=bounds[1])

        return _Draws(
            sigmas=uniform(keys[0], self.blur, (2,)),
            angle=uniform(keys[1], (0.0, math.pi)),
            filter=jax.random.randint(keys[2], (), 0, len(FILTERS)),
            noise=uniform(keys[3], self.noise),
            shot=uniform(keys[4], self.shot),
            gray=jax.random.bernoulli(keys[5], self.gray_noise),
            normal=jax.random.normal(keys[6], shape),
            quality=uniform(keys[7], self.quality),
        )


def blur(images: Images, sigmas: Float[Array, "b 2"], angle: Float[Array, " b"]) -> Images:
    """Images blurred by Gaussians of these standard deviations, in pixels, along two axes at right
    angles: the first at `angle` from the right towards below. Borders reflect."""
    _, h, w, _ = images.shape
    # With its reflection an image has a period of twice its sides, so that the product of Fourier
    # transforms is a convolution with reflecting borders. A kernel turned by any angle is no
    # product of two matrices.
    period = jnp.pad(images, ((0, 0), (0, h), (0, w), (0, 0)), mode="symmetric")
    down = (np.fft.fftfreq(2 * h) * 2 * h).astype(np.float32)[:, None]
    right = (np.fft.fftfreq(2 * w) * 2 * w).astype(np.float32)
    cos, sin = jnp.cos(angle)[:, None, None], jnp.sin(angle)[:, None, None]
    first, second = jnp.maximum(sigmas, LEAST_SIGMA).T[:, :, None, None]
    along, across = (cos * right + sin * down) / first, (cos * down - sin * right) / second
    kernel = jnp.exp(-0.5 * (along**2 + across**2))
    kernel /= jnp.sum(kernel, axis=(1, 2), keepdims=True)
    spectrum = jnp.fft.rfft2(period, axes=(1, 2)) * jnp.fft.rfft2(kernel)[..., None]
    return jnp.fft.irfft2(spectrum, s=(2 * h, 2 * w), axes=(1, 2))[:, :h, :w]


# --- Sections -------------------------------------------------------------------------------------

SCALES = (2, 4, 8)


@dataclasses.dataclass(frozen=True)
class _Small(DegradationSection):
    """What the sections of small images have in common."""

    scale: int = number(4)  # pyright: ignore[reportIncompatibleMethodOverride]
    """How many times smaller an input is than its image, along each side: 2, 4 or 8."""

    def validate(self, where: str) -> None:
        super().validate(where)
        if self.scale not in SCALES:
            raise InputError(f"{where}.scale is 2, 4 or 8, not {self.scale}")


@dataclasses.dataclass(frozen=True)
class BicubicSection(_Small, kind="bicubic"):
    """Details are learned: inputs are small, and clean."""

    def build(self) -> Bicubic:
        return Bicubic(self.scale)


@dataclasses.dataclass(frozen=True)
class CameraSection(_Small, kind="camera"):
    """Details are learned: inputs are small, and blurred, noisy and compressed as photographs."""

    blur: tuple[float, float] = (0.0, 0.6)
    """The range of the blur's standard deviations, in pixels of the input."""
    noise: tuple[float, float] = (0.0, 0.03)
    """The range of the noise's standard deviation, as a share of the range from black to white."""
    shot: tuple[float, float] = (0.0, 0.03)
    """The same of noise that is strong where the image is bright. This is its strength in white."""
    quality: tuple[float, float] = (60.0, 95.0)
    """The range of JPEG's quality, from 1 (worst) to 100."""
    gray_noise: float = number(0.4, least=0, most=1)
    """The share of the images whose noise is without colour."""

    def validate(self, where: str) -> None:
        super().validate(where)
        check_range(f"{where}.blur", self.blur, 0)
        check_range(f"{where}.noise", self.noise, 0)
        check_range(f"{where}.shot", self.shot, 0)
        check_range(f"{where}.quality", self.quality, 1, 100)

    def build(self) -> Camera:
        return Camera(
            self.blur, self.noise, self.shot, self.quality, self.gray_noise, scale=self.scale
        )

    def check(self, shape: tuple[int, int, int], where: str) -> None:
        super().check(shape, where)
        check_colors(self.kind, shape, where)
