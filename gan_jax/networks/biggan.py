"""BigGAN: residual networks with self-attention, for images of 32, 64 or 128 pixels and classes.

Source: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image
Synthesis", 2019, appendix B (128 pixels), and the authors' PyTorch code (32 and 64 pixels). All
layers but the generator's embedding have spectral norm, and all kernels start orthogonal.

`width` is the unit of the paper's tables, ch: 96 there, 64 for CIFAR-10 in the published code. At
32 pixels all layers have 4·width channels; otherwise there are 16·width at 4×4, halved with every
doubling of the resolution.

Self-attention comes once in each network: at `attention` pixels, half the full resolution unless
said otherwise (64 at 128 pixels, as in the paper). 0 leaves it out, as the published code does for
CIFAR-10.
"""

import dataclasses
import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.conditioning import Label
from gan_jax.networks import base
from gan_jax.networks.attention import SelfAttention
from gan_jax.networks.base import Form, grown
from gan_jax.networks.layers import Conv, Dense, Dtype, Embed, batch_norm, check_images
from gan_jax.networks.normalization import ConditionalBatchNorm
from gan_jax.networks.resnet import Block, Head
from gan_jax.resolutions import Resolution, sides
from gan_jax.sections import number

# As in resnet.py, by doublings: channels of the grid and after each block, and the discriminator's
# halvings.
_UP = {3: (4, 4, 4, 4), 4: (16, 16, 8, 4, 2), 5: (16, 16, 8, 4, 2, 1)}
_DOWN = {3: (4, 4, 4, 4), 4: (1, 2, 4, 8, 16), 5: (1, 2, 4, 8, 16, 16)}
_HALVINGS = {3: 2, 4: 4, 5: 5}
DOUBLINGS = range(3, 6)

_ORTHOGONAL = nn.initializers.orthogonal()


class Generator(nn.Module):
    """Latents [B, latent_dim] to images [B, height, width, channels] in (−1, 1).

    The latents are cut into equal parts (or as equal as can be): one for the first grid, and one
    for each block. That part and an embedding of the label, which all blocks share, are what the
    block's batch norms are conditioned on; without `num_classes`, it is the latents alone.

    Raises:
        ValueError: a resolution that no grid grows to in 3 to 5 doublings, attention at one that
            there is not, or fewer latents than parts.
    """

    resolution: Resolution = 32
    channels: int = 3
    width: int = 64
    num_classes: int | None = None
    embedding_dim: int = 128
    attention: int | None = None
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
        start, doublings = grown("a BigGAN is", self.resolution, DOUBLINGS)
        attention = _attention(self.resolution, start, self.attention)
        first, *widths = (self.width * m for m in _UP[doublings])
        if z.shape[-1] <= len(widths):
            raise ValueError(f"{len(widths) + 1} parts need as many latents, not {z.shape[-1]}")
        options = {"spectral": True, "kernel_init": _ORTHOGONAL, "dtype": self.dtype}

        z, *conditions = jnp.array_split(z, len(widths) + 1, axis=-1)
        if self.num_classes is not None:
            embedding = Embed(
                self.num_classes, self.embedding_dim, embedding_init=_ORTHOGONAL, name="label"
            )(label)
            conditions = [jnp.concatenate([embedding, part], axis=-1) for part in conditions]

        x = Dense(math.prod(start) * first, **options, name="dense")(z, train)
        x = x.reshape(-1, *start, first)
        for i, (width, condition) in enumerate(zip(widths, conditions, strict=True)):

            def norm(x, name, condition=condition):
                layer = ConditionalBatchNorm(**options, name=name)
                return layer(x, condition, train, axis_name)

            block = Block(
                width, "up", norm=norm, shortcut_init=_ORTHOGONAL, **options, name=f"block_{i}"
            )
            x = block(x, train)
            if min(x.shape[1:3]) == attention:
                x = SelfAttention(**options, name="attention")(x, train)
        x = nn.relu(batch_norm(train, axis_name, self.dtype, name="norm")(x))
        x = Conv(self.channels, **options, name="image")(x, train)
        return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
    """Images [B, height, width, channels] to logits [B].

    With `num_classes`, `conditioning` is "projection" or "auxiliary", as in `resnet.Discriminator`.

    Raises:
        ValueError: an unknown conditioning, an auxiliary classifier without classes, a resolution
            that no grid grows to in 3 to 5 doublings, attention at one that there is not, or images
            of another.
    """

    resolution: Resolution = 32
    width: int = 64
    num_classes: int | None = None
    conditioning: str = "projection"
    attention: int | None = None
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
        start, doublings = grown("a BigGAN is", self.resolution, DOUBLINGS)
        attention = _attention(self.resolution, start, self.attention)
        check_images(x, self.resolution)
        options = {"spectral": True, "kernel_init": _ORTHOGONAL, "dtype": self.dtype}
        for i, multiple in enumerate(_DOWN[doublings]):
            halves = i < _HALVINGS[doublings]
            x = Block(
                self.width * multiple,
                "down" if halves else "same",
                preactivation=i > 0,
                shortcut_init=_ORTHOGONAL,
                **options,
                name=f"block_{i}",
            )(x, train)
            if halves and min(x.shape[1:3]) == attention:
                x = SelfAttention(**options, name="attention")(x, train)
        head = Head(self.num_classes, self.conditioning, **options, name="head")
        return head(nn.relu(x), label, train)


def _attention(resolution: Resolution, start: tuple[int, int], attention: int | None) -> int:
    """The shorter side where self-attention is, 0 for none."""
    shorter, grid = min(sides(resolution)), min(start)
    if attention is None:
        return shorter // 2
    between = [grid * 2**i for i in range(1, DOUBLINGS.stop) if grid * 2**i < shorter]
    if attention not in (0, *between):
        raise ValueError(f"no self-attention at {attention} of {shorter} pixels")
    return attention


@dataclasses.dataclass(frozen=True)
class GeneratorSection(base.GeneratorSection, kind="biggan"):
    """Of BigGAN."""

    doublings = DOUBLINGS

    width: int = number(64, least=1)
    """The paper's ch: 96 for ImageNet, 64 for CIFAR-10."""

    def build(self, form: Form) -> nn.Module:
        return Generator(form.resolution, form.channels, self.width, **self.options(form))


@dataclasses.dataclass(frozen=True)
class DiscriminatorSection(base.DiscriminatorSection, kind="biggan"):
    """Of BigGAN."""

    doublings = DOUBLINGS
    classifies = True

    width: int = number(64, least=1)
    """The paper's ch: 96 for ImageNet, 64 for CIFAR-10."""

    def build(self, form: Form) -> nn.Module:
        conditioning = "auxiliary" if form.auxiliary else "projection"
        return Discriminator(
            form.resolution, self.width, conditioning=conditioning, **self.options(form)
        )
