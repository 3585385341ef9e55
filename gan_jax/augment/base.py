"""What augmentations have in common."""

import abc
import functools
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key

from gan_jax.nodes import Node
from gan_jax.schedules import Scheduled

Images = Float[Array, "b h w c"]
Probability = Scheduled


@runtime_checkable
class Augmentation(Protocol):
    """What examples go through before the discriminator judges them: a function, or a pytree that
    is called like one.

    It gives a batch of the shape of `x`, and is differentiable with respect to it. What it draws
    for an example is keyed by the example's global index (`gan_jax.parallel.per_example`, with this
    `key` and `axis_name`). To have a probability that can be controlled, subclass `Controllable`.
    """

    def __call__(
        self, x: Float[Array, "b ..."], key: Key[Array, ""], axis_name: str | None = None, /
    ) -> Float[Array, "b ..."]: ...


class Controllable(Node, abc.ABC):
    """An augmentation whose field `probability` can be set anew while a network trains."""

    @abc.abstractmethod
    def __call__(
        self, x: Float[Array, "b ..."], key: Key[Array, ""], axis_name: str | None = None
    ) -> Float[Array, "b ..."]:
        """See `Augmentation`."""

    def with_probability(self, probability: Probability) -> "Controllable":
        """The same augmentation, of other probability."""
        return self.replace(probability=probability)


class Chain(Controllable):
    """One augmentation after the other, each with draws of its own."""

    augmentations: tuple[Augmentation, ...]
    probability: Probability | None = None
    """Of all those that have one, instead of their own."""

    def __call__(
        self, x: Float[Array, "b ..."], key: Key[Array, ""], axis_name: str | None = None
    ) -> Float[Array, "b ..."]:
        for i, augmentation in enumerate(self.augmentations):
            if self.probability is not None and isinstance(augmentation, Controllable):
                augmentation = augmentation.with_probability(self.probability)
            x = augmentation(x, jax.random.fold_in(key, i), axis_name)
        return x


def sometimes(
    probability: Probability,
    draw: Callable[[Key[Array, ""]], Array | float],
    otherwise: Array | float | int,
    key: Key[Array, ""],
) -> Array:
    """What is drawn, with that probability (never at 0, always at 1), else `otherwise`."""
    key, value_key = jax.random.split(key)
    return jnp.where(jax.random.uniform(key) < probability, draw(value_key), otherwise)


def check_images(x: Array) -> None:
    """
    Raises:
        ValueError: these are no images [B, H, W, C].
    """
    if x.ndim != 4:
        raise ValueError(f"augmentation is for images [B, H, W, C], not for {list(x.shape)}")


def each(values: Array) -> Array:
    """Numbers [B] as [B, 1, 1, 1]: one for each image."""
    return values[:, None, None, None]


def of_colors(transformation: Callable[..., Images]) -> Callable[..., Images]:
    """A transformation that leaves opacity, the last of four channels, as it is."""

    @functools.wraps(transformation)
    def transformed(x: Images, *arguments: Any) -> Images:
        if x.shape[-1] != 4:
            return transformation(x, *arguments)
        return jnp.concatenate([transformation(x[..., :3], *arguments), x[..., 3:]], axis=-1)

    return transformed


def translate(x: Images, shift: Int[Array, "b 2"], mode: str) -> Images:
    """Images moved by whole pixels (right, down), at most an eighth of their sides. What comes in
    is what `jnp.pad` puts there in this mode."""
    reach_y, reach_x = (math.ceil(side / 8) for side in x.shape[1:3])
    margins = ((0, 0), (reach_y, reach_y), (reach_x, reach_x), (0, 0))

    def window(padded, shift):
        return lax.dynamic_slice(padded, (reach_y - shift[1], reach_x - shift[0], 0), x.shape[1:])

    return jax.vmap(window)(jnp.pad(x, margins, mode=mode), shift)
