"""StyleGAN2: a generator steered by styles, and a residual discriminator.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020 (configuration
F), and for labels Karras et al., "Training Generative Adversarial Networks with Limited Data",
2020, with their published code.

Both networks have `width` channels at the full resolution, and double them with every halving down
to 4×4, up to `max_width`. The papers have max_width 512 and width 32·1024/resolution, or half of
that: 64 for 256 pixels. For CIFAR-10 they have width 512, a mapping of depth 2, neither style
mixing nor path-length penalty, a discriminator without residual connections, and a minibatch
standard deviation over 32 examples. Adam has β₁ = 0.
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from gan_jax import parallel
from gan_jax.conditioning import Label, is_condition
from gan_jax.networks import base
from gan_jax.networks.base import Form, grown
from gan_jax.networks.layers import Dtype, Embed, check_images
from gan_jax.networks.modulated import Conv, Dense, ModulatedConv, leaky_relu
from gan_jax.networks.resampling import filter_up
from gan_jax.resolutions import Resolution
from gan_jax.sections import number

DOUBLINGS = range(1, 16)


def _shape(resolution: Resolution, width: int, max_width: int) -> tuple[tuple[int, int], list[int]]:
    """The grid, and channel counts from there up to the full resolution."""
    start, doublings = grown("a StyleGAN2 is", resolution, DOUBLINGS)
    return start, [min(width << i, max_width) for i in reversed(range(doublings + 1))]


def _normalize(x: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """To a second moment of 1 over the features."""
    return x * lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)


class Mapping(nn.Module):
    """Latents [B, z], labels [B] (or conditions [B, num_classes]) or both to styles [B, features],
    in float32."""

    features: int
    depth: int
    num_classes: int | None = None

    @nn.compact
    def __call__(self, z: Float[Array, "b z"] | None, label: Label | None) -> Float[Array, "b s"]:
        inputs = [] if z is None else [_normalize(z.astype(jnp.float32))]
        if self.num_classes is not None:
            inputs.append(_normalize(self._embedding(label)))
        x = jnp.concatenate(inputs, axis=-1)
        for i in range(self.depth):
            x = leaky_relu(Dense(self.features, lr_multiplier=0.01, name=f"dense_{i}")(x))
        return x

    def _embedding(self, label: Label | None) -> Float[Array, "b s"]:
        classes = self.num_classes or 0
        of_label = Embed(classes, self.features, name="label")(label) / math.sqrt(classes)
        # The length of a multiple of one vector would be lost to the normalization, so that of
        # conditions the bias is no zero from the start.
        conditions = label is not None and is_condition(label)
        init = nn.initializers.normal(1.0) if conditions else nn.initializers.zeros
        return of_label + self.param("label_bias", init, (self.features,), jnp.float32)


class Generator(nn.Module):
    """Latents [B, latent_dim] to images [B, height, width, channels], not bounded.

    A mapping network turns latents into styles w, one for each of the `layers`; these modulate the
    convolutions that grow a learned constant, of 4×4 for square images of 8, 16, 32, … pixels, and
    of 6×8 for 48×64. Every resolution adds to the image.

    Raises:
        ValueError: a resolution that no grid doubles to, a mapping without layers, or a
            style mixing that is not a probability.
    """

    resolution: Resolution = 32
    channels: int = 3
    width: int = 64
    max_width: int = 512
    style_dim: int = 512
    mapping_depth: int = 8
    style_mixing: float = 0.0
    """How often the last layers of an example take the style of another latent, from a layer on
    that is drawn uniformly (Karras et al., "A Style-Based Generator Architecture for Generative
    Adversarial Networks", 2019, §3.1: 0.9). In training only, and only with a key. (In the
    published code all examples that a device takes at a time change styles at one layer.)"""
    num_classes: int | None = None
    dtype: Dtype = jnp.float32

    @property
    def layers(self) -> int:
        """How many styles an example has: one for each convolution, and one for the last image.
        Earlier images share theirs with the next convolution."""
        _, widths = _shape(self.resolution, self.width, self.max_width)
        return 2 * len(widths)

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        label: Label | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
        key: Key[Array, ""] | None = None,
        truncation: float | Float[Array, ""] = 1.0,
        style_offset: Float[Array, "b s"] | Float[Array, "b l s"] | None = None,
    ) -> Float[Array, "b h w c"]:
        """
        Args:
            train: Update the running mean of w, in the collection "style". (In `gan_jax.steps` only
                the generator's own updates do; in the published code also those of the
                discriminator, so that its mean is a little younger.)
            key: Of the noise, one field for each example and layer. Without it, all examples have
                the same, always: so samples and scores are made here, so that a latent is one
                image. (Published scores are of images with noise of their own.)
            truncation: Draws styles towards their running mean, all the way at 0: less variety of
                higher quality. Not for training.
            style_offset: Added to w, of all layers [B, style_dim] or each [B, layers, style_dim].
                The gradient at 0 is what the path-length penalty is about.
        """
        start, widths = _shape(self.resolution, self.width, self.max_width)
        if self.mapping_depth < 1:
            raise ValueError(f"a mapping has at least 1 layer, not {self.mapping_depth}")
        if not 0 <= self.style_mixing <= 1:
            raise ValueError(f"style mixing happens with a probability, not {self.style_mixing}")

        w = self._styles(z, label, train, axis_name, key, truncation)
        if style_offset is not None:
            w = w + style_offset.reshape(len(z), -1, self.style_dim)

        def convolve(x, i, width, up=False):
            x = ModulatedConv(width, up=up, dtype=self.dtype, name=f"conv_{i}")(x, w[:, i])
            strength = self.param(f"noise_{i}", nn.initializers.zeros, (), jnp.float32)
            noise = strength * _noise(key, i, (*x.shape[1:3], 1), len(z), axis_name)
            return leaky_relu(x + noise.astype(self.dtype))

        def rgb(x, i):
            to_rgb = ModulatedConv(
                self.channels, size=1, demodulate=False, dtype=self.dtype, name=f"rgb_{i}"
            )
            return to_rgb(x, w[:, 2 * i + 1]).astype(jnp.float32)

        constant = self.param(
            "constant", nn.initializers.normal(1.0), (*start, widths[0]), jnp.float32
        )
        x = jnp.broadcast_to(constant, (len(z), *constant.shape))
        x = convolve(x, 0, widths[0])
        image = rgb(x, 0)
        for i, width in enumerate(widths[1:], start=1):
            x = convolve(x, 2 * i - 1, width, up=True)
            x = convolve(x, 2 * i, width)
            image = filter_up(image) + rgb(x, i)
        return image

    def _styles(self, z, label, train, axis_name, key, truncation) -> Float[Array, "b l s"]:
        """Of every layer, mixed and truncated."""
        mapping = Mapping(self.style_dim, self.mapping_depth, self.num_classes, name="mapping")
        w = mapping(z, label)
        mean = self.variable("style", "mean", jnp.zeros, (self.style_dim,))
        if train and not self.is_initializing():
            batch_mean = parallel.mean(jnp.mean(lax.stop_gradient(w), axis=0), axis_name)
            mean.value = batch_mean + _MEAN_DECAY * (mean.value - batch_mean)

        styles = jnp.broadcast_to(w[:, None], (len(w), self.layers, self.style_dim))
        if train and key is not None and self.style_mixing > 0:

            def draw(key):
                z_key, use_key, layer_key = jax.random.split(key, 3)
                crossover = jax.random.randint(layer_key, (), 1, self.layers)
                used = jax.random.uniform(use_key) < self.style_mixing
                other = jax.random.normal(z_key, z.shape[1:])
                return other, jnp.where(used, crossover, self.layers)

            mixing_key = jax.random.fold_in(key, self.layers)  # after the keys of the noise
            other, crossover = parallel.per_example(draw, mixing_key, len(z), axis_name)
            first = jnp.arange(self.layers) < crossover[:, None]
            styles = jnp.where(first[..., None], styles, mapping(other, label)[:, None])
        return truncation * styles + (1 - truncation) * mean.value


_MEAN_DECAY = 0.995


def _noise(
    key: Key[Array, ""] | None, layer: int, shape: tuple[int, ...], n: int, axis_name: str | None
) -> Float[Array, "n h w 1"]:
    if key is None:
        return jax.random.normal(jax.random.key(layer), (1, *shape))
    layer_key = jax.random.fold_in(key, layer)
    return parallel.per_example(lambda k: jax.random.normal(k, shape), layer_key, n, axis_name)


class Discriminator(nn.Module):
    """Images [B, height, width, channels] to logits [B].

    An example's logit depends on others too: on the standard deviation over groups of
    `minibatch_std` neighbours (of the largest divisor of the batch up to that), which should be all
    real or all generated. N devices equal one where each holds whole groups. Gradient penalties are
    of the sum of logits, as in the papers.

    With labels, the logit is the product of the features with an embedding of the label.

    Raises:
        ValueError: a resolution that no grid doubles to, images of another resolution, or
            groups of less than 1 example.
    """

    resolution: Resolution = 32
    width: int = 64
    max_width: int = 512
    residual: bool = True
    minibatch_std: int = 4
    num_classes: int | None = None
    dtype: Dtype = jnp.float32
    """Above the grid; what remains is computed in float32."""

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        label: Label | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, " b"]:
        _, widths = _shape(self.resolution, self.width, self.max_width)
        check_images(x, self.resolution)
        if self.minibatch_std < 1:
            raise ValueError(f"groups have at least 1 example, not {self.minibatch_std}")

        x = leaky_relu(Conv(widths[-1], size=1, dtype=self.dtype, name="rgb")(x))
        for i in reversed(range(1, len(widths))):
            shortcut = Conv(
                widths[i - 1], size=1, down=True, use_bias=False, dtype=self.dtype, name=f"skip_{i}"
            )
            y = leaky_relu(Conv(widths[i], dtype=self.dtype, name=f"conv_{i}")(x))
            y = Conv(widths[i - 1], down=True, dtype=self.dtype, name=f"down_{i}")(y)
            y = leaky_relu(y)
            x = (y + shortcut(x)) / math.sqrt(2) if self.residual else y

        x = _append_std(x.astype(jnp.float32), self.minibatch_std)
        x = leaky_relu(Conv(widths[0], name="conv_0")(x))
        x = leaky_relu(Dense(widths[0], name="dense")(x.reshape(len(x), -1)))
        if self.num_classes is None:
            return Dense(1, name="logit")(x)[:, 0]
        mapping = Mapping(widths[0], depth=8, num_classes=self.num_classes, name="mapping")
        features = Dense(widths[0], name="logit")(x)
        return jnp.sum(features * mapping(None, label), axis=-1) / math.sqrt(widths[0])


def _append_std(x: Float[Array, "n h w c"], group: int) -> Float[Array, "n h w c+1"]:
    """A channel more: over a group of neighbours, the standard deviation of each feature at each
    pixel, averaged over these (Karras et al., "Progressive Growing of GANs", 2018, §3)."""
    n, h, w, _ = x.shape
    size = max(m for m in range(1, group + 1) if n % m == 0)
    variance = jnp.var(x.reshape(n // size, size, -1), axis=1)
    std = jnp.mean(jnp.sqrt(variance + 1e-8), axis=-1)
    channel = jnp.broadcast_to(jnp.repeat(std, size)[:, None, None, None], (n, h, w, 1))
    return jnp.concatenate([x, channel], axis=-1)


@dataclasses.dataclass(frozen=True)
class GeneratorSection(base.GeneratorSection, kind="stylegan2"):
    """Of StyleGAN2. Its styles have as many features as there are latents."""

    truncates = True
    doublings = DOUBLINGS

    width: int = number(64, least=1)
    """Channels at the full resolution, doubling towards the grid."""
    max_width: int = number(512, least=1)
    """Channels at most."""
    depth: int = number(3, least=0)
    """Layers of the mapping network."""
    style_mixing: float = number(0.0, least=0, most=1)
    """Probability that an image takes its finer styles from a second latent."""

    def build(self, form: Form) -> nn.Module:
        return self._module(form)

    def style_shape(self, form: Form) -> tuple[int, ...]:
        module = self._module(form)
        return module.layers, module.style_dim

    def _module(self, form: Form) -> Generator:
        return Generator(
            form.resolution,
            form.channels,
            self.width,
            max_width=self.max_width,
            mapping_depth=self.depth,
            style_dim=form.latent_dim,
            style_mixing=self.style_mixing,
            **self.options(form),
        )


@dataclasses.dataclass(frozen=True)
class DiscriminatorSection(base.DiscriminatorSection, kind="stylegan2"):
    """Of StyleGAN2."""

    compares = True
    doublings = DOUBLINGS

    width: int = number(64, least=1)
    """Channels at the full resolution, doubling towards the grid."""
    max_width: int = number(512, least=1)
    """Channels at most."""
    residual: bool = True
    """Residual blocks."""
    minibatch_std: int = number(4, least=1)
    """Examples that are compared with each other."""

    def build(self, form: Form) -> nn.Module:
        return Discriminator(
            form.resolution,
            self.width,
            max_width=self.max_width,
            residual=self.residual,
            minibatch_std=self.minibatch_std,
            **self.options(form),
        )
