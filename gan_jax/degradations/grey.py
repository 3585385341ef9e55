"""Grey images, to be given their colours."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gan_jax.degradations.base import DegradationSection, Images, SameSize, check_colors
from gan_jax.errors import InputError

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue (ITU-R BT.601). They sum to 1."""


def luma(images: Images) -> Float[Array, "b h w 1"]:
    """The luma of RGB images, 0.299 R + 0.587 G + 0.114 B; grey images as they are.

    Source: Recommendation ITU-R BT.601, §2.5.1.

    Raises:
        ValueError: images of other than 1 or 3 channels.
    """
    match images.shape[3]:
        case 1:
            return images
        case 3:
            return jnp.sum(images * LUMA, axis=3, keepdims=True)
    raise ValueError(f"images have 1 (grey) or 3 (RGB) channels, not {images.shape[3]}")


class Grey(SameSize):
    """The luma of images, one channel: the input of colorization.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
    §4, which takes the L of CIELAB instead.

    Raises:
        ValueError: images of other than 1 or 3 channels.
    """

    def channels(self, c: int) -> int:
        return 1

    def __call__(
        self, images: Images, key: Key[Array, ""], axis_name: str | None = None
    ) -> Float[Array, "b h w 1"]:
        return jnp.clip(luma(images), -1, 1)  # the weights' sum is rounded


@dataclasses.dataclass(frozen=True)
class GreySection(DegradationSection, kind="grey"):
    """Colours are learned: inputs are grey."""

    def build(self) -> Grey:
        return Grey()

    def check(self, shape: tuple[int, int, int], where: str) -> None:
        super().check(shape, where)
        check_colors(self.kind, shape, where)
        if shape[2] == 1:
            raise InputError(
                f"the images are grey already, so there are no colours to learn: set {where}.kind "
                "to another, or data.channels 3 if the files have colours"
            )
