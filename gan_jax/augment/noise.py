"""Instance noise."""

import jax
from jaxtyping import Array, Float, Key

from gan_jax import parallel
from gan_jax.augment.base import Probability
from gan_jax.nodes import Node


class InstanceNoise(Node):
    """x + std · N(0, 1), for real and generated examples alike: their distributions overlap, so
    that the discriminator cannot be sure. Usually annealed to 0.

    Source: Sønderby et al., "Amortised MAP Inference for Image Super-resolution", 2017, §3.2;
    Arjovsky and Bottou, "Towards Principled Methods for Training Generative Adversarial Networks",
    2017, §3.
    """

    std: Probability = 0.1

    def __call__(
        self, x: Float[Array, "b ..."], key: Key[Array, ""], axis_name: str | None = None
    ) -> Float[Array, "b ..."]:
        noise = parallel.per_example(
            lambda k: jax.random.normal(k, x.shape[1:], x.dtype), key, len(x), axis_name
        )
        return x + self.std * noise
