"""Deep convolutional networks for images of 8 to 224 pixels on the shorter side.

Source: Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional
GANs", 2016. Conditional generators concatenate an embedding of the label to the latents;
conditional discriminators add a projection (Miyato and Koyama, "cGANs with Projection
Discriminator", 2018).

Both networks have `width` channels at half the full resolution, and double them with every halving
down to a grid of 4×4: at 64 pixels and width 64 these are the paper's 64, 128, 256 and 512. Images
of other sides have other grids, as 48×64 has 6×8.

`norm` is "batch", "spectral" (Miyato et al., 2018) or "none".
"""

import dataclasses
import math
from typing import Any

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
from gan_jax.resolutions import Resolution
from gan_jax.sections import number

DOUBLINGS = range(1, 6)


def _shape(resolution: Resolution, width: int, norm: str) -> tuple[tuple[int, int], list[int]]:
    """The grid, and channel counts from there up to half the resolution."""
    check_norm(norm)
    start, doublings = grown("a DCGAN is", resolution, DOUBLINGS)
    return start, [width * 2**i for i in reversed(range(doublings))]


def _kernel_init(norm: str) -> Initializer:
    """The paper's N(0, 0.02²) where a norm sets the scale, otherwise one that keeps it."""
    return nn.initializers.he_normal() if norm == "none" else nn.initializers.normal(0.02)


class Generator(nn.Module):
    """Latents [B, latent_dim] to images [B, height, width, channels] in (−1, 1).

    Raises:
        ValueError: an unknown norm, or a resolution that no grid grows to in 1 to 5 doublings.
    """

    resolution: Resolution = 32
    channels: int = 3
    width: int = 64
    norm: str = "batch"
    num_classes: int | None = None
    label_scale: float = 1.0
    """Standard deviation of the embedding of labels at the start; that of latents is 1. With one as
    large, and few images, samples of a class can all become alike: batch norm lets the label drown
    the latents."""
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
        start, widths = _shape(self.resolution, self.width, self.norm)
        spectral = self.norm == "spectral"
        options: dict[str, Any] = {
            "spectral": spectral,
            "use_bias": self.norm != "batch",
            "kernel_init": _kernel_init(self.norm),
            "dtype": self.dtype,
        }

        def activation(x, i):
            if self.norm == "batch":
                x = batch_norm(train, axis_name, self.dtype, name=f"norm_{i}")(x)
            return nn.relu(x)

        if self.num_classes is not None:
            init = nn.initializers.normal(self.label_scale)
            embedding = Embed(
                self.num_classes, z.shape[-1], spectral=spectral, embedding_init=init, name="label"
            )
            z = jnp.concatenate([z, embedding(label, train)], axis=-1)
        x = Dense(math.prod(start) * widths[0], **options, name="dense")(z, train)
        x = activation(x.reshape(-1, *start, widths[0]), 0)
        for i, width in enumerate(widths[1:], start=1):
            x = activation(Conv(width, "up", **options, name=f"up_{i}")(x, train), i)
        options["use_bias"] = True
        x = Conv(self.channels, "up", **options, name="image")(x, train)
        return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """Images [B, height, width, channels] to logits [B].

    The first layer has no batch norm, as in the paper. Gradient penalties need a norm other than
    "batch".

    Raises:
        ValueError: an unknown norm, a resolution that no grid grows to in 1 to 5 doublings, or
            images of another resolution.
    """

    resolution: Resolution = 32
    width: int = 64
    norm: str = "none"
    num_classes: int | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        label: Label | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, " b"]:
        _, widths = _shape(self.resolution, self.width, self.norm)
        check_images(x, self.resolution)
        spectral = self.norm == "spectral"
        options = {
            "spectral": spectral,
            "kernel_init": _kernel_init(self.norm),
            "dtype": self.dtype,
        }
        for i, width in enumerate(reversed(widths)):
            normed = self.norm == "batch" and i > 0
            x = Conv(width, "down", **options, use_bias=not normed, name=f"down_{i}")(x, train)
            if normed:
                x = batch_norm(train, axis_name, self.dtype, name=f"norm_{i}")(x)
            x = nn.leaky_relu(x, 0.2)
        x = x.reshape(x.shape[0], -1)
        logits = Dense(1, **options, name="logit")(x, train)[:, 0].astype(jnp.float32)
        if self.num_classes is not None:
            embedding = Embed(
                self.num_classes,
                x.shape[-1],
                spectral=spectral,
                embedding_init=nn.initializers.normal(0.02),
                name="label",
            )
            projection = embedding(label, train) * x.astype(jnp.float32)
            logits += jnp.sum(projection, axis=-1)
        return logits


@dataclasses.dataclass(frozen=True)
class GeneratorSection(base.GeneratorSection, kind="dcgan"):
    """Of a DCGAN."""

    doublings = DOUBLINGS

    width: int = number(64, least=1)
    """Channels at half the resolution, doubling towards the grid."""
    norm: Norm = "batch"
    """batch, spectral or none."""
    label_scale: float = number(1.0, above=0)
    """Of classes, how large their embedding is at the start, beside latents of 1: 0.1 for a few
    thousand images, of which each class could otherwise become one."""

    def build(self, form: Form) -> nn.Module:
        sizes = form.resolution, form.channels, self.width
        options = {"label_scale": self.label_scale, **self.options(form)}
        return Generator(*sizes, self.norm, **options)


@dataclasses.dataclass(frozen=True)
class DiscriminatorSection(base.DiscriminatorSection, kind="dcgan"):
    """Of a DCGAN."""

    doublings = DOUBLINGS

    width: int = number(64, least=1)
    """Channels at half the resolution, doubling towards the grid."""
    norm: Norm = "none"
    """batch, spectral or none."""

    @property
    def batch_norm(self) -> bool:
        return self.norm == "batch"

    def build(self, form: Form) -> nn.Module:
        return Discriminator(form.resolution, self.width, self.norm, **self.options(form))
