"""Generators and discriminators, in Flax Linen."""

from gan_jax.networks import (
    biggan,
    cyclegan,
    dcgan,
    layers,
    mlp,
    packing,
    patchgan,
    r3gan,
    resnet,
    rrdb,
    stylegan2,
    unet,
    unet_critic,
)

__all__ = [
    "biggan",
    "cyclegan",
    "dcgan",
    "layers",
    "mlp",
    "packing",
    "patchgan",
    "r3gan",
    "resnet",
    "rrdb",
    "stylegan2",
    "unet",
    "unet_critic",
]
