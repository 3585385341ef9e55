"""Which examples make up which batch."""

import functools

import numpy as np


class Order:
    """Batches of a shuffled, endless stream, as a pure function of (seed, batch number).

    Epoch `e` visits every example once, in a permutation drawn from (seed, e). Epochs follow each
    other without a gap: a batch that one epoch cannot fill takes its rest from the next.
    """

    def __init__(self, seed: int, examples: int, batch_size: int):
        self.seed = seed
        self.examples = examples
        self.batch_size = batch_size
        # The stream moves forward: the epoch at hand and its neighbours are all it needs.
        self._permutation = functools.lru_cache(maxsize=4)(self._draw_permutation)

    def _draw_permutation(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, epoch])
        return rng.permutation(self.examples).astype(np.int32)

    def batch(self, number: int) -> np.ndarray:
        """Indices of the examples in this batch: int32 [batch_size]."""
        position, end = number * self.batch_size, (number + 1) * self.batch_size
        parts = []
        while position < end:
            epoch, offset = divmod(position, self.examples)
            part = self._permutation(epoch)[offset : offset + end - position]
            parts.append(part)
            position += len(part)
        return np.concatenate(parts)

    def epoch(self, number: int) -> int:
        """The epoch in which this batch begins."""
        return number * self.batch_size // self.examples

    def first_batch(self, epoch: int) -> int:
        """The first batch that begins in this epoch (or later)."""
        return -(-epoch * self.examples // self.batch_size)
