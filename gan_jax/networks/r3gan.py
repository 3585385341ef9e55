"""R3GAN: plain residual networks, without any normalisation.

Source: Huang et al., "The GAN is dead; long live the GAN! A Modern Baseline GAN", 2024; where the
paper leaves something open, its published code. The blocks are ResNeXt's with an inverted
bottleneck, initialised as in Zhang et al., "Fixup Initialization", 2019.

Both networks have a stage of residual blocks at each resolution from 4×4 up, and `widths`,
`groups` list their stages in that order: n of them make images of 4·2^(n−1) pixels, or 2^(n−1)
times as large as `start`. The discriminator passes through them the other way.

The published training draws another real batch for the generator's update, beside which its logits
stand; in `gan_jax.alternate` both players see the same one.

`dtype` is what the stages above the first compute in; that one, and all behind it that makes the
logits, is computed in float32.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.conditioning import Label
from gan_jax.errors import InputError
from gan_jax.networks import base
from gan_jax.networks.base import Form, grown
from gan_jax.networks.layers import Conv, Dense, Dtype, Embed, Initializer, check_images
from gan_jax.networks.resampling import filter_down, filter_up
from gan_jax.resolutions import Growth, in_words

SLOPE = 0.2
"""Of the leaky ReLUs."""


class Preset(NamedTuple):
    """The paper's networks and training settings for one dataset.

    Pairs are the first and last values of a cosine that ends after `decay_images`; the half-life
    and the augmentation probability rise from 0 in the same way.
    """

    widths: tuple[int, ...]
    groups: tuple[int, ...]
    num_classes: int | None
    batch_size: int
    gamma: tuple[float, float]
    """Of R1 and of R2: γ/2 times the squared gradient each, at every step."""
    ema_half_life: float
    """In images."""
    augment_p: float
    decay_images: float
    lr: tuple[float, float] = (2e-4, 5e-5)
    beta2: tuple[float, float] = (0.9, 0.99)
    """Of Adam, whose β₁ is 0."""
    latent_dim: int = 64


PRESETS = {
    "cifar10": Preset(
        widths=4 * (768,),
        groups=4 * (96,),
        num_classes=10,
        batch_size=512,
        gamma=(0.05, 0.005),
        ema_half_life=5e6,
        augment_p=0.55,
        decay_images=2e7,
    ),
    "ffhq-64": Preset(
        widths=(*4 * (768,), 384),
        groups=(*4 * (96,), 48),
        num_classes=None,
        batch_size=256,
        gamma=(2.0, 0.2),
        ema_half_life=5e5,
        augment_p=0.3,
        decay_images=2e7,
    ),
    "ffhq-256": Preset(
        widths=(*4 * (768,), 384, 192, 96),
        groups=(*4 * (96,), 48, 24, 12),
        num_classes=None,
        batch_size=256,
        gamma=(150.0, 15.0),
        ema_half_life=5e5,
        augment_p=0.3,
        decay_images=2e7,
    ),
    "imagenet-32": Preset(
        widths=4 * (1536,),
        groups=4 * (96,),
        num_classes=1000,
        batch_size=4096,
        gamma=(0.5, 0.05),
        ema_half_life=5e7,
        augment_p=0.5,
        decay_images=2e8,
    ),
    "imagenet-64": Preset(
        widths=5 * (1536,),
        groups=5 * (96,),
        num_classes=1000,
        batch_size=4096,
        gamma=(1.0, 0.1),
        ema_half_life=5e7,
        augment_p=0.4,
        decay_images=2e8,
    ),
}


def _normal(gain: float = 1.0) -> Initializer:
    """N(0, gain² / inputs), of He et al., "Delving Deep into Rectifiers", 2015."""
    return nn.initializers.variance_scaling(gain**2, "fan_in", "normal")


_pointwise = functools.partial(Conv, size=1, use_bias=False, kernel_init=_normal())


class _ResidualBlock(nn.Module):
    """A 1×1 convolution to `expansion` times as many channels, a 3×3 one in groups, and a 1×1 one
    back, added to the input. It starts as the identity."""

    groups: int
    expansion: int
    gain: float
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        width = x.shape[-1]
        expanded = self.expansion * width
        options = {"kernel_init": _normal(self.gain), "dtype": self.dtype}
        y = nn.leaky_relu(Conv(expanded, size=1, **options, name="expand")(x), SLOPE)
        y = nn.leaky_relu(Conv(expanded, groups=self.groups, **options, name="mix")(y), SLOPE)
        options["kernel_init"] = nn.initializers.zeros
        return x + Conv(width, size=1, **options, use_bias=False, name="project")(y)


class _Stage(nn.Module):
    """The residual blocks of one resolution."""

    groups: int
    blocks: int
    expansion: int
    gain: float
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        x = x.astype(self.dtype)
        for i in range(self.blocks):
            block = _ResidualBlock(
                self.groups, self.expansion, self.gain, self.dtype, name=f"block_{i}"
            )
            x = block(x)
        return x


def _stages(network: "Generator | Discriminator") -> list[tuple[int, int, _Stage]]:
    """Shorter side, width and residual blocks of each stage, from the grid up."""
    widths, groups, blocks = network.widths, network.groups, network.blocks
    if not widths or len(widths) != len(groups) or blocks < 1:
        raise ValueError(
            f"every stage has a width, groups and blocks, not {len(widths)} widths, "
            f"{len(groups)} groups and {blocks} blocks"
        )
    # Fixup: in each of L branches of m = 3 layers, all but the last layer start L^(−1 / (2m − 2))
    # times smaller, so that the branches together learn as fast as one would.
    gain = math.sqrt(2 / (1 + SLOPE**2)) * (len(widths) * blocks) ** (-1 / 4)
    stages = []
    for i, (width, cardinality) in enumerate(zip(widths, groups, strict=True)):
        resolution = min(network.start) * 2**i
        dtype = jnp.float32 if i == 0 else network.dtype
        name = f"stage_{resolution}"
        stage = _Stage(cardinality, blocks, network.expansion, gain, dtype, name=name)
        stages.append((resolution, width, stage))
    return stages


class Generator(nn.Module):
    """Latents [B, latent_dim] to images [B, height, width, channels] around (−1, 1): there is no
    tanh.

    It starts from a learned image of 4×4, or of `start`, per channel, times a linear map of the
    latents. An embedding of the label is concatenated to these, with as many dimensions as they
    have unless `embedding_dim` says otherwise.

    Raises:
        ValueError: widths and groups of different lengths, no blocks, or groups that do not divide
            the expanded widths.
    """

    widths: tuple[int, ...]
    groups: tuple[int, ...]
    blocks: int = 2
    """In each stage."""
    expansion: int = 2
    channels: int = 3
    num_classes: int | None = None
    embedding_dim: int | None = None
    dtype: Dtype = jnp.float32
    start: tuple[int, int] = (4, 4)
    """Height and width of the first stage, which double with every other one."""

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        label: Label | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, "b h w c"]:
        stages = _stages(self)
        if self.num_classes is not None:
            dim = self.embedding_dim or z.shape[-1]
            embedding = Embed(self.num_classes, dim, embedding_init=_normal(), name="label")
            z = jnp.concatenate([z, embedding(label)], axis=-1)
        width = self.widths[0]
        x = Dense(width, use_bias=False, kernel_init=_normal(), name="dense")(z)
        basis = self.param("basis", nn.initializers.normal(1.0), (*self.start, width))
        x = basis * x[:, None, None]
        for resolution, width, stage in stages:
            if resolution > min(self.start):
                if width != x.shape[-1]:  # before there are four times as many pixels
                    name = f"width_{resolution}"
                    x = _pointwise(width, dtype=stage.dtype, name=name)(x)
                x = filter_up(x.astype(stage.dtype))
            x = stage(x)
        return _pointwise(self.channels, dtype=self.dtype, name="image")(x).astype(jnp.float32)


class Discriminator(nn.Module):
    """Images [B, height, width, channels] to logits [B].

    It ends in a learned weighting of 4×4, or of `start`, per channel and a linear map. With
    `num_classes`, this has `embedding_dim` (by default `widths[0]`) outputs, and the logit is their
    inner product with an embedding of the label: the projection of Miyato and Koyama, "cGANs with
    Projection Discriminator", 2018, without its unconditional part.

    Raises:
        ValueError: widths and groups of different lengths, no blocks, groups that do not divide the
            expanded widths, or images of another resolution.
    """

    widths: tuple[int, ...]
    groups: tuple[int, ...]
    blocks: int = 2
    """In each stage."""
    expansion: int = 2
    num_classes: int | None = None
    embedding_dim: int | None = None
    dtype: Dtype = jnp.float32
    start: tuple[int, int] = (4, 4)
    """Height and width of the first stage, which double with every other one."""

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        label: Label | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, " b"]:
        stages = _stages(self)
        full, width, _ = stages[-1]
        height, wide = (side * full // min(self.start) for side in self.start)
        check_images(x, (height, wide))
        x = _pointwise(width, dtype=self.dtype, name="image")(x)
        for resolution, width, stage in reversed(stages):
            if resolution < full:
                x = filter_down(x)
                if width != x.shape[-1]:
                    name = f"width_{2 * resolution}"
                    x = _pointwise(width, dtype=stage.dtype, name=name)(x)
            x = stage(x)
        basis = self.param("basis", nn.initializers.normal(1 / 4), (*self.start, width))
        x = jnp.sum(basis * x, axis=(1, 2))
        features = 1 if self.num_classes is None else self.embedding_dim or width
        x = Dense(features, use_bias=False, kernel_init=_normal(), name="dense")(x)
        if self.num_classes is not None:
            init = _normal(features**-0.5)
            x *= Embed(self.num_classes, features, embedding_init=init, name="label")(label)
        return jnp.sum(x, axis=-1)


_DOUBLINGS = range(1, 16)


class _Widths(base.NetworkSection):
    """What both sections have in common."""

    doublings = _DOUBLINGS

    widths: tuple[int, ...]
    groups: tuple[int, ...]

    def check(self, form: Form, where: str) -> None:
        super().check(form, where)
        start, doublings = self._growth(form)
        if len(self.widths) != doublings + 1:
            raise InputError(
                f"r3gan networks have a width for every resolution from {in_words(start)} up to "
                f"that of the data, {in_words(form.resolution)}: set generator.widths and "
                f"discriminator.widths to {doublings + 1} numbers each"
            )

    def options(self, form: Form) -> dict[str, Any]:
        start, _ = self._growth(form)
        return {**super().options(form), "start": start}

    def _growth(self, form: Form) -> Growth:
        return grown("r3gan networks are", form.resolution, _DOUBLINGS)

    @property
    def _groups(self) -> tuple[int, ...]:
        return self.groups or tuple(max(1, 2 * width // 16) for width in self.widths)


@dataclasses.dataclass(frozen=True)
class GeneratorSection(_Widths, base.GeneratorSection, kind="r3gan"):
    """Of R3GAN."""

    widths: tuple[int, ...] = ()
    """Channels from the grid, of 4×4 where it is square, up to the full resolution."""
    groups: tuple[int, ...] = ()
    """Groups of the 3×3 convolutions, from the grid up. None given: of 16 channels each."""

    def build(self, form: Form) -> nn.Module:
        return Generator(self.widths, self._groups, channels=form.channels, **self.options(form))


@dataclasses.dataclass(frozen=True)
class DiscriminatorSection(_Widths, base.DiscriminatorSection, kind="r3gan"):
    """Of R3GAN."""

    widths: tuple[int, ...] = ()
    """Channels from the grid, of 4×4 where it is square, up to the full resolution."""
    groups: tuple[int, ...] = ()
    """Groups of the 3×3 convolutions, from the grid up. None given: of 16 channels each."""

    def build(self, form: Form) -> nn.Module:
        return Discriminator(self.widths, self._groups, **self.options(form))
