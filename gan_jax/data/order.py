"""Which examples make up which batch."""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Int32

from gan_jax.data.mixture import Mixture


@dataclasses.dataclass(frozen=True)
class Order:
    """Batches of shuffled examples without end, as a pure function of (seed, batch number).

    Epoch `e` visits every example once, in a permutation drawn from (seed, e). Epochs follow each
    other without a gap: a batch that one epoch cannot fill takes its rest from the next.
    """

    seed: int
    examples: int
    batch_size: int
    stream: int = 0
    """Orders of other streams are independent of each other, those of one are equal."""
    mixture: Mixture | None = None
    """Of sources that are drawn from by their shares: as much of each in every epoch, of as many
    examples as there are. Whatever is drawn of a source goes through its own examples in epochs of
    their own, so that none is drawn more often than another."""
    part: int = 0
    """Counts the orders of the sources of a mixture, from 1."""

    @functools.cached_property
    def _permutation(self) -> Callable[[int], np.ndarray]:
        # Batches move forward: the epoch at hand and its neighbours are all they need.
        return functools.lru_cache(maxsize=4)(self._draw_permutation)

    def _draw_permutation(self, epoch: int) -> np.ndarray:
        place = [self.stream, self.part] if self.part else [self.stream] if self.stream else []
        rng = np.random.default_rng([self.seed, epoch, *place])
        if self.mixture is None:
            return rng.permutation(self.examples).astype(np.int32)
        parts = zip(self._parts, self.mixture.offsets, strict=True)
        # Of what has become so small that it rounds to nothing, nothing is drawn.
        drawn = [order.batch(epoch) + offset for order, offset in parts if order.batch_size]
        return rng.permutation(np.concatenate(drawn)).astype(np.int32)

    @functools.cached_property
    def _parts(self) -> "tuple[Order, ...]":
        """The order of each source of the mixture; a batch is what an epoch takes of it."""
        if self.mixture is None:
            return ()
        counts = self.mixture.counts
        drawn = self.mixture.divided(self.examples, self.mixture.shares)
        return tuple(
            Order(self.seed, count, share, self.stream, part=i + 1)
            for i, (count, share) in enumerate(zip(counts, drawn, strict=True))
        )

    def batch(self, number: int) -> Int32[np.ndarray, " batch"]:
        """Indices of the examples in this batch: [batch_size]."""
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


def longest(orders: Iterable[Order]) -> Order:
    """Of the orders of a run's streams, the one whose epochs are the run's: that of the most
    examples, which takes longest to see them all."""
    return max(orders, key=lambda order: order.examples)
