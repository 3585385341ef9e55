"""Streams of an update's key, each folded into it."""

NETWORK, AUGMENTATION, UNROLLING, PATHS, POOL = range(2**32 - 1, 2**32 - 6, -1)
"""What the networks draw themselves, augmentations, unrolled updates, directions of path lengths,
what comes out of pools of generated examples.

Latents are drawn from the key itself, by folding in the global index of an example: these numbers
are beyond any index."""
