"""EfficientNet-Lite0, a small classifier of ImageNet.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
2019, in the variant for mobile devices that the authors published in 2020 as EfficientNet-Lite:
ReLU6 in place of swish, and no squeeze and excitation.

Modules have the names that its PyTorch port gave them, so that published weights fit.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

SIDE = 224
"""Pixels of the images that it was trained on. It takes others."""
FEATURES, CLASSES = 1280, 1000

_STAGES = (
    # blocks, kernel, stride of the first one, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLite0(nn.Module):
    """Images [b, h, w, 3] in [−1, 1] to features [b, 1280], averaged over all positions, and logits
    [b, 1000]. For inference only: batch norm uses its running averages.

    With `maps`, the outputs of the last block at each resolution instead, from half of the images'
    to a 32nd, [b, h / 2, w / 2, 16] to [b, h / 32, w / 32, 320]: what a perceptual distance takes.
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w 3"], maps: bool = False
    ) -> tuple[Float[Array, "b 1280"], Float[Array, "b 1000"]] | tuple[Array, ...]:
        x = _conv(32, 3, 2, "_conv_stem")(x)
        x = _relu6(_norm("_bn0")(x))
        seen, block = [], 0
        for blocks, kernel, stride, expansion, features in _STAGES:
            if stride == 2:
                seen.append(x)
            for i in range(blocks):
                first = stride if i == 0 else 1
                x = _Block(features, kernel, first, expansion, name=f"_blocks.{block}")(x)
                block += 1
        if maps:
            return (*seen, x)
        x = _relu6(_norm("_bn1")(_conv(FEATURES, 1, 1, "_conv_head")(x)))
        features = x.mean(axis=(1, 2))
        return features, nn.Dense(CLASSES, precision=_PRECISION, name="_fc")(features)


class _Block(nn.Module):
    """An inverted bottleneck: wider, each channel convolved by itself, and narrow again."""

    features: int
    kernel: int
    stride: int
    expansion: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y, channels = x, x.shape[-1]
        if self.expansion > 1:
            y = _relu6(_norm("_bn0")(_conv(channels * self.expansion, 1, 1, "_expand_conv")(y)))
        y = _Depthwise(self.kernel, self.stride, name="_depthwise_conv")(y)
        y = _relu6(_norm("_bn1")(y))
        y = _norm("_bn2")(_conv(self.features, 1, 1, "_project_conv")(y))
        return x + y if self.stride == 1 and channels == self.features else y


class _Depthwise(nn.Module):
    """A convolution of each channel by itself, as a sum of shifted images: on a CPU, XLA's own form
    takes ten times as long."""

    kernel: int
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        shape = (self.kernel, self.kernel, 1, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        sides = x.shape[1:3]
        padding = lax.padtype_to_pads(sides, shape[:2], (self.stride, self.stride), "SAME")
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))

        def shifted(i, j):
            return x[:, i :: self.stride, j :: self.stride][:, :height, :width]

        height, width = (-(-side // self.stride) for side in sides)
        places = [(i, j) for i in range(self.kernel) for j in range(self.kernel)]
        return sum((shifted(i, j) * kernel[i, j, 0] for i, j in places), start=jnp.zeros(()))


# By default GPUs and TPUs round what they multiply, and scores would depend on the device.
_PRECISION = lax.Precision.HIGHEST


def _conv(features: int, kernel: int, stride: int, name: str) -> nn.Conv:
    size, strides = (kernel, kernel), (stride, stride)
    return nn.Conv(features, size, strides, use_bias=False, precision=_PRECISION, name=name)


def _norm(name: str) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=True, epsilon=1e-3, name=name)


def _relu6(x: Array) -> Array:
    return jnp.clip(x, 0, 6)
