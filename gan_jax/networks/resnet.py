"""Residual networks for square images of 32, 64 or 128 pixels.

Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018, appendix
B.4, and the published code (which has the 64 pixels too). Conditional generators have a gain and a
bias for each class in their batch norms, conditional discriminators add a projection (Miyato and
Koyama, "cGANs with Projection Discriminator", 2018).

At 32 pixels, `width` is the number of channels everywhere: the paper's is 256 in the generator and
128 in the discriminator. At 64 and 128 pixels it is that of the generator's last block and of the
discriminator's first; it doubles towards the low resolutions, up to 16 times: the paper's is 64.

`norm` is "batch", "spectral" (Miyato et al., 2018) or "none".

The published training of SNGAN updates the generator with twice as many examples as the
discriminator gets of either kind: 128 and 64. Here both have the batch's size.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.conditioning import Label
from gan_jax.networks import base
from gan_jax.networks.base import Form, Norm, check_norm, grown
from gan_jax.networks.layers import (
    Conv,
    Dense,
    Dtype,
    Embed,
    Initializer,
    batch_norm,
    check_images,
)
from gan_jax.networks.normalization import ClassBatchNorm
from gan_jax.networks.resampling import average_down, repeat_up
from gan_jax.resolutions import Resolution
from gan_jax.sections import number

CONDITIONINGS = ("projection", "auxiliary")

# By the doublings from the grid to the resolution, from 4×4 to 32, 64 and 128 pixels: channels of
# the grid and after each of the generator's blocks, and after each of the discriminator's, in units
# of the width; and how many of the latter, from the first, halve the resolution.
_UP = {3: (1, 1, 1, 1), 4: (16, 8, 4, 2, 1), 5: (16, 16, 8, 4, 2, 1)}
_DOWN = {3: (1, 1, 1, 1), 4: (1, 2, 4, 8, 16), 5: (1, 2, 4, 8, 16, 16)}
_HALVINGS = {3: 2, 4: 5, 5: 5}
DOUBLINGS = range(3, 6)

_GLOROT = nn.initializers.glorot_uniform()
_GLOROT_RELU = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")


class Generator(nn.Module):
    """Latents [B, latent_dim] to images [B, height, width, channels] in (−1, 1).

    Without batch norm, a conditional one concatenates an embedding of the label to the latents.

    Raises:
        ValueError: an unknown norm, or a resolution that no grid grows to in 3 to 5 doublings.
    """

    resolution: Resolution = 32
    channels: int = 3
    width: int = 64
    norm: str = "batch"
    num_classes: int | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        label: Label | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, "b h w c"]:
        check_norm(self.norm)
        start, doublings = grown("a ResNet is", self.resolution, DOUBLINGS)
        first, *widths = (self.width * m for m in _UP[doublings])
        options = {"spectral": self.norm == "spectral", "dtype": self.dtype}

        def plain_norm(x, name):
            return batch_norm(train, axis_name, self.dtype, name)(x)

        def class_norm(x, name):
            norm = ClassBatchNorm(self.num_classes or 0, self.dtype, name=name)
            return norm(x, label, train, axis_name)

        norm = None
        if self.norm == "batch":
            norm = plain_norm if self.num_classes is None else class_norm
        elif self.num_classes is not None:
            embedding = Embed(self.num_classes, z.shape[-1], **options, name="label")
            z = jnp.concatenate([z, embedding(label, train)], axis=-1)
        x = Dense(math.prod(start) * first, kernel_init=_GLOROT, **options, name="dense")(z, train)
        x = x.reshape(-1, *start, first)
        for i, width in enumerate(widths):
            x = Block(width, "up", norm=norm, **options, name=f"block_{i}")(x, train)
        x = nn.relu(x if norm is None else plain_norm(x, "norm"))
        x = Conv(self.channels, kernel_init=_GLOROT, **options, name="image")(x, train)
        return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """Images [B, height, width, channels] to logits [B].

    With `num_classes`, `conditioning` is "projection" (Miyato and Koyama, 2018) or "auxiliary"
    (Odena, Olah and Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs", 2017).
    The latter does not look at the label but guesses it: it gives a pair of logits [B] and class
    logits [B, num_classes]. Gradient penalties need a norm other than "batch".

    Raises:
        ValueError: an unknown norm or conditioning, an auxiliary classifier without classes, a
            resolution that no grid grows to in 3 to 5 doublings, or images of another resolution.
    """

    resolution: Resolution = 32
    width: int = 64
    norm: str = "spectral"
    num_classes: int | None = None
    conditioning: str = "projection"
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        label: Label | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, " b"] | tuple[Float[Array, " b"], Float[Array, "b classes"]]:
        check_norm(self.norm)
        _, doublings = grown("a ResNet is", self.resolution, DOUBLINGS)
        check_images(x, self.resolution)
        options = {"spectral": self.norm == "spectral", "dtype": self.dtype}

        def norm(x, name):
            return batch_norm(train, axis_name, self.dtype, name)(x)

        for i, multiple in enumerate(_DOWN[doublings]):
            even = not any(side % 2 for side in x.shape[1:3])  # or there is no half of it
            x = Block(
                self.width * multiple,
                "down" if even and i < _HALVINGS[doublings] else "same",
                hidden=None if i == 0 else x.shape[-1],
                preactivation=i > 0,
                norm=norm if self.norm == "batch" else None,
                **options,
                name=f"block_{i}",
            )(x, train)
        x = nn.relu(norm(x, "norm") if self.norm == "batch" else x)
        head = Head(self.num_classes, self.conditioning, **options, name="head")
        return head(x, label, train)


class Block(nn.Module):
    """A residual block: norm, ReLU and a 3×3 convolution, twice.

    `resample` is "up", which doubles the resolution before the first convolution, "down", which
    halves it after the second, or "same". The shortcut is the identity where it can be, otherwise a
    1×1 convolution, at the lower of the two resolutions: the order does not matter to the result.
    """

    features: int
    resample: str = "same"
    hidden: int | None = None
    """Channels between the convolutions; `features` if None."""
    preactivation: bool = True
    """False for a block of images: they go to the first convolution as they are."""
    norm: Callable[[Array, str], Array] | None = None
    """Applies the norm of a given name."""
    spectral: bool = False
    kernel_init: Initializer = _GLOROT_RELU
    shortcut_init: Initializer = _GLOROT
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h_out w_out f"]:
        conv = partial(Conv, spectral=self.spectral, dtype=self.dtype)

        def activation(x, name):
            return nn.relu(x if self.norm is None else self.norm(x, name))

        h = activation(x, "norm_0") if self.preactivation else x
        h = conv(
            self.hidden or self.features,
            "up" if self.resample == "up" else "same",
            size=3,
            kernel_init=self.kernel_init,
            use_bias=self.norm is None,
            name="conv_0",
        )(h, train)
        h = activation(h, "norm_1")
        h = conv(
            self.features,
            "down" if self.resample == "down" else "same",
            size=3,
            kernel_init=self.kernel_init,
            name="conv_1",
        )(h, train)
        if self.resample == "down":
            x = average_down(x)
        if self.resample != "same" or x.shape[-1] != self.features:
            shortcut = conv(self.features, size=1, kernel_init=self.shortcut_init, name="shortcut")
            x = shortcut(x, train)
        return h + (repeat_up(x) if self.resample == "up" else x)


class Head(nn.Module):
    """Logits [B] from the sums of features over all pixels, conditioned on `num_classes` classes.

    Raises:
        ValueError: an unknown conditioning, or an auxiliary classifier without classes.
    """

    num_classes: int | None = None
    conditioning: str = "projection"
    spectral: bool = False
    kernel_init: Initializer = _GLOROT
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], label: Label | None, train: bool
    ) -> Float[Array, " b"] | tuple[Float[Array, " b"], Float[Array, "b classes"]]:
        if self.conditioning not in CONDITIONINGS:
            raise ValueError(
                f"unknown conditioning {self.conditioning!r}: one of {', '.join(CONDITIONINGS)}"
            )
        if self.conditioning == "auxiliary" and self.num_classes is None:
            raise ValueError("an auxiliary classifier needs num_classes")
        options = {"spectral": self.spectral, "dtype": self.dtype}
        x = jnp.sum(x.astype(jnp.float32), axis=(1, 2))

        def linear(features, name):
            dense = Dense(features, kernel_init=self.kernel_init, **options, name=name)
            return dense(x, train).astype(jnp.float32)

        logits = linear(1, "logit")[:, 0]
        if self.conditioning == "auxiliary":
            return logits, linear(self.num_classes, "class_logits")
        if self.num_classes is not None:
            embedding = Embed(
                self.num_classes,
                x.shape[-1],
                embedding_init=self.kernel_init,
                **options,
                name="label",
            )
            logits += jnp.sum(embedding(label, train) * x, axis=-1)
        return logits


@dataclasses.dataclass(frozen=True)
class GeneratorSection(base.GeneratorSection, kind="resnet"):
    """Of SNGAN's residual networks."""

    doublings = DOUBLINGS

    width: int = number(64, least=1)
    """The paper's base width: 256 at 32 pixels, 64 above."""
    norm: Norm = "batch"
    """batch, spectral or none."""

    def build(self, form: Form) -> nn.Module:
        sizes = form.resolution, form.channels, self.width
        return Generator(*sizes, self.norm, **self.options(form))


@dataclasses.dataclass(frozen=True)
class DiscriminatorSection(base.DiscriminatorSection, kind="resnet"):
    """Of SNGAN's residual networks."""

    doublings = DOUBLINGS
    classifies = True

    width: int = number(64, least=1)
    """The paper's base width: 128 at 32 pixels, 64 above."""
    norm: Norm = "none"
    """batch, spectral or none."""

    @property
    def batch_norm(self) -> bool:
        return self.norm == "batch"

    def build(self, form: Form) -> nn.Module:
        conditioning = "auxiliary" if form.auxiliary else "projection"
        return Discriminator(
            form.resolution, self.width, self.norm, conditioning=conditioning, **self.options(form)
        )
