"""Layers that the networks share, in forms that are fast where they run.

XLA's CPU backend has one fast way to convolve. It takes NHWC inputs and HWIO kernels that are not
larger, and no dilation; but the gradients of convolutions are not of that kind, and inside control
flow they run 50 to 90 times slower. The canonical forms below are made of fast convolutions and
matrix products only, at every order of differentiation, and are what is used on CPU. Other backends
use XLA's own convolutions, dilation, groups and all. Both give the same numbers to rounding, from
the same parameters.

Kernels are `[height, width, in, out]`. Parameters are float32; `dtype` is what a layer computes in.
"""

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.conditioning import Label, is_condition
from gan_jax.resolutions import Resolution, in_words, sides
from gan_jax.state import SPECTRAL

Dtype = Any
Initializer = Callable[..., Array]
Images = Float[Array, "n h w c_in"]
Padding = Literal["zeros", "reflect"]


def canonical_form() -> bool:
    """Whether convolutions take the canonical form: the one place where this is chosen."""
    return jax.default_backend() == "cpu"


def _family(forward: Callable, transpose: Callable, kernel_gradient: Callable) -> tuple:
    """A convolution as a differentiable function, and its transpose as another.

    A convolution y = forward(x, k) is linear in the image x and in the kernel k, so that
    ⟨forward(x, k), y⟩ is linear in all three. Its gradients are x̄ = transpose(y, k) and
    k̄ = kernel_gradient(x, y), and theirs are the other two again: given these three, every
    derivative of any order is one of them. None has a forward-mode derivative.
    """

    def differentiable(function, gradients):
        function = jax.custom_vjp(function)

        def keeping_operands(*operands):
            operands = [jnp.asarray(x) for x in operands]  # outside of `jit` they may be NumPy's
            return function(*operands), operands

        function.defvjp(
            keeping_operands, lambda operands, cotangent: gradients(*operands, cotangent)
        )
        return function

    forward_ = differentiable(forward, lambda x, k, y: (transpose_(y, k), kernel_gradient_(x, y)))
    transpose_ = differentiable(transpose, lambda y, k, x: (forward_(x, k), kernel_gradient_(x, y)))
    kernel_gradient_ = differentiable(
        kernel_gradient, lambda x, y, k: (transpose_(y, k), forward_(x, k))
    )
    return forward_, transpose_


def _convolve(
    x: Array,
    kernel: Array,
    *padding: tuple[int, int],
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        lhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


# 3×3, stride 1, padding 1. Its transpose is a convolution with the kernel turned around.


def _same(x: Array, kernel: Array) -> Array:
    return _convolve(x, kernel, (1, 1), (1, 1))


def _same_transpose(y: Array, kernel: Array) -> Array:
    return _same(y, jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2))


def _same_kernel_gradient(x: Array, y: Array) -> Array:
    return _kernel_gradient(x, y, 1)


def _kernel_gradient(x: Array, y: Array, padding: int) -> Array:
    """Of a convolution of stride 1: a convolution of images whose channels are the examples, with
    `y` as its kernel; a few examples at a time, since it slows down where its sums are long."""
    n, edges = len(x), (padding, padding)
    height, width = (x.shape[i] + 2 * padding - y.shape[i] + 1 for i in (1, 2))
    few = max(m for m in range(1, _FEW + 1) if n % m == 0)
    xs, ys = (a.reshape(n // few, few, *a.shape[1:]) for a in (x, y))

    def add(i, total):
        x, y = lax.optimization_barrier((xs[i], ys[i]))  # more fused in makes transposing slow
        part = _convolve(x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3), edges, edges)
        return total + part

    shape = (x.shape[-1], height, width, y.shape[-1])
    # Under shard_map they have to differ between devices if what is added does.
    zeros = sum(jnp.zeros_like(a, jnp.float32, shape=shape) for a in (x, y))
    return lax.fori_loop(0, n // few, add, zeros).transpose(1, 2, 0, 3).astype(y.dtype)


_FEW = 16  # measured


# Any size, stride 1, no padding. The transpose pads the other way around.


def _valid(x: Array, kernel: Array) -> Array:
    return _convolve(x, kernel, (0, 0), (0, 0))


def _valid_transpose(y: Array, kernel: Array) -> Array:
    height, width = (size - 1 for size in kernel.shape[:2])
    y = jnp.pad(y, ((0, 0), (height, height), (width, width), (0, 0)))
    return _valid(y, jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2))


def _valid_kernel_gradient(x: Array, y: Array) -> Array:
    return _kernel_gradient(x, y, 0)


# 4×4, stride 2, padding 1.


def _down(x: Array, kernel: Array) -> Array:
    return _convolve(x, kernel, (1, 1), (1, 1), stride=2)


def _down_transpose(y: Array, kernel: Array) -> Array:
    """Along each axis, even pixels 2i of the result see y[i−1], y[i] through taps 3, 1 of the
    kernel, and odd ones 2i+1 see y[i], y[i+1] through taps 2, 0: four 2×2 convolutions."""
    n, h, w, c = y.shape
    phases = jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2).reshape(2, 2, 2, 2, c, -1)
    if phases.shape[-1] < 16:  # too few for a convolution of their own
        together = phases.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c, -1)
        x = _convolve(y, together, (1, 1), (1, 1)).reshape(n, h + 1, w + 1, 2, 2, -1)
        quarters = [[x[:, i : i + h, j : j + w, i, j] for j in (0, 1)] for i in (0, 1)]
    else:
        padding = ((1, 0), (0, 1))
        quarters = [
            [_convolve(y, phases[:, i, :, j], padding[i], padding[j]) for j in (0, 1)]
            for i in (0, 1)
        ]
    rows = [jnp.stack(row, axis=3) for row in quarters]
    return jnp.stack(rows, axis=2).reshape(n, 2 * h, 2 * w, -1)


def _down_kernel_gradient(x: Array, y: Array) -> Array:
    """Blocks of 2×2 pixels become channels; a 4×4 window of pixels is then a 2×2 window of blocks,
    and the gradient a matrix product for each of its taps."""
    n, h, w, c = y.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = x.reshape(n, h + 1, 2, w + 1, 2, -1).transpose(0, 1, 3, 2, 4, 5)
    blocks, rows = lax.optimization_barrier((x.reshape(n, h + 1, w + 1, -1), y.reshape(-1, c)))
    taps = [blocks[:, i : i + h, j : j + w].reshape(n * h * w, -1) for i in (0, 1) for j in (0, 1)]
    if blocks.shape[-1] < 64:
        products = jnp.stack([tap.T @ rows for tap in taps])
    else:
        # The other way around they are faster, as long as XLA does not turn them back.
        columns = lax.optimization_barrier(rows.T)
        products = lax.optimization_barrier(jnp.stack([columns @ tap for tap in taps]))
        products = products.transpose(0, 2, 1)
    products = products.reshape(2, 2, 2, 2, -1, c)
    return products.transpose(0, 2, 1, 3, 4, 5).reshape(4, 4, -1, c)


_same_canonical, _ = _family(_same, _same_transpose, _same_kernel_gradient)
_valid_canonical, _ = _family(_valid, _valid_transpose, _valid_kernel_gradient)
_down_canonical, _up_canonical = _family(_down, _down_transpose, _down_kernel_gradient)


def conv_same(x: Images, kernel: Float[Array, "3 3 c_in c_out"]) -> Float[Array, "n h w c_out"]:
    """3×3, stride 1, padding 1: keeps the resolution."""
    return (_same_canonical if canonical_form() else _same)(x, kernel)


def conv_valid(
    x: Images, kernel: Float[Array, "k l c_in c_out"]
) -> Float[Array, "n h_out w_out c_out"]:
    """Of any size, stride 1, without padding: loses a pixel less than its size along each axis."""
    return (_valid_canonical if canonical_form() else _valid)(x, kernel)


def conv_pointwise(
    x: Images, kernel: Float[Array, "1 1 c_in c_out"]
) -> Float[Array, "n h w c_out"]:
    """1×1: one matrix product, whose gradients are matrix products too."""
    return (x.reshape(-1, x.shape[-1]) @ kernel[0, 0]).reshape(*x.shape[:-1], -1)


def conv_grouped(
    x: Images, kernel: Float[Array, "3 3 c_in_of_group c_out"], groups: int
) -> Float[Array, "n h w c_out"]:
    """3×3, stride 1, padding 1, in groups: each sees its own input channels only, in their order.

    In the canonical form, neighbouring groups become one convolution with a block-diagonal kernel:
    more arithmetic, but of a kind that is fast.
    """
    if not canonical_form():
        return _convolve(x, kernel, (1, 1), (1, 1), groups=groups)
    inputs, outputs = kernel.shape[2], kernel.shape[3] // groups
    divisors = [m for m in range(1, groups + 1) if groups % m == 0]
    together = next((m for m in divisors if m * inputs >= 32), groups)  # measured
    blocks = kernel.reshape(3, 3, inputs, groups // together, together, outputs)
    diagonal = jnp.eye(together, dtype=kernel.dtype)
    kernels = jnp.einsum("hwisjo,jk->shwkijo", blocks, diagonal)
    kernels = kernels.reshape(-1, 3, 3, together * inputs, together * outputs)
    parts = jnp.split(x, groups // together, axis=-1)
    return jnp.concatenate(
        [_same_canonical(part, k) for part, k in zip(parts, kernels, strict=True)], axis=-1
    )


def conv_down(
    x: Images, kernel: Float[Array, "4 4 c_in c_out"]
) -> Float[Array, "n h//2 w//2 c_out"]:
    """4×4, stride 2, padding 1: halves an even resolution."""
    return (_down_canonical if canonical_form() else _down)(x, kernel)


def conv_up(x: Images, kernel: Float[Array, "4 4 c_in c_out"]) -> Float[Array, "n 2*h 2*w c_out"]:
    """Transposed 4×4, stride 2, padding 1: doubles the resolution.

    Output pixel `o` sums `x[m] · kernel[o + 1 − 2m]` over the input pixels `m` in reach.
    """
    if canonical_form():
        return _up_canonical(x, kernel.transpose(0, 1, 3, 2))
    return _convolve(x, jnp.flip(kernel, (0, 1)), (2, 2), (2, 2), dilation=2)


def pad(x: Images, pixels: int, mode: Padding) -> Float[Array, "n h+2*{pixels} w+2*{pixels} c_in"]:
    """Images with so many pixels more on every side: zeros, or what a mirror at the outermost
    pixels shows."""
    edges = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    return jnp.pad(x, edges, mode=_PADDING[mode])


_PADDING = {"zeros": "constant", "reflect": "reflect"}


def conv_stride(
    x: Images, kernel: Float[Array, "3 3 c_in c_out"]
) -> Float[Array, "n h//2 w//2 c_out"]:
    """3×3, stride 2, padding 1: halves an even resolution. In the canonical form it is the 4×4 one,
    whose fourth row and column are zeros."""
    if canonical_form():
        return _down_canonical(x, _with_zeros(kernel))
    return _convolve(x, kernel, (1, 0), (1, 0), stride=2)


def conv_transpose(
    x: Images, kernel: Float[Array, "3 3 c_in c_out"]
) -> Float[Array, "n 2*h 2*w c_out"]:
    """Transposed 3×3, stride 2, padding 1, and one pixel more at the bottom and the right, so that
    the resolution doubles."""
    if canonical_form():
        return _up_canonical(x, _with_zeros(kernel).transpose(0, 1, 3, 2))
    return _convolve(x, jnp.flip(kernel, (0, 1)), (1, 2), (1, 2), dilation=2)


def _with_zeros(kernel: Float[Array, "3 3 c_in c_out"]) -> Float[Array, "4 4 c_in c_out"]:
    return jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))


_RESAMPLING = {
    ("down", 4): conv_down, ("up", 4): conv_up,
    ("stride", 3): conv_stride, ("transpose", 3): conv_transpose,
}  # fmt: skip
_SIZES = {
    "same": (1, 3, 4, 5, 7, 9), "down": (3, 4), "up": (3, 4), "stride": (3,), "transpose": (3,)
}  # fmt: skip


def _resampling_kernel(
    kernel: Float[Array, "3 3 c_in c_out"], resample: str
) -> Float[Array, "4 4 c_in c_out"]:
    """The kernel by which `conv_down` does what a 3×3 convolution and then the means of 2×2 pixels
    do, or `conv_up` what every pixel four times and then a 3×3 convolution do: the sum of the
    kernel's shifts by a pixel, with less than half of the arithmetic."""
    kernel = kernel / 4 if resample == "down" else jnp.flip(kernel, (0, 1))
    shifts = [((i, 1 - i), (j, 1 - j), (0, 0), (0, 0)) for i in (0, 1) for j in (0, 1)]
    total: Any = sum(jnp.pad(kernel, shift) for shift in shifts)
    return total


class Conv(nn.Module):
    """A convolution with bias: 1×1, 3×3 and larger at the `same` resolution, 3×3 in groups if
    wanted; 4×4 `down` or `up` by two; 3×3 followed by the means of 2×2 pixels (`down`), or preceded
    by nearest neighbours (`up`: resize-convolution, Odena et al., "Deconvolution and Checkerboard
    Artifacts", 2016); or 3×3 of `stride` 2, or its `transpose`.

    A 4×4 convolution of stride 1 has padding 1, and so loses a pixel along each axis.

    Raises:
        ValueError: a size or resampling that it does not have, or groups that do not divide the
            channels.
    """

    features: int
    resample: str = "same"
    size: int | None = None
    """Of the kernel. By default 3, or 4 for `down` and `up`."""
    padding: Padding = "zeros"
    """What lies outside an image, at the same resolution: zeros, or what a mirror shows."""
    groups: int = 1
    spectral: bool = False
    kernel_init: Initializer = nn.initializers.normal(0.02)
    use_bias: bool = True
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Images, train: bool = False) -> Float[Array, "n h_out w_out c_out"]:
        size = self.size or (4 if self.resample in ("down", "up") else 3)
        if size not in _SIZES.get(self.resample, ()):
            raise ValueError(f"no {size}×{size} convolution {self.resample!r}")
        if self.padding != "zeros" and self.resample != "same":
            raise ValueError("only convolutions at the same resolution have another padding")
        if self.groups > 1 and (size, self.resample, self.padding) != (3, "same", "zeros"):
            raise ValueError("only 3×3 convolutions at the same resolution come in groups")
        if x.shape[-1] % self.groups or self.features % self.groups:
            raise ValueError(
                f"{self.groups} groups do not divide {x.shape[-1]} or {self.features} channels"
            )
        shape = (size, size, x.shape[-1] // self.groups, self.features)
        kernel = _weight(self, "kernel", self.kernel_init, shape, self.spectral, train)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if self.resample in ("down", "up") and size == 3:
            y = _RESAMPLING[self.resample, 4](x, _resampling_kernel(kernel, self.resample))
        elif self.resample != "same":
            y = _RESAMPLING[self.resample, size](x, kernel)
        elif size == 1:
            y = conv_pointwise(x, kernel)
        elif self.groups > 1:
            y = conv_grouped(x, kernel, self.groups)
        elif size == 3 and self.padding == "zeros":
            y = conv_same(x, kernel)
        else:
            y = conv_valid(pad(x, (size - 1) // 2, self.padding), kernel)
        return _add_bias(self, y)


class Dense(nn.Module):
    """A linear map of the last axis."""

    features: int
    spectral: bool = False
    kernel_init: Initializer = nn.initializers.normal(0.02)
    use_bias: bool = True
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "... c"], train: bool = False) -> Float[Array, "... f"]:
        shape = (x.shape[-1], self.features)
        kernel = _weight(self, "kernel", self.kernel_init, shape, self.spectral, train)
        return _add_bias(self, x.astype(self.dtype) @ kernel.astype(self.dtype))


class Embed(nn.Module):
    """A learned vector for each class; of conditions, the sum of these vectors weighted by the
    condition's numbers, of which there are then as many as classes otherwise.

    In a discriminator whose logit is the inner product of features and such a sum (Miyato and
    Koyama, "cGANs with Projection Discriminator", 2018), that is exact for conditions that are
    normal around a function of the example, or are its attributes, each yes (1) or no (0): of both,
    the logarithm of the ratio of two likelihoods is linear in the condition, as it is in the
    one-hot vector of a class.

    Raises:
        ValueError: there are no labels, or conditions of another size.
    """

    num_classes: int
    features: int
    spectral: bool = False
    embedding_init: Initializer = nn.initializers.normal(1.0)
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, label: Label | None, train: bool = False) -> Float[Array, "n f"]:
        if label is None:
            raise ValueError("a conditional network needs labels")
        shape = (self.num_classes, self.features)
        table = _weight(self, "embedding", self.embedding_init, shape, self.spectral, train)
        if is_condition(label):
            if label.shape[1:] != (self.num_classes,):
                given = f"{label.shape[1:]}".strip("(),")
                raise ValueError(f"conditions of {self.num_classes} numbers, not {given}")
            weights = label.astype(self.dtype)
        else:
            # A product, not a look-up: its gradient is a sum in a fixed order on every device.
            weights = jax.nn.one_hot(label, self.num_classes, dtype=self.dtype)
        return weights @ table.astype(self.dtype)


def batch_norm(
    train: bool, axis_name: str | None, dtype: Dtype, name: str, *, affine: bool = True
) -> nn.BatchNorm:
    """Batch norm over the global batch (Ioffe and Szegedy, 2015), with running averages for use
    outside training; not `affine`, without a gain and a bias of its own.

    The running variance averages the variances that batches are divided by: sums of squares over n,
    where PyTorch's averages those over n − 1. With the n = batch · height · width of images the two
    differ by less than a thousandth from 1,000 on.
    """
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        use_scale=affine,
        use_bias=affine,
        dtype=dtype,
        axis_name=axis_name,
        name=name,
    )


def instance_norm(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Every channel of every image brought to mean 0 and variance 1, without parameters.

    Source: Ulyanov, Vedaldi and Lempitsky, "Instance Normalization: The Missing Ingredient for Fast
    Stylization", 2016, eq. 4.
    """
    y = x.astype(jnp.float32)
    centered = y - jnp.mean(y, axis=(1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=(1, 2), keepdims=True)
    return (centered * lax.rsqrt(variance + 1e-5)).astype(x.dtype)


def check_images(x: Float[Array, "b h w c"], resolution: Resolution) -> None:
    """That images have this resolution.

    Raises:
        ValueError: they do not.
    """
    if x.shape[1:3] != sides(resolution):
        raise ValueError(
            f"a discriminator for {in_words(resolution)} pixels cannot judge images of "
            f"{x.shape[1]}×{x.shape[2]}"
        )


def _add_bias(layer: Any, y: Array) -> Array:
    if not layer.use_bias:
        return y
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,), jnp.float32)
    return y + bias.astype(y.dtype)


def _weight(
    layer: nn.Module,
    name: str,
    init: Initializer,
    shape: tuple[int, ...],
    spectral: bool,
    train: bool,
) -> Array:
    weight = layer.param(name, init, shape, jnp.float32)
    return _spectral_normalize(layer, weight, train) if spectral else weight


def _spectral_normalize(layer: nn.Module, weight: Array, train: bool) -> Array:
    """`weight` over its largest singular value σ, as a matrix with the outputs as columns.

    One step of power iteration in every training pass improves the singular vectors u and v, kept
    in the collection "spectral"; outside training they are used as they are. The gradient goes
    through σ = uᵀWv, not through u and v.

    Source: Miyato et al., "Spectral Normalization for GANs", 2018, algorithm 1.
    """
    matrix = weight.reshape(-1, weight.shape[-1])
    constant = lax.stop_gradient(matrix)

    def step(v):
        u = _normalize(constant @ v)
        return u, _normalize(u @ constant)

    def initial():
        v = _normalize(jax.random.normal(layer.make_rng("params"), (matrix.shape[1],)))
        return lax.fori_loop(0, 15, lambda _, uv: step(uv[1]), step(v))

    vectors = layer.variable(SPECTRAL, "uv", initial)
    if train and not layer.is_initializing():
        vectors.value = step(vectors.value[1])
    u, v = vectors.value
    return weight / (u @ matrix @ v)


def _normalize(vector: Float[Array, " n"]) -> Float[Array, " n"]:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)


def start_from(x: Float[Array, "b h w c"], channels: int) -> Float[Array, "b h w c_start"]:
    """What of an image a network's output can be added to, if that has so many channels: the first
    ones, or its only one, for all of them. In float32.

    Raises:
        ValueError: it has several channels, but fewer than that.
    """
    if x.shape[-1] != 1 and x.shape[-1] < channels:
        raise ValueError(
            f"images of {x.shape[-1]} channels are no start for ones of {channels}: take skip=False"
        )
    return x[..., :channels].astype(jnp.float32)
