"""Layers that the networks share, in forms that are fast where they run.

XLA's CPU backend has one fast convolution kernel. It takes stride 1, NHWC inputs and HWIO kernels;
gradients of convolutions and strided or transposed ones are rewritten into that form only outside
control flow, if at all, and otherwise run 50 to 90 times slower. `_canonical` is a convolution that
is in this form at every order of differentiation, and the layers below use nothing else on CPU. On
other backends they use XLA's own convolutions, strides and all. Both forms give the same numbers to
rounding, from the same parameters.

Kernels are `[height, width, in, out]`. Parameters are float32; `dtype` is what a layer computes in.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

Dtype = Any
Initializer = Callable[..., Array]
Images = Float[Array, "n h w c_in"]
Kernel = Float[Array, "kh kw c_in c_out"]

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def canonical_form() -> bool:
    """Whether convolutions take the canonical form: the one place where this is chosen."""
    return jax.default_backend() == "cpu"


@jax.custom_vjp
def _canonical(x: Images, kernel: Kernel) -> Float[Array, "n h-kh+1 w-kw+1 c_out"]:
    """Cross-correlation without padding or stride, canonical in value and in all derivatives.

    It has no forward-mode derivative.
    """
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=_DIMENSIONS)


def _canonical_fwd(x, kernel):
    return _canonical(x, kernel), (x, kernel)


def _canonical_bwd(residuals, cotangent):
    x, kernel = residuals
    kh, kw = kernel.shape[:2]
    # Padding is explicit: where the kernel outgrows its unpadded input, XLA takes the slow path.
    padded = _pad(cotangent, (kh - 1, kh - 1), (kw - 1, kw - 1))
    x_cotangent = _canonical(padded, jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2))
    kernel_cotangent = _canonical(x.transpose(3, 1, 2, 0), cotangent.transpose(1, 2, 0, 3))
    return x_cotangent, kernel_cotangent.transpose(1, 2, 0, 3)


_canonical.defvjp(_canonical_fwd, _canonical_bwd)


def _pad(x: Images, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
    return jnp.pad(x, ((0, 0), rows, columns, (0, 0)))


def conv_same(x: Images, kernel: Kernel) -> Float[Array, "n h w c_out"]:
    """Stride 1, odd kernel, zero padding that keeps the resolution."""
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    if canonical_form():
        return _canonical(_pad(x, (rows, rows), (columns, columns)), kernel)
    padding = ((rows, rows), (columns, columns))
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=_DIMENSIONS)


def conv_down(
    x: Images, kernel: Float[Array, "4 4 c_in c_out"]
) -> Float[Array, "n h//2 w//2 c_out"]:
    """4×4, stride 2, padding 1: halves an even resolution."""
    if not canonical_form():
        padding = ((1, 1), (1, 1))
        return lax.conv_general_dilated(x, kernel, (2, 2), padding, dimension_numbers=_DIMENSIONS)
    # Blocks of 2×2 pixels become channels; a 4×4 window of pixels is a 2×2 window of blocks.
    x = _pad(x, (1, 1), (1, 1))
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    kernel = kernel.reshape(2, 2, 2, 2, c, -1).transpose(0, 2, 1, 3, 4, 5)
    return _canonical(x.reshape(n, h // 2, w // 2, 4 * c), kernel.reshape(2, 2, 4 * c, -1))


def conv_up(x: Images, kernel: Float[Array, "4 4 c_in c_out"]) -> Float[Array, "n 2*h 2*w c_out"]:
    """Transposed 4×4, stride 2, padding 1: doubles the resolution.

    Output pixel `o` sums `x[m] · kernel[o + 1 − 2m]` over the input pixels `m` in reach.
    """
    if not canonical_form():
        return lax.conv_general_dilated(
            x,
            jnp.flip(kernel, (0, 1)),
            (1, 1),
            ((2, 2), (2, 2)),
            lhs_dilation=(2, 2),
            dimension_numbers=_DIMENSIONS,
        )
    # Along each axis, even output pixels 2i see x[i−1], x[i] through taps 3, 1 and odd ones 2i+1
    # see x[i], x[i+1] through taps 2, 0: four 2×2 convolutions, computed as one of 4·c channels.
    n, h, w, c = x.shape
    taps = kernel[jnp.array([[3, 2], [1, 0]])][:, :, jnp.array([[3, 2], [1, 0]])]
    taps = taps.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c, -1)  # [tap, tap, c, phase·phase·out]
    y = _canonical(_pad(x, (1, 1), (1, 1)), taps).reshape(n, h + 1, w + 1, 2, 2, -1)
    rows = jnp.stack([y[:, :h, :, 0], y[:, 1:, :, 1]], axis=2)  # [n, h, 2, w + 1, 2, out]
    both = jnp.stack([rows[:, :, :, :w, 0], rows[:, :, :, 1:, 1]], axis=4)  # [n, h, 2, w, 2, out]
    return both.reshape(n, 2 * h, 2 * w, -1)


_CONVOLUTIONS = {"same": (3, conv_same), "down": (4, conv_down), "up": (4, conv_up)}


class Conv(nn.Module):
    """A convolution with bias: 3×3 at the `same` resolution, or 4×4 `down` or `up` by two."""

    features: int
    resample: str = "same"
    spectral: bool = False
    kernel_init: Initializer = nn.initializers.normal(0.02)
    use_bias: bool = True
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Images, train: bool = False) -> Float[Array, "n h_out w_out c_out"]:
        size, convolve = _CONVOLUTIONS[self.resample]
        shape = (size, size, x.shape[-1], self.features)
        kernel = _weight(self, "kernel", self.kernel_init, shape, self.spectral, train)
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype))
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
    """A learned vector for each class.

    Raises:
        ValueError: the labels are None.
    """

    num_classes: int
    features: int
    spectral: bool = False
    embedding_init: Initializer = nn.initializers.normal(1.0)
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, label: Int[Array, " n"] | None, train: bool = False) -> Float[Array, "n f"]:
        if label is None:
            raise ValueError("a conditional network needs labels")
        shape = (self.num_classes, self.features)
        table = _weight(self, "embedding", self.embedding_init, shape, self.spectral, train)
        # A product, not a look-up: its gradient is a sum in a fixed order on every device.
        return jax.nn.one_hot(label, self.num_classes, dtype=self.dtype) @ table.astype(self.dtype)


def batch_norm(train: bool, axis_name: str | None, dtype: Dtype, name: str) -> nn.BatchNorm:
    """Batch norm over the global batch (Ioffe and Szegedy, 2015), with running averages for use
    outside training."""
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        dtype=dtype,
        axis_name=axis_name,
        name=name,
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

    vectors = layer.variable("spectral", "uv", initial)
    if train and not layer.is_initializing():
        vectors.value = step(vectors.value[1])
    u, v = vectors.value
    return weight / (u @ matrix @ v)


def _normalize(vector: Float[Array, " n"]) -> Float[Array, " n"]:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)
