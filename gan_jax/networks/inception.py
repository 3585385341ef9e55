"""Inception-v3 as the Fréchet inception distance knows it.

Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, in the
variant of TensorFlow's graph `inception-2015-12-05`, which Heusel et al., "GANs Trained by a Two
Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017, took for their metric. It has
1008 classes, its averages leave the padding out, and in its last block there is a maximum where the
paper has an average. Scores are comparable only if all of that is kept.

Modules have the names that torchvision and pytorch-fid gave them, so that published weights fit.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

SIDE = 299  # pixels
CLASSES = 1008

_average = functools.partial(
    nn.avg_pool, window_shape=(3, 3), padding="SAME", count_include_pad=False
)
_maximum = functools.partial(nn.max_pool, window_shape=(3, 3), padding="SAME")
_halve = functools.partial(nn.max_pool, window_shape=(3, 3), strides=(2, 2))


class InceptionV3(nn.Module):
    """Images [b, 299, 299, 3] in [−1, 1] to features [b, 2048], averaged over all positions, and
    logits [b, 1008]. For inference only: batch norm uses its running averages."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "b 299 299 3"]
    ) -> tuple[Float[Array, "b 2048"], Float[Array, "b 1008"]]:
        x = _Conv(32, (3, 3), 2, "VALID", name="Conv2d_1a_3x3")(x)
        x = _Conv(32, (3, 3), 1, "VALID", name="Conv2d_2a_3x3")(x)
        x = _Conv(64, (3, 3), name="Conv2d_2b_3x3")(x)
        x = _halve(x)
        x = _Conv(80, (1, 1), name="Conv2d_3b_1x1")(x)
        x = _Conv(192, (3, 3), 1, "VALID", name="Conv2d_4a_3x3")(x)
        x = _halve(x)
        x = _A(32, name="Mixed_5b")(x)
        x = _A(64, name="Mixed_5c")(x)
        x = _A(64, name="Mixed_5d")(x)
        x = _B(name="Mixed_6a")(x)
        x = _C(128, name="Mixed_6b")(x)
        x = _C(160, name="Mixed_6c")(x)
        x = _C(160, name="Mixed_6d")(x)
        x = _C(192, name="Mixed_6e")(x)
        x = _D(name="Mixed_7a")(x)
        x = _E(_average, name="Mixed_7b")(x)
        x = _E(_maximum, name="Mixed_7c")(x)
        features = x.mean(axis=(1, 2))
        return features, nn.Dense(CLASSES, precision=lax.Precision.HIGHEST, name="fc")(features)


class _Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    features: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        # By default GPUs and TPUs round what they multiply, and scores would depend on the device.
        x = nn.Conv(
            self.features,
            self.kernel,
            (self.stride, self.stride),
            self.padding,
            use_bias=False,
            precision=lax.Precision.HIGHEST,
            name="conv",
        )(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


class _A(nn.Module):
    """35×35: towers of 1×1, of 5×5, of two 3×3, and of an average."""

    pool: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        one = _Conv(64, (1, 1), name="branch1x1")(x)
        five = _Conv(48, (1, 1), name="branch5x5_1")(x)
        five = _Conv(64, (5, 5), name="branch5x5_2")(five)
        three = _Conv(64, (1, 1), name="branch3x3dbl_1")(x)
        three = _Conv(96, (3, 3), name="branch3x3dbl_2")(three)
        three = _Conv(96, (3, 3), name="branch3x3dbl_3")(three)
        pooled = _Conv(self.pool, (1, 1), name="branch_pool")(_average(x))
        return jnp.concatenate([one, five, three, pooled], axis=-1)


class _B(nn.Module):
    """From 35×35 to 17×17."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        three = _Conv(384, (3, 3), 2, "VALID", name="branch3x3")(x)
        double = _Conv(64, (1, 1), name="branch3x3dbl_1")(x)
        double = _Conv(96, (3, 3), name="branch3x3dbl_2")(double)
        double = _Conv(96, (3, 3), 2, "VALID", name="branch3x3dbl_3")(double)
        return jnp.concatenate([three, double, _halve(x)], axis=-1)


class _C(nn.Module):
    """17×17: towers of 1×1, of 7×7 in two steps, of the same twice, and of an average."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        one = _Conv(192, (1, 1), name="branch1x1")(x)
        seven = _Conv(self.width, (1, 1), name="branch7x7_1")(x)
        seven = _Conv(self.width, (1, 7), name="branch7x7_2")(seven)
        seven = _Conv(192, (7, 1), name="branch7x7_3")(seven)
        double = _Conv(self.width, (1, 1), name="branch7x7dbl_1")(x)
        double = _Conv(self.width, (7, 1), name="branch7x7dbl_2")(double)
        double = _Conv(self.width, (1, 7), name="branch7x7dbl_3")(double)
        double = _Conv(self.width, (7, 1), name="branch7x7dbl_4")(double)
        double = _Conv(192, (1, 7), name="branch7x7dbl_5")(double)
        pooled = _Conv(192, (1, 1), name="branch_pool")(_average(x))
        return jnp.concatenate([one, seven, double, pooled], axis=-1)


class _D(nn.Module):
    """From 17×17 to 8×8."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        three = _Conv(192, (1, 1), name="branch3x3_1")(x)
        three = _Conv(320, (3, 3), 2, "VALID", name="branch3x3_2")(three)
        seven = _Conv(192, (1, 1), name="branch7x7x3_1")(x)
        seven = _Conv(192, (1, 7), name="branch7x7x3_2")(seven)
        seven = _Conv(192, (7, 1), name="branch7x7x3_3")(seven)
        seven = _Conv(192, (3, 3), 2, "VALID", name="branch7x7x3_4")(seven)
        return jnp.concatenate([three, seven, _halve(x)], axis=-1)


class _E(nn.Module):
    """8×8: towers of 1×1, of 1×3 beside 3×1, of 3×3 before these two, and of a pool."""

    pool: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        one = _Conv(320, (1, 1), name="branch1x1")(x)
        three = _Conv(384, (1, 1), name="branch3x3_1")(x)
        three = [
            _Conv(384, (1, 3), name="branch3x3_2a")(three),
            _Conv(384, (3, 1), name="branch3x3_2b")(three),
        ]
        double = _Conv(448, (1, 1), name="branch3x3dbl_1")(x)
        double = _Conv(384, (3, 3), name="branch3x3dbl_2")(double)
        double = [
            _Conv(384, (1, 3), name="branch3x3dbl_3a")(double),
            _Conv(384, (3, 1), name="branch3x3dbl_3b")(double),
        ]
        pooled = _Conv(192, (1, 1), name="branch_pool")(self.pool(x))
        return jnp.concatenate([one, *three, *double, pooled], axis=-1)
