"""Examples of several sources in one, and how often each of these is drawn from."""

import dataclasses

import numpy as np
from jaxtyping import Int


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Which examples are of which source."""

    counts: tuple[int, ...]
    """How many each source has: its examples follow those of the one before."""
    shares: tuple[float, ...] | None
    """Of all that is drawn, how much is drawn from each: they sum to 1. None: every example is
    drawn as often as any other."""

    @property
    def offsets(self) -> tuple[int, ...]:
        """The first example of each source."""
        return tuple(int(i) for i in np.cumsum([0, *self.counts[:-1]]))

    def divided(self, n: int, shares: tuple[float, ...] | None = None) -> tuple[int, ...]:
        """How many of `n` examples are of which source: by these shares, or as there are."""
        parts = self.counts if shares is None else shares
        ends = np.round(n * np.cumsum(parts) / sum(parts)).astype(int)
        return tuple(np.diff(ends, prepend=0).tolist())

    def only(self, indices: Int[np.ndarray, " n"]) -> "Mixture":
        """Of these examples alone, which are in the order that they had. Where a source has none
        left, the others share what was drawn from it."""
        if (np.diff(indices) <= 0).any():
            raise ValueError("examples of a mixture keep their order")
        ends = np.searchsorted(indices, np.cumsum(self.counts))
        counts = np.diff(ends, prepend=0).tolist()
        shares = None
        if self.shares is not None:
            left = [share for share, count in zip(self.shares, counts, strict=True) if count]
            shares = tuple(share / sum(left) for share in left)
        return Mixture(tuple(count for count in counts if count), shares)
