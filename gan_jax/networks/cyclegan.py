"""CycleGAN's generators: from images to images of the same size.

Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks", 2017, §7.2; architecture of Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time
Style Transfer and Super-Resolution", 2016.

A 7×7 convolution, two of stride 2, residual blocks, two that double the resolution, and a 7×7 one:
in the paper's notation c7s1-64, d128, d256, R256 × 6 or 9, u128, u64, c7s1-3. Instance norm without
parameters and ReLU follow all but the last; padding is by reflection where the resolution stays.
"""

import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.networks import base
from gan_jax.networks.base import Form
from gan_jax.networks.layers import Conv, Dtype, instance_norm
from gan_jax.sections import number

LEAST = 16
"""The smallest side: of less, reflection leaves nothing to see at a quarter of the resolution."""

Upsampling = Literal["transpose", "resize"]


class Translator(nn.Module):
    """Images [B, h, w, c] in [−1, 1] to images of the same size in (−1, 1), of `channels`.

    Raises:
        ValueError: a height or width that is no multiple of 4, or below 16.
    """

    channels: int = 3
    width: int = 64
    blocks: int = 9
    upsampling: Upsampling = "transpose"
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], label: None = None, *, train: bool = False
    ) -> Float[Array, "b h w c_out"]:
        if any(side % 4 or side < LEAST for side in x.shape[1:3]):
            raise ValueError(
                f"a translator takes images whose sides are multiples of 4 from {LEAST} on, not "
                f"{x.shape[1]}×{x.shape[2]}"
            )
        up = "transpose" if self.upsampling == "transpose" else "up"

        def layer(x, width, name, **options: Any):
            # A norm without parameters takes any bias away.
            conv = Conv(width, size=options.pop("size", 3), use_bias=False, dtype=self.dtype,
                        name=name, **options)  # fmt: skip
            return instance_norm(conv(x, train))

        def block(x, name):
            y = nn.relu(layer(x, width, f"{name}_1", padding="reflect"))
            return x + layer(y, width, f"{name}_2", padding="reflect")

        width = self.width
        x = nn.relu(layer(x, width, "in", size=7, padding="reflect"))
        for i in (1, 2):
            width *= 2
            x = nn.relu(layer(x, width, f"down_{i}", resample="stride"))
        for i in range(self.blocks):
            x = block(x, f"block_{i}")
        for i in (1, 2):
            width //= 2
            x = nn.relu(layer(x, width, f"up_{i}", resample=up))
        image = Conv(self.channels, size=7, padding="reflect", dtype=self.dtype, name="image")
        return jnp.tanh(image(x, train).astype(jnp.float32))


@dataclasses.dataclass(frozen=True)
class TranslatorSection(base.TranslatorSection, kind="cyclegan"):
    """Of CycleGAN: residual blocks at a quarter of the resolution."""

    width: int = number(64, least=1)
    """Channels at the full resolution; four times as many in the blocks."""
    blocks: int | None = number(None, least=0)
    """How many residual blocks. None: 6, or 9 from 256 pixels on, as published."""
    upsampling: Upsampling = "transpose"
    """transpose, as published: transposed convolutions. resize: nearest neighbors, then a
    convolution, which leaves no checkerboard."""

    least = LEAST

    def multiple_of(self, form: Form) -> int:
        return 4

    def build(self, form: Form) -> nn.Module:
        blocks = self.blocks
        if blocks is None:
            blocks = 9 if form.shape[0] >= 256 else 6
        dtype = jnp.dtype(self.dtype)
        return Translator(form.shape[-1], self.width, blocks, self.upsampling, dtype)
