"""Generators and discriminators, in Flax Linen."""

from gan_jax.networks import dcgan, layers, mlp

__all__ = ["dcgan", "layers", "mlp"]
