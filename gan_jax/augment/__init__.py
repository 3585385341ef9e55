"""Differentiable augmentation: what examples go through before the discriminator judges them.

An augmentation is a pytree, called as `augmentation(x, key, axis_name=None)` with a batch `x` of
images [B, H, W, C] in [−1, 1] (`InstanceNoise` takes points [B, features] too), and gives a batch
of the same shape. It is differentiable with respect to `x`, so that the generator learns through
it. Every example's draws are its own, keyed by its global index: they depend neither on the batch
around it nor on how that is spread over devices.

`probability` is a leaf, of each transformation for each example: it can be traced, scheduled, and
set anew by `augmentation.with_probability(…)`: those that have one are `Controllable`.
"""

from gan_jax.augment.ada import ADA, CATEGORIES
from gan_jax.augment.base import Augmentation, Chain, Controllable
from gan_jax.augment.control import AdaptiveProbability
from gan_jax.augment.diffaugment import POLICIES, DiffAugment
from gan_jax.augment.noise import InstanceNoise

__all__ = [
    "ADA",
    "CATEGORIES",
    "POLICIES",
    "AdaptiveProbability",
    "Augmentation",
    "Chain",
    "Controllable",
    "DiffAugment",
    "InstanceNoise",
]
