"""What a run trains on: one stream of examples, or several side by side."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from gan_jax.data.order import Order
from gan_jax.data.sources.base import Examples, Source, gather, mixture_of
from gan_jax.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """Examples of one source, under a name of their own in every batch."""

    source: Source
    name: str = "real"
    """Of the examples in a batch: `real`; of two domains `a` and `b`; of pairs `input` and
    `target`."""
    label: str | None = None
    """Of their labels in a batch: `label` of classes, `condition` of numbers. None: these stay
    behind."""
    number: int = 0
    """Streams of one number are read in the same order, as pairs are; others in an order of their
    own."""

    def order(self, seed: int, batch_size: int) -> Order:
        """The order in which a run of this seed reads it."""
        examples = self.source.description.examples
        mixture = mixture_of(self.source)
        weighted = mixture if mixture is not None and mixture.shares is not None else None
        return Order(seed, examples, batch_size, self.number, weighted)

    def read(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """These examples, decoded now."""
        return self._named(*gather(self.source, indices))

    def whole(self) -> dict[str, np.ndarray] | None:
        """All examples, if they are in memory."""
        if not isinstance(self.source, Examples):
            return None
        return self._named(self.source.real, self.source.label)

    def _named(self, examples: np.ndarray, labels: np.ndarray | None) -> dict[str, np.ndarray]:
        if self.label is None:
            return {self.name: examples}
        if labels is None:
            raise ValueError(f"the stream {self.name} has no labels")
        return {self.name: examples, self.label: labels}

    def zeros(self, *shape: int) -> dict[str, np.ndarray]:
        """Room for what is read: arrays of examples and labels with these leading axes."""
        source = self.source
        arrays = {self.name: np.zeros((*shape, *source.description.shape), source.dtype)}
        if self.label is not None:
            arrays[self.label] = source.description.labels(*shape)
        return arrays

    @property
    def example_bytes(self) -> int:
        """Of one example, decoded."""
        return math.prod(self.source.description.shape) * self.source.dtype.itemsize


def check_pairs(streams: Sequence[Stream]) -> None:
    """Checks that streams of one number fit together.

    Raises:
        InputError: one has more examples than the other.
    """
    first: dict[int, Stream] = {}
    for stream in streams:
        other = first.setdefault(stream.number, stream)
        ours, theirs = stream.source.description.examples, other.source.description.examples
        if ours != theirs:
            raise InputError(
                f"pairs of {other.name} and {stream.name} need as many of one as of the other, not "
                f"{theirs} and {ours}"
            )
