"""How batches reach the devices.

A `Feed` gives the training program, for each run of iterations, `rows`: what has to travel from the
host. Small data sets live on the devices whole, and rows are indices into them; large ones stream
through Grain, and rows are the examples themselves. Both come in the same order, so a run does not
depend on which it was.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Integer, PyTree

from gan_jax.data.order import Order
from gan_jax.data.streams import Stream

_STREAM_BYTES = 256 * 2**20  # decoded ahead, and again in one dispatch


class Feed:
    """Batches of some streams for the devices of this process.

    An iteration takes `batches` batches; device `i` of `members` (its index on the axis over all
    devices of all processes) takes the `i`-th part of each. Streams of equal orders are read
    together: what follows is in one part for each order.

    Args:
        streams: What a batch is made of.
        orders: In which order each of them is read. All are of one batch size.
        batches: Batches an iteration.
        capacity: Iterations whose rows go into one dispatch, if there is room for them.
        iterations: Where the run ends.
        axis_indices: Which of the devices are of this process.
        members: How many devices there are.
    """

    capacity: int
    """Iterations whose rows fit one dispatch."""
    resident: tuple[dict[str, np.ndarray], ...]
    """What lives on every device throughout: of each part, all arrays, or none if it streams."""

    def __init__(
        self,
        streams: Sequence[Stream],
        orders: Sequence[Order],
        *,
        batches: int,
        capacity: int,
        iterations: int,
        axis_indices: Integer[np.ndarray, " devices"],
        members: int,
    ):
        self._parts: dict[Order, list[Stream]] = {}
        for stream, order in zip(streams, orders, strict=True):
            if stream.source.description.examples != order.examples:
                raise ValueError(
                    f"the order of the stream {stream.name} is not one of its examples"
                )
            self._parts.setdefault(order, []).append(stream)
        self.resident = tuple(map(_whole, self._parts.values()))
        (batch_size,) = {order.batch_size for order in orders}
        share = batch_size // members
        self._local = (axis_indices[:, None] * share + np.arange(share)).reshape(-1)
        self._devices = len(axis_indices)
        self._batches, self._end = batches, iterations * batches
        self.capacity = capacity
        self._position = -1
        self._ahead: Iterator[Any] = iter(())
        self._streamed = {
            order: streams
            for (order, streams), whole in zip(self._parts.items(), self.resident, strict=True)
            if not whole
        }
        if self._streamed:
            examples = [stream for streams in self._streamed.values() for stream in streams]
            batch_bytes = len(self._local) * sum(stream.example_bytes for stream in examples)
            self.capacity = max(1, min(capacity, _STREAM_BYTES // (batch_bytes * batches)))
            self._prefetch = max(2, min(128, _STREAM_BYTES // batch_bytes))

    def rows(self, start: int, count: int) -> PyTree[np.ndarray]:
        """What iterations `start … start + count − 1` need: leaves [local devices, capacity,
        batches, examples, …], of which the first `count` count."""
        first, number = start * self._batches, count * self._batches
        streamed = self._read_ahead(first, number)
        rows = tuple(
            streamed[order] if order in streamed else self._indices(order, first, number)
            for order in self._parts
        )
        return jax.tree.map(self._by_device, rows)

    @staticmethod
    def select(resident: PyTree, rows: PyTree) -> dict[str, Any]:
        """On the device: the batches of one iteration from its rows, as read."""
        batches = {}
        for whole, here in zip(resident, rows, strict=True):
            batches |= {name: x[here] for name, x in whole.items()} if whole else here
        return batches

    def _indices(self, order: Order, first: int, number: int) -> np.ndarray:
        indices = np.zeros((self.capacity * self._batches, len(self._local)), np.int32)
        for i in range(number):
            indices[i] = order.batch(first + i)[self._local]
        return indices

    def _read_ahead(self, first: int, number: int) -> dict[Order, dict[str, np.ndarray]]:
        """The next examples of what streams, by Grain's threads."""
        if not self._streamed:
            return {}
        if first != self._position:
            self._position, self._ahead = first, self._from(first)
        shape = self.capacity * self._batches, len(self._local)
        rows = {
            order: {k: x for stream in streams for k, x in stream.zeros(*shape).items()}
            for order, streams in self._streamed.items()
        }
        for i in range(number):
            for order, batch in next(self._ahead).items():
                for name, value in batch.items():
                    rows[order][name][i] = value
        self._position += number
        return rows

    def _from(self, position: int) -> Iterator[Any]:
        import grain  # slow to import, and for what streams only

        numbers = grain.MapDataset.range(position, max(self._end, position + 1))
        options = grain.ReadOptions(num_threads=16, prefetch_buffer_size=self._prefetch)
        return iter(numbers.map(self._read).to_iter_dataset(options))

    def _read(self, number: int) -> dict[Order, dict[str, np.ndarray]]:
        batches = {}
        for order, streams in self._streamed.items():
            indices = order.batch(number)[self._local]
            batches[order] = {k: x for stream in streams for k, x in stream.read(indices).items()}
        return batches

    def _by_device(self, rows: np.ndarray) -> np.ndarray:
        """[capacity·batches, examples, …] to [devices, capacity, batches, share, …]."""
        shape = self.capacity, self._batches, self._devices, -1, *rows.shape[2:]
        return np.moveaxis(rows.reshape(shape), 2, 0)


def _whole(streams: Sequence[Stream]) -> dict[str, np.ndarray]:
    """All arrays of streams that are read together; none, unless all of them are in memory."""
    wholes = [stream.whole() for stream in streams]
    if any(whole is None for whole in wholes):
        return {}
    return {name: x for whole in wholes if whole is not None for name, x in whole.items()}
