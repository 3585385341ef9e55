"""Line drawings, to be made images of."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gan_jax.degradations.base import (
    DegradationSection,
    Images,
    Number,
    SameSize,
    check_colors,
    product,
)
from gan_jax.degradations.blurred import gaussian
from gan_jax.degradations.grey import luma
from gan_jax.errors import InputError
from gan_jax.sections import number

LEAST_SIDE = 8
"""Of an image of which there can be a line drawing, in pixels."""

Map = Float[Array, "b h w"]


class Edges(SameSize):
    """A line drawing of each image: dark lines (−1) on white (1), one channel. Nothing is random.

    The luma is smoothed by a Gaussian of standard deviation `sigma`, in pixels, and its gradient
    taken by Sobel's filters. A line goes where the gradient is the greatest along its direction, so
    that it is one pixel wide. It is white where the gradient is at most `threshold`, black from
    twice that on and grey between, with the gradient measured as the share of the range from black
    to white by which a pixel differs from the next.

    Source: Canny, "A Computational Approach to Edge Detection", 1986, for smoothing, gradients and
    the suppression of all but maxima. It follows strong lines on to weak ones (hysteresis), where
    this has greys. Isola et al., "Image-to-Image Translation with Conditional Adversarial
    Networks", 2017, §4, draw edges by a network (HED) instead.

    Raises:
        ValueError: images of other than 1 or 3 channels.
    """

    sigma: Number = 1.5
    threshold: Number = 0.02

    def channels(self, c: int) -> int:
        return 1

    def __call__(
        self, images: Images, key: Key[Array, ""], axis_name: str | None = None
    ) -> Float[Array, "b h w 1"]:
        _, h, w, _ = images.shape
        grey = luma(images)[..., 0] / 2  # from black to white is 1
        smooth = product("ih,jw,bhw->bij", gaussian(self.sigma, h), gaussian(self.sigma, w), grey)
        right, down = sobel(smooth)
        # What is added under the root is nothing beside a visible line.
        magnitude = jnp.sqrt(jnp.square(right) + jnp.square(down) + 1e-12)
        strength = jnp.clip(magnitude / self.threshold - 1, 0, 1)
        ink = jnp.where(_is_ridge(magnitude, right, down), strength, 0)
        return (1 - 2 * ink)[..., None]


def sobel(x: Map) -> tuple[Map, Map]:
    """The differences between a pixel and the next, to the right and down, by Sobel's filters. The
    pixels at the borders are repeated beyond them."""
    right = (_at(x, 0, 1) - _at(x, 0, -1)) / 2
    down = (_at(x, 1, 0) - _at(x, -1, 0)) / 2
    return (
        (_at(right, -1, 0) + 2 * right + _at(right, 1, 0)) / 4,
        (_at(down, 0, -1) + 2 * down + _at(down, 0, 1)) / 4,
    )


def _at(x: Map, down: int, right: int) -> Map:
    """What is at a neighbour of each pixel, −1 to 1 pixels away."""
    _, h, w = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return padded[:, 1 + down : 1 + down + h, 1 + right : 1 + right + w]


def _is_ridge(magnitude: Map, right: Map, down: Map) -> Array:
    """[b, h, w]: whether the magnitude is the greatest along the direction (right, down), among
    where it is now and a pixel both ways, interpolated linearly."""
    steep = jnp.abs(down) > jnp.abs(right)
    falling = right * down > 0
    larger = jnp.maximum(jnp.abs(right), jnp.abs(down))
    slope = jnp.minimum(jnp.abs(right), jnp.abs(down)) / jnp.maximum(larger, 1e-12)

    def along(sign: int) -> Map:
        straight = jnp.where(steep, _at(magnitude, sign, 0), _at(magnitude, 0, sign))
        # Up to the right if not falling: seen from the direction's larger part.
        rising = jnp.where(steep, _at(magnitude, sign, -sign), _at(magnitude, -sign, sign))
        diagonal = jnp.where(falling, _at(magnitude, sign, sign), rising)
        return (1 - slope) * straight + slope * diagonal

    # Of two equal neighbours one is to stay, and not the one that rounding makes larger, which is
    # another on every device: hence ≥ one way and > the other, with a margin.
    margin = 1e-4
    return (magnitude >= (1 - margin) * along(1)) & (magnitude > (1 + margin) * along(-1))


@dataclasses.dataclass(frozen=True)
class EdgesSection(DegradationSection, kind="edges"):
    """Images are learned from line drawings of them."""

    sigma: float = number(1.5, least=0)
    """The image is first smoothed by a Gaussian of this standard deviation, in pixels. More gives
    fewer lines."""
    threshold: float = number(0.02, above=0)
    """A line is drawn where the brightness changes by more than this from a pixel to the next, as a
    share of the range from black to white. More gives fewer lines."""

    def build(self) -> Edges:
        return Edges(self.sigma, self.threshold)

    def check(self, shape: tuple[int, int, int], where: str) -> None:
        super().check(shape, where)
        check_colors(self.kind, shape, where)
        if min(shape[:2]) < LEAST_SIDE:
            raise InputError(
                f"images of {shape[0]}×{shape[1]} pixels have no line drawing: set data.resolution "
                f"to at least {LEAST_SIDE}, or {where}.kind to another"
            )
