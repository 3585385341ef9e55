"""Real examples that are kept from training."""

import numpy as np

from gan_jax.data.sources import Source, only
from gan_jax.errors import InputError

_MOST = 512


def hold_out(source: Source, n: int | None) -> tuple[Source, Source | None]:
    """The examples to train on, and `n` others: by default a tenth, at most 512; None if that is
    none. Which ones they are depends on the number of examples alone, not on the run's seed.

    Raises:
        InputError: `n` is negative, or leaves nothing to train on.
    """
    examples = source.description.examples
    if n is None:
        n = min(examples // 10, _MOST)
    if not 0 <= n < examples:
        raise InputError(f"data.held_out is from 0 to {examples - 1}, below the examples, not {n}")
    if n == 0:
        return source, None
    held_out = np.random.default_rng(examples).permutation(examples)[:n]
    training = np.setdiff1d(np.arange(examples), held_out)  # in order
    return only(source, training), only(source, np.sort(held_out))
