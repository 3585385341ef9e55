"""ESRGAN's generator: from images to images that are several times larger, or as large.

Source: Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", 2018,
§3.1.

Residual-in-residual dense blocks (RRDBs) at the resolution of the input: three dense blocks of five
3×3 convolutions each, of which every one sees what all before it made. Then, for each doubling of
the resolution, nearest neighbors and a convolution. There is no norm: a pixel depends on its
surroundings alone, so that an image made in overlapping tiles is the image made at once.
"""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.networks import base
from gan_jax.networks.base import Form
from gan_jax.networks.layers import Conv, Dtype, start_from
from gan_jax.networks.resampling import resize
from gan_jax.sections import number

SCALES = (1, 2, 4, 8)

_RESIDUAL = 0.2  # what a residual is scaled by, in and around dense blocks
_DENSE_INIT = nn.initializers.variance_scaling(2 * 0.1**2, "fan_in", "normal")
"""He et al.'s normal distribution, times 0.1."""
_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""PyTorch's default, from −1/√n to 1/√n for n inputs, which the published code leaves elsewhere."""


class Translator(nn.Module):
    """Images [B, h, w, c] to float32 images [B, scale·h, scale·w, channels].

    Both are in [−1, 1], but nothing keeps the output there: it can lie a little beyond, and is for
    its user to clip.

    With `skip`, what the layers make is added to the bicubic enlargement of the input, and the last
    layer starts at 0: training begins at bicubic. If the input has more channels than the output,
    the first ones are enlarged; if it has a single one, for all. The paper has no such skip.

    As published, dense blocks start a tenth as large as usual (He et al., 2015). Enlarging 1 or 2
    times is of this code's making, and not what Real-ESRGAN does, whose input is then folded to a
    quarter of its resolution.

    Raises:
        ValueError: a scale other than 1, 2, 4 or 8, or input channels that cannot be skipped with.
    """

    channels: int = 3
    scale: int = 4
    width: int = 64
    growth: int = 32
    blocks: int = 23
    skip: bool = True
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], label: None = None, *, train: bool = False
    ) -> Float[Array, "b h_out w_out c_out"]:
        if self.scale not in SCALES:
            raise ValueError(f"images become 1, 2, 4 or 8 times larger, not {self.scale}")
        start = start_from(x, self.channels) if self.skip else None

        def conv(name, init=_INIT, **options):
            return Conv(
                self.width, size=3, kernel_init=init, dtype=self.dtype, name=name, **options
            )

        first = y = conv("in")(x)
        for i in range(self.blocks):
            y = ResidualDense(self.width, self.growth, self.dtype, name=f"block_{i}")(y)
        y = first + conv("body")(y)
        for i in range(1, self.scale.bit_length()):
            y = _leaky(conv(f"up_{i}", resample="up")(y))
        y = _leaky(conv("out")(y))
        last_init = nn.initializers.zeros if self.skip else _INIT
        image = Conv(self.channels, kernel_init=last_init, dtype=self.dtype, name="image")
        y = image(y).astype(jnp.float32)
        if start is None:
            return y
        height, width = (self.scale * side for side in x.shape[1:3])
        return y + resize(start, height, width, "bicubic")


class ResidualDense(nn.Module):
    """A residual-in-residual dense block (§3.1, figure 4): x + 0.2·(three dense blocks in turn)."""

    width: int = 64
    growth: int = 32
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        y = x
        for i in range(3):
            y = Dense(self.width, self.growth, self.dtype, name=f"dense_{i}")(y)
        return x + _RESIDUAL * y


class Dense(nn.Module):
    """A dense block of five convolutions: x + 0.2·(the last of them)."""

    width: int = 64
    growth: int = 32
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        def conv(features, i):
            return Conv(features, kernel_init=_DENSE_INIT, dtype=self.dtype, name=f"conv_{i}")

        seen = x
        for i in range(4):
            seen = jnp.concatenate([seen, _leaky(conv(self.growth, i)(seen))], axis=-1)
        return x + _RESIDUAL * conv(self.width, 4)(seen)


def _leaky(x: Array) -> Array:
    return nn.leaky_relu(x, 0.2)


@dataclasses.dataclass(frozen=True)
class TranslatorSection(base.TranslatorSection, kind="rrdb"):
    """Of ESRGAN: dense blocks at the resolution of the input, which is then enlarged."""

    width: int = number(64, least=1)
    """Channels between blocks."""
    growth: int = number(32, least=1)
    """Channels that a convolution inside a dense block adds."""
    blocks: int = number(23, least=0)
    """How many residual-in-residual dense blocks, of fifteen convolutions each."""
    skip: bool = True
    """Whether what it makes is added to the bicubic enlargement of its input, where training then
    begins. The published network has no such skip, and needs a longer training."""

    scales = SCALES

    def build(self, form: Form) -> nn.Module:
        sizes = (self.width, self.growth, self.blocks)
        return Translator(form.shape[-1], form.scale, *sizes, self.skip, jnp.dtype(self.dtype))
