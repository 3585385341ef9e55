"""Self-attention over the pixels of a feature map."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.networks.layers import Conv, Dtype, Initializer


class SelfAttention(nn.Module):
    """x + γ·o: every pixel gains a mixture o of what all pixels have to say, with γ = 0 at first.

    Queries and keys have an eighth of the channels, values a half. Keys and values are the maxima
    of 2×2 pixels, so that every pixel chooses among a quarter of them.

    Source: Zhang et al., "Self-Attention Generative Adversarial Networks", 2019, §3 (keys, queries
    and values are f, g and h there), with the sizes of Brock, Donahue and Simonyan, "Large Scale
    GAN Training for High Fidelity Natural Image Synthesis", 2019.

    Raises:
        ValueError: fewer than 8 channels, or an odd resolution.
    """

    spectral: bool = False
    kernel_init: Initializer = nn.initializers.glorot_uniform()
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h w c"]:
        b, h, w, c = x.shape
        if c < 8 or h % 2 or w % 2:
            raise ValueError(
                f"self-attention needs 8 channels and even sizes, not {c} channels of {h}×{w}"
            )

        def project(x, features, name):
            return Conv(
                features,
                size=1,
                spectral=self.spectral,
                kernel_init=self.kernel_init,
                use_bias=False,
                dtype=self.dtype,
                name=name,
            )(x, train)

        queries = project(x, c // 8, "query").reshape(b, h * w, -1)
        keys = _max_down(project(x, c // 8, "key")).reshape(b, h * w // 4, -1)
        values = _max_down(project(x, c // 2, "value")).reshape(b, h * w // 4, -1)
        scores = jnp.einsum("bqc,bkc->bqk", queries, keys).astype(jnp.float32)
        shares = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
        mixture = jnp.einsum("bqk,bkc->bqc", shares, values).reshape(b, h, w, -1)
        gamma = self.param("gamma", nn.initializers.zeros, (), jnp.float32)
        return x + gamma.astype(self.dtype) * project(mixture, c, "out")


def _max_down(x: Float[Array, "b h w c"]) -> Float[Array, "b h//2 w//2 c"]:
    """The maxima of 2×2 pixels."""
    rows = jnp.maximum(x[:, 0::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, 0::2], rows[:, :, 1::2])
