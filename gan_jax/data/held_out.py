"""Real examples that are kept from training."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from gan_jax.data.sources.base import Source, mixture_of, only
from gan_jax.data.streams import Stream
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
    held_out = _chosen(source, n)
    training = np.setdiff1d(np.arange(examples), held_out)  # in order
    return only(source, training), only(source, np.sort(held_out))


def _chosen(source: Source, n: int) -> np.ndarray:
    """Of each source of a mixture, as large a part as of any other."""
    mixture = mixture_of(source)
    counts, offsets, parts = (source.description.examples,), (0,), (n,)
    if mixture is not None:
        counts, offsets, parts = mixture.counts, mixture.offsets, mixture.divided(n)
    chosen = [
        offset + np.random.default_rng(count).permutation(count)[:part]
        for count, offset, part in zip(counts, offsets, parts, strict=True)
    ]
    return np.concatenate(chosen)


def hold_out_each(
    streams: Sequence[Stream], n: int | None
) -> tuple[tuple[Stream, ...], tuple[Stream, ...]]:
    """What to train on of every stream, and what is held out of those that have some, as by
    `hold_out`. Of pairs, both go to the same side.

    Raises:
        InputError: `n` is negative, or leaves nothing of one to train on.
    """
    parts = [hold_out(stream.source, n) for stream in streams]
    pairs = list(zip(streams, parts, strict=True))
    training = tuple(dataclasses.replace(stream, source=rest) for stream, (rest, _) in pairs)
    held_out = tuple(
        dataclasses.replace(stream, source=part) for stream, (_, part) in pairs if part is not None
    )
    return training, held_out
