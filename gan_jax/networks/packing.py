"""Discriminators that judge several examples at once."""

import inspect

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gan_jax.conditioning import Label


class Packed(nn.Module):
    """`discriminator` on packs of `examples` consecutive examples, side by side as channels: from
    [B, …, c] to logits [B / examples]. A generator that repeats itself gives itself away.

    Source: Lin et al., "PacGAN: The power of two samples in generative adversarial networks",
    2018, §3.

    Raises:
        ValueError: a batch that is not whole packs, or labels.
    """

    discriminator: nn.Module
    examples: int = 2

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b ..."],
        label: Label | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, " packs"]:
        if label is not None:
            raise ValueError("packs are of examples of any class: no labels")
        if self.is_initializing():
            x = jnp.repeat(x, self.examples, axis=0)  # from one example, as everywhere
        if len(x) % self.examples:
            raise ValueError(f"a batch of {len(x)} is not packs of {self.examples}")
        packs = x.reshape(-1, self.examples, *x.shape[1:])
        packs = jnp.moveaxis(packs, 1, -2)
        packs = packs.reshape(*packs.shape[:-2], -1)
        takes = inspect.signature(type(self.discriminator).__call__).parameters
        options = {"axis_name": axis_name, "key": key}
        options = {name: value for name, value in options.items() if name in takes}
        return self.discriminator(packs, train=train, **options)
