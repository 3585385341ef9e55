"""Generators and discriminators, in Flax Linen."""

from gan_jax.networks import biggan, dcgan, layers, mlp, packing, r3gan, resnet, stylegan2

__all__ = ["biggan", "dcgan", "layers", "mlp", "packing", "r3gan", "resnet", "stylegan2"]
