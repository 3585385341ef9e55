"""How batches reach the devices.

A `Feed` gives the training program, for each run of iterations, `rows`: what has to travel from the
host. Small data sets live on the devices whole, and rows are indices into them; large ones stream
through Grain, and rows are the examples themselves. Both come in the same order, so a run does not
depend on which it was.
"""

import math
from collections.abc import Iterator
from typing import Any, Protocol

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from gan_jax import parallel
from gan_jax.data.order import Order
from gan_jax.data.sources import Examples, Source

_STREAM_BYTES = 256 * 2**20  # decoded ahead, and again in one dispatch


class Feed(Protocol):
    """Batches for the devices of this process.

    An iteration takes `batches` batches; device `i` of `members` (its index on the axis over all
    devices of all processes) takes the `i`-th part of each.
    """

    capacity: int
    """Iterations whose rows fit one dispatch."""
    resident: PyTree
    """What lives on every device throughout."""

    def rows(self, start: int, count: int) -> PyTree:
        """What iterations `start … start + count − 1` need: leaves [local devices, capacity,
        batches, examples, …], of which the first `count` count."""
        ...

    @staticmethod
    def select(resident: PyTree, rows: PyTree) -> dict[str, Array]:
        """On the device: the batches of one iteration from its rows, as read."""
        ...


def make_feed(
    source: Source,
    order: Order,
    *,
    batches: int,
    capacity: int,
    iterations: int,
    axis_indices: np.ndarray,
    members: int,
    labels: bool,
) -> Feed:
    """A feed for the devices at `axis_indices` of an axis of `members`."""
    share = order.batch_size // members
    rows = (axis_indices[:, None] * share + np.arange(share)).reshape(-1)
    options = {"order": order, "batches": batches, "local": rows, "devices": len(axis_indices)}
    if isinstance(source, Examples):
        return _Resident(source, capacity=capacity, labels=labels, **options)
    return _Streamed(source, capacity=capacity, labels=labels, end=iterations * batches, **options)


class _Resident:
    """Indices travel; the examples are on the device."""

    def __init__(
        self,
        source: Examples,
        *,
        order: Order,
        batches: int,
        local: np.ndarray,
        devices: int,
        capacity: int,
        labels: bool,
    ):
        self.capacity = capacity
        self.resident = {"real": source.real}
        if labels:
            self.resident["label"] = source.label
        self._order, self._batches, self._local, self._devices = order, batches, local, devices

    def rows(self, start: int, count: int) -> np.ndarray:
        n = self._batches
        indices = np.zeros((self.capacity * n, len(self._local)), np.int32)
        for i in range(count * n):
            indices[i] = self._order.batch(start * n + i)[self._local]
        return _by_device(indices, self._devices, self.capacity, n)

    @staticmethod
    def select(resident: PyTree, rows: Array) -> dict[str, Array]:
        return jax.tree.map(lambda x: x[rows], resident)


class _Streamed:
    """Examples travel, decoded ahead by Grain's threads."""

    def __init__(
        self,
        source: Source,
        *,
        order: Order,
        batches: int,
        local: np.ndarray,
        devices: int,
        capacity: int,
        labels: bool,
        end: int,
    ):
        example_bytes = math.prod(source.description.shape) * source.dtype.itemsize
        batch_bytes = example_bytes * len(local)
        self.capacity = max(1, min(capacity, _STREAM_BYTES // (batch_bytes * batches)))
        self.resident: PyTree = {}
        self._batches, self._devices, self._end = batches, devices, end
        self._prefetch = max(2, min(128, _STREAM_BYTES // batch_bytes))
        self._labels = labels
        self._batch_shape = (len(local), *source.description.shape)
        self._dtype = source.dtype
        self._position = -1
        self._stream: Iterator[Any] = iter(())

        def read(number: int) -> dict[str, np.ndarray]:
            examples = [source.read(int(i)) for i in order.batch(number)[local]]
            batch = {"real": np.stack([x for x, _ in examples])}
            if labels:
                batch["label"] = np.array([y for _, y in examples], np.int32)
            return batch

        self._read = read

    def rows(self, start: int, count: int) -> dict[str, np.ndarray]:
        n = self._batches
        if start * n != self._position:
            self._seek(start * n)
        total = self.capacity * n
        rows = {"real": np.zeros((total, *self._batch_shape), self._dtype)}
        if self._labels:
            rows["label"] = np.zeros((total, self._batch_shape[0]), np.int32)
        for i in range(count * n):
            for name, value in next(self._stream).items():
                rows[name][i] = value
        self._position += count * n
        return {k: _by_device(v, self._devices, self.capacity, n) for k, v in rows.items()}

    def _seek(self, position: int) -> None:
        numbers = grain.MapDataset.range(position, max(self._end, position + 1))
        options = grain.ReadOptions(num_threads=16, prefetch_buffer_size=self._prefetch)
        self._stream = iter(numbers.map(self._read).to_iter_dataset(options))
        self._position = position

    @staticmethod
    def select(resident: PyTree, rows: dict[str, Array]) -> dict[str, Array]:
        return rows


def _by_device(rows: np.ndarray, devices: int, capacity: int, batches: int) -> np.ndarray:
    """[capacity·batches, devices·share, …] to [devices, capacity, batches, share, …]."""
    rows = rows.reshape(capacity, batches, devices, -1, *rows.shape[2:])
    return np.moveaxis(rows, 2, 0)


def prepare(
    batches: dict[str, Array], key: Key[Array, ""], *, flip: bool, axis_name: str | None
) -> dict[str, Array]:
    """Batches [batches, examples, …] as the networks see them: pictures from uint8 to [−1, 1], and
    mirrored at random if wanted; points as they are."""
    real = batches["real"]
    if real.dtype != jnp.uint8:
        return batches
    real = real.astype(jnp.float32) / 127.5 - 1
    if flip:

        def heads(batch_key: Array) -> Array:
            return parallel.per_example(jax.random.bernoulli, batch_key, real.shape[1], axis_name)

        mirrored = jax.vmap(heads)(
            jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(real.shape[0]))
        )
        real = jnp.where(mirrored[..., None, None, None], jnp.flip(real, axis=3), real)
    return batches | {"real": real}
