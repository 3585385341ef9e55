"""What augmentations have in common."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Float, Int, Key

Pictures = Float[Array, "b h w c"]
Probability = float | int | Float[Array, ""]

Augmentation = Callable[..., Float[Array, "b ..."]]
"""Called as `(x, key, axis_name=None)`."""


class Chain(struct.PyTreeNode):
    """One augmentation after the other, each with draws of its own."""

    augmentations: tuple[Augmentation, ...]
    probability: Probability | None = None
    """Of all those that have one, instead of their own."""

    def __call__(
        self, x: Float[Array, "b ..."], key: Key[Array, ""], axis_name: str | None = None
    ) -> Float[Array, "b ..."]:
        for i, augmentation in enumerate(self.augmentations):
            if self.probability is not None and hasattr(augmentation, "probability"):
                augmentation = augmentation.replace(probability=self.probability)
            x = augmentation(x, jax.random.fold_in(key, i), axis_name)
        return x


def sometimes(
    probability: Probability,
    draw: Callable[[Key[Array, ""]], Array],
    otherwise: Array | float | int,
    key: Key[Array, ""],
) -> Array:
    """What is drawn, with that probability (never at 0, always at 1), else `otherwise`."""
    key, value_key = jax.random.split(key)
    return jnp.where(jax.random.uniform(key) < probability, draw(value_key), otherwise)


def check_pictures(x: Array) -> None:
    """
    Raises:
        ValueError: these are no pictures [B, H, W, C].
    """
    if x.ndim != 4:
        raise ValueError(f"augmentation is for pictures [B, H, W, C], not for {list(x.shape)}")


def each(values: Array) -> Array:
    """Numbers [B] as [B, 1, 1, 1]: one for each picture."""
    return values[:, None, None, None]


def translate(x: Pictures, shift: Int[Array, "b 2"], mode: str) -> Pictures:
    """Pictures moved by whole pixels (right, down), at most an eighth of their sides. What comes in
    is what `jnp.pad` puts there in this mode."""
    reach_y, reach_x = (math.ceil(side / 8) for side in x.shape[1:3])
    margins = ((0, 0), (reach_y, reach_y), (reach_x, reach_x), (0, 0))

    def window(padded, shift):
        return lax.dynamic_slice(padded, (reach_y - shift[1], reach_x - shift[0], 0), x.shape[1:])

    return jax.vmap(window)(jnp.pad(x, margins, mode=mode), shift)
