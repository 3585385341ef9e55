"""A discriminator that judges every pixel of an image by what is far around it.

Source: Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
Data", 2021, §3.3; the idea is of Schönfeld et al., "A U-Net Based Discriminator for Generative
Adversarial Networks", 2020. The sizes are the published code's: three 4×4 convolutions of stride 2,
then three times bilinear interpolation, a 3×3 convolution, and the sum with what the same
resolution had going down; two more 3×3 convolutions, and one to the logits. Leaky ReLU of slope
0.2 follows all but the last. All but the first and the last have spectral norm and no bias.
"""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.errors import InputError
from gan_jax.networks import base
from gan_jax.networks.base import Form
from gan_jax.networks.layers import Conv, Dtype
from gan_jax.networks.resampling import bilinear_up
from gan_jax.resolutions import in_words
from gan_jax.sections import number

_HALVINGS = 3
_MULTIPLE = 2**_HALVINGS  # of an image's sides


class Discriminator(nn.Module):
    """Images [B, h, w, c] to a map of logits [B, h, w], one a pixel.

    Raises:
        ValueError: a height or width that is no multiple of 8.
    """

    width: int = 64
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], label: None = None, *, train: bool = False
    ) -> Float[Array, "b h w"]:
        if any(side % _MULTIPLE for side in x.shape[1:3]):
            raise ValueError(
                f"a U-Net discriminator judges images whose sides are multiples of {_MULTIPLE}, "
                f"not {x.shape[1]}×{x.shape[2]}"
            )

        def layer(x, times, name, resample="same"):
            conv = Conv(times * self.width, resample, spectral=True, use_bias=False,
                        kernel_init=_INIT, dtype=self.dtype, name=name)  # fmt: skip
            return nn.leaky_relu(conv(x, train), 0.2)

        image = Conv(self.width, kernel_init=_INIT, dtype=self.dtype, name="image")
        x = nn.leaky_relu(image(x), 0.2)
        seen = []
        for i in range(1, _HALVINGS + 1):
            seen.append(x)
            x = layer(x, 2**i, f"down_{i}", "down")
        for i in reversed(range(_HALVINGS)):
            x = layer(bilinear_up(x), 2**i, f"up_{i}") + seen.pop()
        for i in (0, 1):
            x = layer(x, 1, f"pixels_{i}")
        logits = Conv(1, kernel_init=_INIT, dtype=self.dtype, name="logits")(x)
        return logits[..., 0].astype(jnp.float32)


_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""PyTorch's default, from −1/√n to 1/√n for n inputs, as in the published code."""


@dataclasses.dataclass(frozen=True)
class DiscriminatorSection(base.DiscriminatorSection, kind="unet"):
    """Of Real-ESRGAN: it judges every pixel, with spectral norm."""

    width: int = number(64, least=1)
    """Channels at the full resolution, and eight times as many at an eighth."""

    def check(self, form: Form, where: str) -> None:
        super().check(form, where)
        if form.num_classes is not None:
            raise InputError(f"{where}.kind unet knows no classes: take dcgan or resnet, say")
        if any(side % _MULTIPLE for side in form.shape[:2]):
            raise InputError(
                f"{where}.kind unet is for images whose sides are multiples of {_MULTIPLE}, not "
                f"{in_words(form.resolution)}: set data.resolution to one"
            )

    def build(self, form: Form) -> nn.Module:
        return Discriminator(self.width, jnp.dtype(self.dtype))
