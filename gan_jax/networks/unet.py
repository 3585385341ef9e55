"""pix2pix's generator: from images to images of the same size, by way of a few pixels.

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
§3.2.1 and §6.1.1.

An encoder of 4×4 convolutions of stride 2 (in the paper's notation C64-C128-C256-C512-C512-…) and a
decoder of transposed ones that mirrors it. What the encoder has at a resolution is concatenated to
what the decoder has there. Leaky ReLU of slope 0.2 going down, ReLU going up, tanh at the end.

Instance norm without parameters follows all but the first and the last convolution, and the
innermost one: its map is a single pixel, which any such norm makes 0 (the paper's errata, §6.3; the
published code has none there either). The paper has batch norm with a gain and a bias, which for
its batches of one image is instance norm.

Dropout in the decoder's innermost layers is the network's noise z (§3.1).
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gan_jax import parallel
from gan_jax.networks import base
from gan_jax.networks.base import Form
from gan_jax.networks.layers import Conv, Dtype, instance_norm, start_from
from gan_jax.sections import number

_MOST = 8  # halvings that are published
_NOISY = 3  # layers with dropout, of the decoder


class Translator(nn.Module):
    """Images [B, h, w, c] in [−1, 1] to images [B, h, w, channels] in (−1, 1).

    With `skip`, what the layers make is added to the input (its first channels, or its only one, to
    all), in place of tanh, and the last layer starts at 0: training begins with the input, of which
    the decoder else sees what is left at half the resolution. The output can then lie a little
    beyond [−1, 1], and is for its user to clip. The paper has no such skip.

    `dropout` is the share of the activations that the decoder's three innermost layers lose (as in
    the paper; in its PyTorch version, layers two to four). Only with a key: without one, as outside
    training, the same input always gives the same image. The paper keeps it on there, and reports
    that it varies little.

    Raises:
        ValueError: a height or width that is no multiple of 2^halvings, no halvings, a dropout that
            is no share below 1, or input channels that cannot be skipped with.
    """

    channels: int = 3
    width: int = 64
    halvings: int = 8
    dropout: float = 0.5
    skip: bool = False
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        label: None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "b h w c_out"]:
        """
        Args:
            key: Of the dropout, drawn for each example and layer. Without it, there is none.
        """
        if self.halvings < 1:
            raise ValueError(f"a U-Net halves the resolution at least once, not {self.halvings}×")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a share from 0 to below 1, not {self.dropout}")
        if any(side % 2**self.halvings for side in x.shape[1:3]):
            raise ValueError(
                f"a U-Net of {self.halvings} halvings takes images whose sides are multiples of "
                f"{2**self.halvings}, not {x.shape[1]}×{x.shape[2]}"
            )

        def layer(x, i, direction, *, normed=True):
            conv = Conv(self.width * min(2**i, 8), direction, use_bias=not normed,
                        dtype=self.dtype, name=f"{direction}_{i}")  # fmt: skip
            return instance_norm(conv(x)) if normed else conv(x)

        start = start_from(x, self.channels) if self.skip else None
        innermost = self.halvings - 1
        x = layer(x, 0, "down", normed=False)
        encoded = [x]
        for i in range(1, self.halvings):
            x = layer(nn.leaky_relu(x, 0.2), i, "down", normed=i < innermost)
            encoded.append(x)
        x = encoded.pop()
        for i in reversed(range(innermost)):
            x = layer(nn.relu(x), i, "up")
            if key is not None and self.dropout > 0 and innermost - i <= _NOISY:
                x = _drop(x, self.dropout, jax.random.fold_in(key, i), axis_name)
            x = jnp.concatenate([x, encoded.pop()], axis=-1)
        options: Any = {} if start is None else {"kernel_init": nn.initializers.zeros}
        image = Conv(self.channels, "up", dtype=self.dtype, name="image", **options)
        x = image(nn.relu(x)).astype(jnp.float32)
        return jnp.tanh(x) if start is None else start + x


def _drop(
    x: Float[Array, "b h w c"], share: float, key: Key[Array, ""], axis_name: str | None
) -> Float[Array, "b h w c"]:
    """With this share of the entries set to 0, and the others larger by what that takes away."""

    def draw(key):
        return jax.random.bernoulli(key, 1 - share, x.shape[1:])

    kept = parallel.per_example(draw, key, len(x), axis_name)
    return jnp.where(kept, x / (1 - share), 0)


@dataclasses.dataclass(frozen=True)
class TranslatorSection(base.TranslatorSection, kind="unet"):
    """Of pix2pix: an encoder, and a decoder that sees all that the encoder saw."""

    width: int = number(64, least=1)
    """Channels at half the resolution, doubling up to eight times as many."""
    halvings: int | None = number(None, least=1)
    """Of the resolution. None: down to 2 or 3 pixels a side, but at most 8. As published: 8 at 256
    pixels, down to one."""
    dropout: float = number(0.5, least=0, below=1)
    """The share of the activations that three layers lose while training: the network's noise."""
    skip: bool = False
    """Whether what it makes is added to its input: for outputs that are alike, as colors of a grey
    image are. The published network has no such skip."""

    def halvings_of(self, form: Form) -> int:
        """Of images of this form."""
        if self.halvings is not None:
            return self.halvings
        return min(max(min(form.shape[:2]).bit_length() - 2, 1), _MOST)

    def multiple_of(self, form: Form) -> int:
        return 2 ** self.halvings_of(form)

    def build(self, form: Form) -> nn.Module:
        halvings, dtype = self.halvings_of(form), jnp.dtype(self.dtype)
        sizes = (form.shape[-1], self.width, halvings)
        return Translator(*sizes, self.dropout, self.skip, dtype)
