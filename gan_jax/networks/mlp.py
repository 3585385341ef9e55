"""Multilayer perceptrons, for points rather than images."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.conditioning import Label
from gan_jax.networks import base
from gan_jax.networks.base import Form
from gan_jax.networks.layers import Dense, Dtype, Embed
from gan_jax.sections import number

_HE = nn.initializers.he_normal()


class Generator(nn.Module):
    """Latents [B, latent_dim] to points [B, features], through `depth` hidden layers of ReLU.

    With `num_classes`, an embedding of the label is concatenated to the latents.
    """

    features: int = 2
    width: int = 128
    depth: int = 3
    num_classes: int | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "b z"], label: Label | None = None, *, train: bool = False
    ) -> Float[Array, "b f"]:
        x = z
        if self.num_classes is not None:
            x = jnp.concatenate([x, Embed(self.num_classes, self.width)(label)], axis=-1)
        for _ in range(self.depth):
            x = nn.relu(Dense(self.width, kernel_init=_HE, dtype=self.dtype)(x))
        x = Dense(self.features, kernel_init=nn.initializers.lecun_normal(), dtype=self.dtype)(x)
        return x.astype(jnp.float32)


class Discriminator(nn.Module):
    """Points [B, features] to logits [B], through `depth` hidden layers of leaky ReLU.

    With `num_classes`, the inner product of the last hidden layer with an embedding of the label is
    added (the projection of Miyato and Koyama, "cGANs with Projection Discriminator", 2018).
    """

    width: int = 128
    depth: int = 3
    num_classes: int | None = None
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b f"], label: Label | None = None, *, train: bool = False
    ) -> Float[Array, " b"]:
        for _ in range(self.depth):
            x = nn.leaky_relu(Dense(self.width, kernel_init=_HE, dtype=self.dtype)(x), 0.2)
        logits = Dense(1, kernel_init=nn.initializers.lecun_normal(), dtype=self.dtype)(x)[:, 0]
        if self.num_classes is not None:
            embedding_init = nn.initializers.normal(0.02)
            embedding = Embed(self.num_classes, self.width, embedding_init=embedding_init)
            logits += jnp.sum(embedding(label).astype(x.dtype) * x, axis=-1)
        return logits.astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class GeneratorSection(base.GeneratorSection, kind="mlp"):
    """Of a multilayer perceptron."""

    points = True

    width: int = number(64, least=1)
    """Units of each hidden layer."""
    depth: int = number(3, least=0)
    """Hidden layers."""

    def build(self, form: Form) -> nn.Module:
        return Generator(
            features=form.shape[0], width=self.width, depth=self.depth, **self.options(form)
        )


@dataclasses.dataclass(frozen=True)
class DiscriminatorSection(base.DiscriminatorSection, kind="mlp"):
    """Of a multilayer perceptron."""

    points = True

    width: int = number(64, least=1)
    """Units of each hidden layer."""
    depth: int = number(3, least=0)
    """Hidden layers."""

    def build(self, form: Form) -> nn.Module:
        return Discriminator(width=self.width, depth=self.depth, **self.options(form))
