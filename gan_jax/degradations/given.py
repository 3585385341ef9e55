"""Inputs that come with their targets, and need not be made."""

import dataclasses
from typing import Any

import numpy as np
from flax import struct
from jaxtyping import Array, Float, Key, Shaped

from gan_jax.degradations.base import DegradationSection, Images, SameSize
from gan_jax.errors import InputError


def holds_pairs(shape: tuple[int, ...]) -> bool:
    """Whether what has this shape is an input and its target, both grey or both RGB."""
    return len(shape) == 3 and shape[2] in (2, 6)


class Given(SameSize):
    """Takes pairs [B, H, W, 2·C] apart, whose first channels are those of the inputs."""

    swap: bool = struct.field(pytree_node=False, default=False)
    """Whether they are those of the targets instead."""

    def channels(self, c: int) -> int:
        """Half as many as the pair has."""
        return c // 2

    def __call__(
        self, images: Images, key: Key[Array, ""] | None = None, axis_name: str | None = None
    ) -> Float[Array, "b h w c_half"]:
        """The inputs."""
        return _halves(images)[int(self.swap)]

    def targets(
        self, images: Shaped[Array | np.ndarray, "b h w c"]
    ) -> Shaped[Array | np.ndarray, "b h w c_half"]:
        """What belongs to the inputs; of images that are stored, too."""
        return _halves(images)[int(not self.swap)]


def _halves(images: Any) -> tuple[Any, Any]:
    channels = images.shape[-1] // 2
    return images[..., :channels], images[..., channels:]


@dataclasses.dataclass(frozen=True)
class GivenSection(DegradationSection, kind="given"):
    """Inputs are given, as halves of pairs."""

    swap: bool = False
    """Learn the other way: inputs are what stands on the right, or in the second folder."""

    def build(self) -> Given:
        return Given(self.swap)

    def check(self, shape: tuple[int, int, int], where: str) -> None:
        super().check(shape, where)
        if not holds_pairs(shape):
            raise InputError(
                f"{where}.kind given takes pairs: set data.source to pairs:PATH, or {where}.kind "
                "to what the inputs are to be made by"
            )
