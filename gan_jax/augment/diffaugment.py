"""DiffAugment."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key

from gan_jax import parallel
from gan_jax.augment.base import (
    Augmentation,
    Controllable,
    Images,
    Probability,
    check_images,
    each,
    of_colors,
    sometimes,
    translate,
)
from gan_jax.augment.sections import Transforming
from gan_jax.schedules import Scheduled


class DiffAugment(Controllable):
    """A few strong transformations of all examples, real and generated.

    - "color": brightness + U(−½, ½); then the distance from a pixel's grey times U(0, 2); then the
      distance from the image's mean times U(½, 3/2). Opacity stays as it is.
    - "translation": by whole pixels, up to an eighth of the sides each way, with 0 coming in.
    - "cutout": a rectangle of half the sides becomes 0, its centre anywhere in the image.

    Each happens to an example with `probability`, in the order of `policy`.

    Source: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020, §4,
    and its published code for the ranges (probability 1).

    Raises:
        ValueError: an unknown name in `policy`, or data that are no images.
    """

    policy: tuple[str, ...] = struct.field(
        pytree_node=False, default=("color", "translation", "cutout")
    )
    probability: Probability = 1.0

    def __post_init__(self):
        for name in self.policy:
            if name not in POLICIES:
                raise ValueError(f"unknown policy {name!r}: one of {', '.join(POLICIES)}")

    def __call__(
        self, x: Float[Array, "b ..."], key: Key[Array, ""], axis_name: str | None = None
    ) -> Images:
        check_images(x)
        for name in self.policy:
            own_key = jax.random.fold_in(key, POLICIES.index(name))
            drawn = functools.partial(
                parallel.per_example, key=own_key, n=len(x), axis_name=axis_name
            )
            x = _TRANSFORMATIONS[name](x, self.probability, drawn)
        return x


@of_colors
def _color(x: Images, probability: Probability, drawn: Callable) -> Images:
    def draw(key):
        uniform = functools.partial(
            jax.random.uniform, shape=(3,), minval=jnp.array([-0.5, 0, 0.5]),
            maxval=jnp.array([0.5, 2, 1.5]),
        )  # fmt: skip
        return sometimes(probability, uniform, jnp.array([0.0, 1, 1]), key)

    brightness, saturation, contrast = drawn(draw).T
    x = x + each(brightness)
    x = x + each(saturation - 1) * (x - jnp.mean(x, axis=-1, keepdims=True))
    return x + each(contrast - 1) * (x - jnp.mean(x, axis=(1, 2, 3), keepdims=True))


def _translation(x: Images, probability: Probability, drawn: Callable) -> Images:
    reach = (jnp.array([x.shape[2], x.shape[1]]) + 4) // 8  # rounded

    def draw(key):
        shift = functools.partial(jax.random.randint, shape=(2,), minval=-reach, maxval=reach + 1)
        return sometimes(probability, shift, 0, key)

    return translate(x, drawn(draw), "constant")


def _cutout(x: Images, probability: Probability, drawn: Callable) -> Images:
    sides = jnp.array(x.shape[1:3])
    size = (sides + 1) // 2

    def draw(key):
        # An even number of pixels has its centre between two, or at an edge of the image.
        centre = functools.partial(
            jax.random.randint, shape=(2,), minval=0, maxval=sides + 1 - size % 2
        )
        return sometimes(probability, lambda k: centre(k) - size // 2, sides, key)

    start = drawn(draw)
    rows, columns = (
        (jnp.arange(side) >= start[:, i, None]) & (jnp.arange(side) < start[:, i, None] + size[i])
        for i, side in enumerate(x.shape[1:3])
    )
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0, x)


_TRANSFORMATIONS = {"color": _color, "translation": _translation, "cutout": _cutout}
POLICIES = tuple(_TRANSFORMATIONS)


@dataclasses.dataclass(frozen=True)
class DiffAugmentSection(Transforming, kind="diffaugment"):
    """Of DiffAugment."""

    known = POLICIES
    chosen = DiffAugment().policy

    categories: tuple[str, ...] = ()
    """Which transformations: color, translation, cutout. None given: all."""

    def transformation(self, probability: Scheduled) -> Augmentation:
        return DiffAugment(self.categories or self.chosen, probability)
