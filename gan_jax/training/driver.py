"""The training program, called with what the feed has for it."""

from typing import Any

import jax
import numpy as np

from gan_jax.data import Feed, longest
from gan_jax.state import TrainState
from gan_jax.steps import Pace
from gan_jax.tasks.base import TRAINING, stream_key
from gan_jax.training.program import axis_indices, program_of, replicate
from gan_jax.training.session import Session


class Driver:
    """Calls the training program, each time with what the feed has for it."""

    def __init__(self, session: Session):
        task, config = session.task, session.task.config
        self._task, self._alternation = task, config.alternation
        self._key = stream_key(config.seed, TRAINING)
        streams = session.dataset.streams
        orders = [stream.order(config.seed, config.batch_size) for stream in streams]
        self._epochs = longest(orders)
        self.capacity = min(config.log_every, config.sample_every, config.checkpoint_every)
        """The most iterations that a call can be of."""
        self._feed = Feed(
            streams,
            orders,
            batches=config.alternation.batches,
            capacity=self.capacity,
            iterations=config.iterations,
            axis_indices=axis_indices(),
            members=jax.device_count(),
        )
        self._resident = replicate(self._feed.resident)

    def call(
        self, d: TrainState, g: TrainState, start: int, count: int, pace: Pace, stop: bool
    ) -> Any:
        """Iterations `start` to `start + count − 1`: `(d, g, tally, stop)`."""
        config = self._task.config
        program = program_of(
            config.essence().build(self._task.data),
            jax.tree.structure(self._feed.resident),
            self.capacity,
            self._alternation.during(self._epoch(start)),
            paced=config.balance,
        )
        stops = np.full(jax.local_device_count(), stop, np.int32)
        return program(
            d, g, self._resident, self._feed.rows(start, count), stops, np.int32(start),
            np.int32(count), self._key, jax.tree.map(np.int32, pace),
        )  # fmt: skip

    def boundary(self, iteration: int) -> int:
        """Up to where a call from here may go: it may not hold more than the feed's capacity, nor
        cross from one network's period to the other's."""
        full = iteration + self.capacity
        if self._alternation.d_epochs is None:
            return full
        return min(full, self._epochs.first_batch(self._epoch(iteration) + 1))

    def _epoch(self, iteration: int) -> int:
        return self._epochs.epoch(iteration * self._alternation.batches)
