"""Numbers that change as images are seen.

A `Schedule` may stand wherever an objective has a number: a penalty's weight, the moving average's
half-life, an augmentation's probability. `resolve(objective, images_seen)` gives the objective of
that moment. Schedules are pure functions of the images that the network under training has seen:
its updates times the batch size.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Num, PyTree

from gan_jax.nodes import Node

T = TypeVar("T", bound=PyTree)
Number = float | int | Num[Array, "..."]

SHAPES = ("cosine", "linear")


class Schedule(Node):
    """`start` for the first `after` images, from there to `end` over `images` images, and constant
    from then on.

    As a cosine: start + (end − start)·(1 − cos πt)/2, with t the fraction of the images seen. In
    float32 this is right to 2·10⁻⁷ of end − start, so that below t = 8·10⁻⁵ it is `start`.

    Source: for the cosine, the burn-in of Huang et al., "The GAN is dead; long live the GAN!",
    2024, appendix D.

    Raises:
        ValueError: an unknown shape.
    """

    start: Number
    end: Number
    images: Number
    shape: str = struct.field(pytree_node=False, default="cosine")
    after: Number = 0

    def __post_init__(self):
        if self.shape not in SHAPES:
            raise ValueError(f"unknown shape {self.shape!r}: one of {', '.join(SHAPES)}")

    def __call__(self, images_seen: Number) -> Float[Array, "..."]:
        """The number after `images_seen` images."""
        seen = jnp.asarray(images_seen, jnp.float32) - self.after
        t = jnp.clip(seen / self.images, 0.0, 1.0)
        if self.shape == "cosine":
            t = 0.5 * (1 - jnp.cos(jnp.pi * t))
        return self.start + (self.end - self.start) * t


if TYPE_CHECKING:
    Scheduled = Any  # What computes with it does so after it was resolved.
else:
    Scheduled = Number | Schedule
"""What an objective may have for a number."""


def resolve(tree: T, images_seen: Number) -> T:
    """`tree` with every schedule in it replaced by its number after `images_seen` images."""

    def is_schedule(x) -> bool:
        return isinstance(x, Schedule)

    return jax.tree.map(
        lambda x: x(images_seen) if is_schedule(x) else x, tree, is_leaf=is_schedule
    )


def by_update(schedule: Schedule, images: float) -> optax.Schedule:
    """The schedule as a function of the number of updates: what optimisers take. From one update to
    the next there are so many `images`."""
    return lambda updates: schedule(jnp.asarray(updates, jnp.float32) * images)
