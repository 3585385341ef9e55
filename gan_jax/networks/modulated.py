"""Layers of StyleGAN2: equalised learning rate, modulated convolution, filtered resampling.

Weights are stored as draws from N(0, 1) and scaled by 1/√(inputs of an output) when used, so that
Adam's steps are of one relative size everywhere (Karras et al., "Progressive Growing of GANs",
2018, §4.1).

A convolution that also resamples smooths with the binomial filter [1, 3, 3, 1], on the side of the
higher resolution. There its products are at the lower resolution, of every pixel with every tap of
the kernel: one matrix product, whose results are spread (up) or whose operands are gathered (down)
by sums of shifted views. That is fast everywhere, and so is every derivative.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.networks.layers import Dtype, conv_pointwise, conv_same
from gan_jax.networks.resampling import filter_down, shift


def leaky_relu(x: Array) -> Array:
    """Slope 0.2 below zero, times √2, which keeps the second moment of a normal variable nearly."""
    return math.sqrt(2) * nn.leaky_relu(x, 0.2)


def _weight(layer: nn.Module, shape: tuple[int, ...], lr_multiplier: float = 1.0) -> Array:
    """The layer's kernel [..., out]; a multiplier scales all that training does to it."""
    init = nn.initializers.normal(1 / lr_multiplier)
    kernel = layer.param("kernel", init, shape, jnp.float32)
    return kernel * (lr_multiplier / math.sqrt(math.prod(shape[:-1])))


class Dense(nn.Module):
    """A linear map of the last axis, in float32."""

    features: int
    lr_multiplier: float = 1.0
    bias: float = 0.0
    """Its initial value."""

    @nn.compact
    def __call__(self, x: Float[Array, "n c"]) -> Float[Array, "n f"]:
        kernel = _weight(self, (x.shape[-1], self.features), self.lr_multiplier)
        init = nn.initializers.constant(self.bias)
        bias = self.param("bias", init, (self.features,), jnp.float32)
        return x @ kernel + bias * self.lr_multiplier


class Conv(nn.Module):
    """A convolution of size 1 or 3; to half the resolution if `down`."""

    features: int
    size: int = 3
    down: bool = False
    use_bias: bool = True
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h_out w_out f"]:
        kernel = _weight(self, (self.size, self.size, x.shape[-1], self.features))
        convolve = conv_filter_down if self.down else _convolve
        x = convolve(x.astype(self.dtype), kernel.astype(self.dtype))
        if not self.use_bias:
            return x
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return x + bias.astype(self.dtype)


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by an affine function of a style [n, s].

    Demodulation divides each output channel by the standard deviation it would have if the inputs
    were independent and of unit variance, so that styles act on one layer only. Scaling the
    images before and after does the same as scaling every example's own kernel.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, §2.2.
    """

    features: int
    size: int = 3
    up: bool = False
    demodulate: bool = True
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w c"], style: Float[Array, "n s"]
    ) -> Float[Array, "n h_out w_out f"]:
        scales = Dense(x.shape[-1], bias=1.0, name="affine")(style)
        kernel = _weight(self, (self.size, self.size, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        convolve = conv_filter_up if self.up else _convolve
        x = x.astype(self.dtype) * scales[:, None, None].astype(self.dtype)
        x = convolve(x, kernel.astype(self.dtype))
        if self.demodulate:
            variances = jnp.square(scales) @ jnp.sum(jnp.square(kernel), axis=(0, 1))
            x = x * lax.rsqrt(variances + 1e-8)[:, None, None].astype(self.dtype)
        return x + bias.astype(self.dtype)


def _convolve(x: Array, kernel: Array) -> Array:
    return (conv_pointwise if len(kernel) == 1 else conv_same)(x, kernel)


def conv_filter_up(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "3 3 c_in c_out"]
) -> Float[Array, "n 2*h 2*w c_out"]:
    """Transposed 3×3 convolution with stride 2, smoothed by [1, 3, 3, 1] / 4 along both axes.

    Along an axis, the former gives t[2m + a] = Σ x[m]·kernel[a], of 2h + 1 pixels; and pixel `i` of
    the result is (t[i − 1] + 3·t[i] + 3·t[i + 1] + t[i + 2]) / 4.
    """
    c_in, c_out = kernel.shape[2:]
    taps = x.reshape(-1, c_in) @ kernel.transpose(2, 0, 1, 3).reshape(c_in, 9 * c_out)
    taps = taps.reshape(*x.shape[:3], 3, 3, c_out)
    return _spread(_spread(taps, 2), 1)


def conv_filter_down(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "size size c_in c_out"]
) -> Float[Array, "n h//2 w//2 c_out"]:
    """Smoothed by [1, 3, 3, 1] / 8 along both axes, then convolved with stride 2, by size 1 or 3.

    Along an axis of a 3×3 convolution, the former gives the h + 1 pixels
    b[i] = (x[i − 2] + 3·x[i − 1] + 3·x[i] + x[i + 1]) / 8; and pixel `m` of the result is
    Σ b[2m + a]·kernel[a]. It is the transpose of `conv_filter_up` but for a factor of 4. A 1×1
    convolution sees the pixels that the middle tap of a 3×3 one does.
    """
    size, _, c_in, c_out = kernel.shape
    if size == 1:
        return conv_pointwise(filter_down(x), kernel)
    taps = _gather(_gather(x, 1), 2)
    return taps.reshape(*taps.shape[:3], 9 * c_in) @ kernel.reshape(9 * c_in, c_out)


def _spread(taps: Float[Array, "... 3 c"], axis: int) -> Float[Array, "... c"]:
    """`conv_filter_up` along an axis, from the products of each pixel with the taps."""
    first, middle, last = jnp.unstack(taps, axis=-2)
    even = first + shift(last, 1, axis)  # t[2i], and t[2i + 2]:
    next_even = shift(first, -1, axis) + last
    pixels = [
        0.75 * (even + middle) + 0.25 * (shift(middle, 1, axis) + next_even),
        0.75 * (middle + next_even) + 0.25 * (even + shift(middle, -1, axis)),
    ]
    shape = list(middle.shape)
    shape[axis] *= 2
    return jnp.stack(pixels, axis + 1).reshape(shape)


def _gather(x: Float[Array, "... c"], axis: int) -> Float[Array, "... 3 c"]:
    """What the taps of each pixel see in `conv_filter_down` along an axis."""
    pairs = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
    even, odd = jnp.unstack(pairs, axis=axis + 1)
    last_odd, next_even = shift(odd, 1, axis), shift(even, -1, axis)
    taps = [
        0.375 * (last_odd + even) + 0.125 * (shift(even, 1, axis) + odd),
        0.375 * (even + odd) + 0.125 * (last_odd + next_even),
        0.375 * (odd + next_even) + 0.125 * (even + shift(odd, -1, axis)),
    ]
    return jnp.stack(taps, -2)
