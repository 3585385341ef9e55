"""The augmentations of StyleGAN2-ADA."""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jaxtyping import Array, Float, Key

from gan_jax import parallel
from gan_jax.augment import colors, wavelets
from gan_jax.augment.affine import along_axes, product, resample
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
from gan_jax.errors import InputError
from gan_jax.schedules import Scheduled
from gan_jax.sections import Numbers, check_at_least, check_known

Scalar = Float[Array, ""]


class ADA(Controllable):
    """Eighteen transformations in six categories, in this order, each for an example with
    `probability`:

    - "blit", exact copies of pixels: x-flip (or not), rotation by 0–3 times 90° (0 or 180° if the
      image is not square), translation by whole pixels, up to an eighth of the sides each way.
    - "geometric", resampled once: scale 2^N(0, 0.2²); rotation by U(−π, π); scale 2^N(0, 0.2²)
      along x and its inverse along y; rotation again; translation by N(0, ⅛²) sides. A rotation
      happens before or after the second scale: each with 1 − √(1 − p).
    - "color": brightness + N(0, 0.2²); contrast × 2^N(0, ½²); reflection of the luma (or not);
      rotation of the hue by U(−π, π); saturation × 2^N(0, 1). Grey images keep to grey, and
      opacity stays as it is.
    - "filter": each of four octaves of frequency × 2^N(0, 1), with the power that images have on
      average (1/f) kept.
    - "noise": + N(0, σ²) with σ = |N(0, 0.1²)| for each image.
    - "cutout": a rectangle of half the sides becomes 0, its centre anywhere in the image.

    Images to which nothing of a category happens pass it bit for bit. Beyond their edges they go
    on as their own reflection. The default categories are those that the paper recommends ("bgc");
    R3GAN has "cutout" beside them, and ½ as the weight of "color".

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020,
    appendix B, and its published code for the numbers. (There, "blit" and "geometric" together are
    one resampling.)

    Raises:
        ValueError: an unknown name in `categories`. When traced: a weight for a category that is
            not among them; images of other than 1, 3 or 4 channels, for "color".
    """

    categories: tuple[str, ...] = struct.field(
        pytree_node=False, default=("blit", "geometric", "color")
    )
    probability: Probability = 0.0
    weights: Mapping[str, Probability] = struct.field(default_factory=dict)
    """What to multiply the probability by for a category: 1 where not given."""

    def __post_init__(self):
        for name in self.categories:
            if name not in CATEGORIES:
                raise ValueError(f"unknown category {name!r}: one of {', '.join(CATEGORIES)}")

    def __call__(
        self, x: Float[Array, "b ..."], key: Key[Array, ""], axis_name: str | None = None
    ) -> Images:
        check_images(x)
        if idle := set(self.weights) - set(self.categories):
            raise ValueError(f"weights for {', '.join(sorted(idle))}, which are not applied")
        for i, (name, transformation) in enumerate(_TRANSFORMATIONS.items()):
            if name in self.categories:
                probability = self.probability * self.weights.get(name, 1.0)
                own_key = jax.random.fold_in(key, i)
                drawn = functools.partial(
                    parallel.per_example, key=own_key, n=len(x), axis_name=axis_name
                )
                x = transformation(x, probability, drawn)
        return x


def _blit(x: Images, probability: Probability, drawn: Callable) -> Images:
    height, width = x.shape[1:3]
    reach = np.array([width, height]) / 8

    def draw(key):
        keys = jax.random.split(key, 3)
        flip = sometimes(probability, jax.random.bernoulli, False, keys[0])
        turns = sometimes(probability, lambda k: jax.random.randint(k, (), 0, 4), 0, keys[1])
        shift = sometimes(probability, lambda k: _symmetric(k, reach, (2,)), 0.0, keys[2])
        return flip, turns, jnp.round(shift).astype(jnp.int32)

    flip, turns, shift = drawn(draw)
    x = jnp.where(each(flip), jnp.flip(x, axis=2), x)
    if height == width:
        turned = [jnp.rot90(x, i, (1, 2)) for i in range(4)]
        x = lax.select_n(jnp.broadcast_to(each(turns), x.shape), *turned)
    else:  # which a quarter of a turn would not fit
        x = jnp.where(each(turns // 2 == 1), jnp.rot90(x, 2, (1, 2)), x)
    return translate(x, shift, "reflect")


def _geometric(x: Images, probability: Probability, drawn: Callable) -> Images:
    sides = jnp.array([x.shape[2], x.shape[1]], jnp.float32)
    rotated = 1 - jnp.sqrt(jnp.clip(1 - probability, 0, 1))  # then P(before or after) is right

    def draw(key):
        keys = jax.random.split(key, 5)
        scale = sometimes(probability, lambda k: 2 ** (0.2 * jax.random.normal(k)), 1.0, keys[0])
        before = sometimes(rotated, lambda k: _symmetric(k, np.pi), 0.0, keys[1])
        aspect = sometimes(probability, lambda k: 2 ** (0.2 * jax.random.normal(k)), 1.0, keys[2])
        after = sometimes(rotated, lambda k: _symmetric(k, np.pi), 0.0, keys[3])
        shift = sometimes(probability, lambda k: jax.random.normal(k, (2,)) / 8, 0.0, keys[4])
        # From where a pixel comes: the inverses of what is done to the image.
        stretch = jnp.diag(jnp.stack([1 / aspect, aspect])) / scale
        return product("ij,jk,kl->il", _rotation(before), stretch, _rotation(after)), shift * sides

    matrix, shift = drawn(draw)
    still = jnp.all(matrix == jnp.eye(2), axis=(1, 2)) & jnp.all(shift == 0, axis=1)
    return jnp.where(each(still), x, resample(x, matrix, shift))


@of_colors
def _color(x: Images, probability: Probability, drawn: Callable) -> Images:
    def draw(key):
        keys = jax.random.split(key, 5)
        brightness = sometimes(probability, lambda k: 0.2 * jax.random.normal(k), 0.0, keys[0])
        contrast = sometimes(probability, lambda k: 2 ** (0.5 * jax.random.normal(k)), 1.0, keys[1])
        flip = sometimes(probability, jax.random.bernoulli, False, keys[2])
        hue = sometimes(probability, lambda k: _symmetric(k, np.pi), 0.0, keys[3])
        factor = sometimes(probability, lambda k: 2 ** jax.random.normal(k), 1.0, keys[4])
        matrix = product(
            "ij,jk,kl->il",
            colors.saturation(factor),
            colors.hue_rotation(hue),
            colors.luma_flip(flip),
        )
        return contrast * matrix, brightness

    matrix, brightness = drawn(draw)
    x = x + each(brightness)
    if x.shape[3] == 3:
        return product("bij,bhwj->bhwi", matrix, x)
    if x.shape[3] == 1:  # the mean of what the grey pixel becomes in color
        return x * each(jnp.sum(matrix, axis=(1, 2)) / 3)
    raise ValueError(f"colors have 1, 3 or, with opacity, 4 channels, not {x.shape[3]}")


def _filter(x: Images, probability: Probability, drawn: Callable) -> Images:
    power = np.array([10, 1, 1, 1]) / 13  # of images, in each band
    bands = len(power)

    def draw(key):
        def gains(key, band):
            def amplified(k):
                gains = jnp.ones(bands).at[band].set(2 ** jax.random.normal(k))
                return gains / jnp.sqrt(jnp.sum(power * gains**2))

            return sometimes(probability, amplified, 1.0, key)

        return jnp.prod(jax.vmap(gains)(jax.random.split(key, bands), jnp.arange(bands)), axis=0)

    excess = drawn(draw) - 1

    rows, columns = (
        jnp.eye(side) + product("bk,kij->bij", excess, wavelets.band_filtering(side))
        for side in x.shape[1:3]
    )
    return along_axes(rows, columns, x)


def _noise(x: Images, probability: Probability, drawn: Callable) -> Images:
    def draw(key):
        keys = jax.random.split(key)
        std = sometimes(probability, lambda k: 0.1 * jnp.abs(jax.random.normal(k)), 0.0, keys[0])
        return std * jax.random.normal(keys[1], x.shape[1:])

    return x + drawn(draw)


def _cutout(x: Images, probability: Probability, drawn: Callable) -> Images:
    def draw(key):
        keys = jax.random.split(key)
        size = sometimes(probability, lambda _: 0.5, 0.0, keys[0])
        return size, jax.random.uniform(keys[1], (2,))

    size, centre = drawn(draw)
    rows, columns = (
        jnp.abs((jnp.arange(side) + 0.5) / side - centre[:, i, None]) < size[:, None] / 2
        for i, side in enumerate(x.shape[1:3])
    )
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], 0, x)


_TRANSFORMATIONS = {
    "blit": _blit,
    "geometric": _geometric,
    "color": _color,
    "filter": _filter,
    "noise": _noise,
    "cutout": _cutout,
}
CATEGORIES = tuple(_TRANSFORMATIONS)


def _symmetric(
    key: Key[Array, ""], reach: float | np.ndarray, shape: tuple[int, ...] = ()
) -> Array:
    """Uniform from −reach to reach."""
    return jax.random.uniform(key, shape, minval=-reach, maxval=reach)


def _rotation(angle: Scalar) -> Float[Array, "2 2"]:
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.array([[cos, -sin], [sin, cos]])


@dataclasses.dataclass(frozen=True)
class ADASection(Transforming, kind="ada"):
    """Of StyleGAN2-ADA."""

    known = CATEGORIES
    chosen = ADA().categories

    categories: tuple[str, ...] = ()
    """Which transformations: blit, geometric, color, filter, noise, cutout. None given: the first
    three."""
    weights: Mapping[str, float] = Numbers()
    """The probability is multiplied by these, by category: color=0.5."""

    def __post_init__(self):
        object.__setattr__(self, "weights", Numbers(self.weights))

    def validate(self, where: str) -> None:
        super().validate(where)
        for category, weight in self.weights.items():
            check_known(f"{where}.weights", category, self.categories or self.chosen)
            check_at_least(f"{where}.weights.{category}", weight, 0)

    def check_leak(self, *, rises: bool) -> None:
        if self.target is None and self.probability == 1 and not rises:
            raise InputError(
                "images that are always augmented so much are what the generator would learn to "
                "make: set augmentation.target 0.6, or an augmentation.probability below 1"
            )

    def transformation(self, probability: Scheduled) -> Augmentation:
        options = {"categories": self.categories} if self.categories else {}
        return ADA(weights=dict(self.weights), probability=probability, **options)
