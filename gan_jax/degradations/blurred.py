"""Blurred images, to be made sharp."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gan_jax import parallel
from gan_jax.degradations.base import DegradationSection, Images, Number, SameSize, product
from gan_jax.errors import InputError
from gan_jax.sections import number

LEAST_SIGMA = 1e-2
"""In pixels. Narrower Gaussians are as this one, which does not blur: nothing is divided by 0."""


def gaussian(sigma: Number, side: int) -> Float[Array, "side side"]:
    """The matrix that blurs a signal of that many pixels by a Gaussian of standard deviation
    `sigma`, in pixels. Its rows sum to 1.

    Beyond its ends the signal goes on as its own reflection, with the last pixel repeated. One
    reflection each way is enough where `sigma` is well below `side`.
    """
    i, j = jnp.arange(side)[:, None], jnp.arange(side)
    distances = jnp.stack([i - j, i + j + 1, 2 * side - 1 - i - j])
    scaled = distances / jnp.maximum(sigma, LEAST_SIGMA)
    weights = jnp.sum(jnp.exp(-0.5 * jnp.square(scaled)), axis=0)
    return weights / jnp.sum(weights, axis=1, keepdims=True)


class Blurred(SameSize):
    """A Gaussian blur of each image, with reflecting borders and a standard deviation of its own,
    uniform in [`least`, `most`] pixels: the input of deblurring."""

    least: Number = 1.0
    most: Number = 3.0

    def channels(self, c: int) -> int:
        return c

    def __call__(self, images: Images, key: Key[Array, ""], axis_name: str | None = None) -> Images:
        n, h, w, _ = images.shape

        def draw(key: Key[Array, ""]) -> Float[Array, ""]:
            return jax.random.uniform(key, minval=self.least, maxval=self.most)

        sigma = parallel.per_example(draw, key, n, axis_name)
        rows, columns = (jax.vmap(gaussian, (0, None))(sigma, side) for side in (h, w))
        blurred = product("bih,bjw,bhwc->bijc", rows, columns, images)
        return jnp.clip(blurred, -1, 1)  # the weights' sum is rounded


@dataclasses.dataclass(frozen=True)
class BlurredSection(DegradationSection, kind="blurred"):
    """Sharpness is learned: inputs are blurred."""

    least: float = number(1.0, least=0)
    """The least standard deviation of the blur, in pixels. Each image has a blur of its own."""
    most: float = number(3.0, least=0)
    """The greatest standard deviation of the blur, in pixels."""

    def validate(self, where: str) -> None:
        super().validate(where)
        if self.least > self.most:
            raise InputError(
                f"{where}.least {self.least:g} is above {where}.most {self.most:g}: set the one "
                "lower or the other higher"
            )

    def build(self) -> Blurred:
        return Blurred(self.least, self.most)

    def check(self, shape: tuple[int, int, int], where: str) -> None:
        super().check(shape, where)
        if self.most > min(shape[:2]) / 2:
            raise InputError(
                f"{where}.most {self.most:g} would blur images of {shape[0]}×{shape[1]} pixels to "
                f"one colour: set {where}.most to at most {min(shape[:2]) / 2:g}"
            )
