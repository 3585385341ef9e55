"""A discriminator that judges patches of an image, each by itself.

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017, §3.2
and §6.1.2: C64-C128-C256-C512 of 4×4 convolutions, all but the last of these of stride 2, and a
last one to a map of logits, each of which sees 70×70 pixels. Instance norm, as in CycleGAN, follows
all but the first and the last; leaky ReLU of slope 0.2.
"""

import dataclasses
from typing import Literal, get_args

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.errors import InputError
from gan_jax.networks import base
from gan_jax.networks.base import Form
from gan_jax.networks.layers import Conv, Dtype, instance_norm
from gan_jax.resolutions import in_words
from gan_jax.sections import number

PatchNorm = Literal["instance", "spectral", "none"]


class Discriminator(nn.Module):
    """Images [B, h, w, c] to a map of logits [B, h′, w′], one a patch: h′ = h / 2^layers − 2.

    Raises:
        ValueError: images that are too small for one patch, or an unknown norm.
    """

    width: int = 64
    layers: int = 3
    norm: PatchNorm = "instance"
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], label: None = None, *, train: bool = False
    ) -> Float[Array, "b patches_h patches_w"]:
        if min(x.shape[1:3]) < smallest(self.layers) or any(
            side % 2**self.layers for side in x.shape[1:3]
        ):
            raise ValueError(
                f"a PatchGAN of {self.layers} halvings judges images whose sides are multiples of "
                f"{2**self.layers} from {smallest(self.layers)} on, not {x.shape[1]}×{x.shape[2]}"
            )

        if self.norm not in get_args(PatchNorm):
            raise ValueError(f"unknown norm {self.norm!r}: one of {', '.join(get_args(PatchNorm))}")

        def layer(x, width, name, resample="same"):
            normed = self.norm == "instance" and name != "down_0"
            conv = Conv(width, resample, size=4, spectral=self.norm == "spectral",
                        use_bias=not normed, dtype=self.dtype, name=name)  # fmt: skip
            x = conv(x, train)
            return nn.leaky_relu(instance_norm(x) if normed else x, 0.2)

        for i in range(self.layers):
            x = layer(x, self.width * min(2**i, 8), f"down_{i}", "down")
        x = layer(x, self.width * min(2**self.layers, 8), "wide")
        logits = Conv(1, size=4, spectral=self.norm == "spectral", dtype=self.dtype, name="logits")
        return logits(x, train)[..., 0].astype(jnp.float32)


def smallest(layers: int) -> int:
    """The smallest side of an image, in pixels, that there is a patch for."""
    return 3 * 2**layers


@dataclasses.dataclass(frozen=True)
class DiscriminatorSection(base.DiscriminatorSection, kind="patchgan"):
    """Of pix2pix and CycleGAN: it judges patches, each by itself."""

    width: int = number(64, least=1)
    """Channels of the first layer, doubling up to eight times as many."""
    layers: int = number(3, least=1)
    """Halvings of the resolution, which set the size of a patch: 16, 34, 70 (published) or 142
    pixels for 1 to 4."""
    norm: PatchNorm = "instance"
    """instance, spectral or none."""

    def check(self, form: Form, where: str) -> None:
        super().check(form, where)
        if form.num_classes is not None:
            raise InputError(f"{where}.kind patchgan knows no classes: take dcgan or resnet, say")
        sides = form.shape[:2]
        if any(side % 2**self.layers for side in sides) or min(sides) < smallest(self.layers):
            raise InputError(
                f"{where}.layers {self.layers} is for images whose sides are multiples of "
                f"{2**self.layers} from {smallest(self.layers)} pixels on, not "
                f"{in_words(form.resolution)}"
            )

    def build(self, form: Form) -> nn.Module:
        return Discriminator(self.width, self.layers, self.norm, jnp.dtype(self.dtype))
