"""Residual networks for the benchmark, from this project's layers: after SNGAN, and after R3GAN."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from gan_jax.networks.layers import Conv, Dense, Dtype, batch_norm

_HE = nn.initializers.he_normal()
GROUP_WIDTH = 16


def _upsample(x: Array) -> Array:
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def _downsample(x: Array) -> Array:
    return sum(x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4


class _ResidualUp(nn.Module):
    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Array, train: bool, axis_name: str | None) -> Array:
        options = {"kernel_init": _HE, "dtype": self.dtype}

        def activation(x, i):
            return nn.relu(batch_norm(train, axis_name, self.dtype, name=f"norm_{i}")(x))

        h = Conv(self.width, **options)(_upsample(activation(x, 0)))
        h = Conv(self.width, **options)(activation(h, 1))
        return h + _upsample(Conv(self.width, size=1, **options)(x))


class ResNetGenerator(nn.Module):
    """Miyato et al., "Spectral Normalization for GANs", 2018, table 4, at another width."""

    resolution: int
    width: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z, label=None, *, train=False, axis_name=None):
        x = Dense(16 * self.width, kernel_init=_HE, dtype=self.dtype)(z)
        x = x.reshape(-1, 4, 4, self.width)
        for _ in range(self.resolution.bit_length() - 3):
            x = _ResidualUp(self.width, self.dtype)(x, train, axis_name)
        x = nn.relu(batch_norm(train, axis_name, self.dtype, name="norm")(x))
        return jnp.tanh(Conv(3, kernel_init=_HE, dtype=self.dtype)(x).astype(jnp.float32))


class _ResidualDown(nn.Module):
    width: int
    first: bool
    down: bool
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        options = {"spectral": True, "kernel_init": _HE, "dtype": self.dtype}
        h = x if self.first else nn.relu(x)
        h = nn.relu(Conv(self.width, **options)(h, train))
        h = Conv(self.width, **options)(h, train)
        if not self.down:
            return h + x
        # Averaging and a 1×1 convolution commute: the cheaper order.
        return _downsample(h) + Conv(self.width, size=1, **options)(_downsample(x), train)


class ResNetDiscriminator(nn.Module):
    """Miyato et al., "Spectral Normalization for GANs", 2018, table 4, at another width."""

    resolution: int
    width: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x, label=None, *, train=False, axis_name=None):
        for i in range(4):
            x = _ResidualDown(self.width, first=i == 0, down=i < 2, dtype=self.dtype)(x, train)
        x = jnp.sum(nn.relu(x), axis=(1, 2))
        logits = Dense(1, spectral=True, kernel_init=_HE, dtype=self.dtype)(x, train)
        return logits[:, 0].astype(jnp.float32)


class _GroupedBlock(nn.Module):
    """1×1 to twice the width, grouped 3×3, 1×1 back; biases before the activations."""

    width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        inner = 2 * self.width
        options = {"kernel_init": _HE, "dtype": self.dtype}
        h = nn.leaky_relu(Conv(inner, size=1, **options)(x), 0.2)
        h = nn.leaky_relu(Conv(inner, groups=inner // GROUP_WIDTH, **options)(h), 0.2)
        return x + Conv(self.width, size=1, use_bias=False, **options)(h)


class R3GANGenerator(nn.Module):
    """Two grouped blocks a resolution, after Huang et al., "The GAN is dead; long live the GAN!",
    2024, with nearest neighbours in place of filters."""

    resolution: int
    width: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z, label=None, *, train=False, axis_name=None):
        x = Dense(16 * self.width, kernel_init=_HE, dtype=self.dtype)(z)
        x = x.reshape(-1, 4, 4, self.width)
        for i in range(self.resolution.bit_length() - 2):
            x = _upsample(x) if i else x
            for _ in range(2):
                x = _GroupedBlock(self.width, self.dtype)(x)
        return Conv(3, size=1, kernel_init=_HE, dtype=self.dtype)(x).astype(jnp.float32)


class R3GANDiscriminator(nn.Module):
    """The mirror image of the generator."""

    resolution: int
    width: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x, label=None, *, train=False, axis_name=None):
        x = Conv(self.width, size=1, kernel_init=_HE, dtype=self.dtype)(x)
        for i in range(self.resolution.bit_length() - 2):
            x = _downsample(x) if i else x
            for _ in range(2):
                x = _GroupedBlock(self.width, self.dtype)(x)
        x = x.reshape(len(x), -1)
        return Dense(1, kernel_init=_HE, dtype=self.dtype)(x)[:, 0].astype(jnp.float32)
