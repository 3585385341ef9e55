"""Batch norm that depends on what an example is to be: its class, or any vector.

The statistics are those of the global batch, as in `layers.batch_norm`; only the gain and the bias
that follow differ from example to example.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.conditioning import Label, is_condition
from gan_jax.networks.layers import Dense, Dtype, Embed, Initializer, batch_norm


class ClassBatchNorm(nn.Module):
    """Batch norm with a gain and a bias for each class, which start at 1 and 0. Of conditions, both
    are linear maps of theirs, and the gain's is added to 1, as in `ConditionalBatchNorm`.

    Source: Dumoulin, Shlens and Kudlur, "A Learned Representation for Artistic Style", 2017, eq. 5,
    with the statistics of the batch (Miyato and Koyama, "cGANs with Projection Discriminator",
    2018, §3).

    Raises:
        ValueError: the labels are None.
    """

    num_classes: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b *pixels c"],
        label: Label | None,
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, "b *pixels c"]:
        def of_class(name, init):
            features = x.shape[-1]
            return Embed(
                self.num_classes, features, embedding_init=init, dtype=self.dtype, name=name
            )(label)

        zeros, ones = nn.initializers.zeros, nn.initializers.ones
        if label is not None and is_condition(label):
            gain = 1 + of_class("gain", zeros)
        else:
            gain = of_class("gain", ones)
        bias = of_class("bias", zeros)
        return _modulate(_normalized(x, train, axis_name, self.dtype), gain, bias)


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain is 1 + a linear map of a condition, and whose bias is another.

    Source: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image
    Synthesis", 2019, appendix B.
    """

    spectral: bool = False
    kernel_init: Initializer = nn.initializers.normal(0.02)
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b *pixels c"],
        condition: Float[Array, "b k"],
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, "b *pixels c"]:
        def linear(name):
            return Dense(
                x.shape[-1],
                use_bias=False,
                spectral=self.spectral,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
                name=name,
            )(condition, train)

        gain, bias = 1 + linear("gain"), linear("bias")
        return _modulate(_normalized(x, train, axis_name, self.dtype), gain, bias)


def _normalized(x: Array, train: bool, axis_name: str | None, dtype: Dtype) -> Array:
    return batch_norm(train, axis_name, dtype, "norm", affine=False)(x)


def _modulate(x: Array, gain: Float[Array, "b c"], bias: Float[Array, "b c"]) -> Array:
    shape = (len(x), *[1] * (x.ndim - 2), x.shape[-1])
    return x * gain.reshape(shape) + bias.reshape(shape)
