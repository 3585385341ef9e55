"""The training program: one `pmap` over all devices, many iterations a call.

Each call runs as many iterations as the host asks for then: a loop with a traced bound, not one
compilation per length. However a run is cut into calls, by intervals or by interruptions, each
iteration is computed by the same compiled loop body, which is what makes resuming exact.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jaxtyping import Array, Key, PyTree

from gan_jax.compilation import CompiledFast
from gan_jax.data.feed import prepare
from gan_jax.state import TrainState
from gan_jax.steps import Alternation, Tally, iterate

AXIS = "devices"
_FLIPS = 2  # folded into an iteration's key, after the two players


class Averages:
    """Of the metrics since iteration `start`. A player's are averaged over the iterations that
    updated it; one that was not updated has none."""

    def __init__(self, start: int):
        self.start, self.began = start, time.monotonic()
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, tally: Tally) -> None:
        """Takes in what a call measured, as host arrays."""
        for player, metrics in tally.sums.items():
            for metric, value in metrics.items():
                name = f"{player}/{metric}"
                self._sums[name] = self._sums.get(name, 0.0) + float(value)
                self._counts[name] = self._counts.get(name, 0) + int(tally.updated[player])

    def values(self) -> dict[str, float]:
        return {
            name: total / self._counts[name]
            for name, total in self._sums.items()
            if self._counts[name]
        }


def make_batches(
    examples: dict[str, Array], key: Key[Array, ""], *, flip: bool, axis_name: str | None
) -> dict[str, Array]:
    """The batches of the iteration with this key, as the networks see them."""
    flips = jax.random.fold_in(key, _FLIPS)
    return prepare(examples, flips, flip=flip, axis_name=axis_name)


def make_program(
    objective: Any, select: Callable, alternation: Alternation, *, flip: bool, paced: bool = False
) -> Callable[..., tuple[TrainState, TrainState, Tally, Array]]:
    """The training program over all devices, compiled when it is first called.

    It is called as `(d, g, resident, rows, stop, start, count, key, pace)`: iterations `start` to
    `start + count − 1`, on the `rows` that a feed gives for them, of which `select`, the feed's,
    makes batches. `rows` and `stop` have a leading axis over the local devices; all else is the
    same everywhere, and so is all that it returns: `(d, g, tally, stop)`. `d` and `g` are donated.
    Only a `paced` program heeds the `Pace`, of which one number at least is 1.
    """

    # One device holds the whole batch: nothing to average, and no collectives to pay for.
    axis_name = AXIS if jax.device_count() > 1 else None

    def program(d, g, resident, rows, stop, start, count, key, pace):
        def batches_at(i, key):
            here = jax.tree.map(lambda x: x[i], rows)
            return make_batches(select(resident, here), key, flip=flip, axis_name=axis_name)

        d, g, tally = iterate(
            d, g, batches_at, key, start=start, count=count, objective=objective,
            alternation=alternation, axis_name=axis_name, pace=pace if paced else None,
        )  # fmt: skip
        return d, g, tally, lax.pmax(stop, AXIS)

    in_axes = (None, None, None, 0, 0, None, None, None, None)
    pmapped = jax.pmap(
        program, axis_name=AXIS, in_axes=in_axes, out_axes=None, donate_argnums=(0, 1)
    )
    return CompiledFast(pmapped)


def replicate(tree: PyTree) -> PyTree:
    """Host arrays on every device, as the program takes and returns them."""
    place = jax.pmap(lambda _, x: x, axis_name=AXIS, in_axes=(0, None), out_axes=None)
    return place(np.zeros(jax.local_device_count()), tree)


def axis_indices() -> np.ndarray:
    """Where the devices of this process stand on the axis over all of them."""
    index = jax.pmap(lambda _: lax.axis_index(AXIS), axis_name=AXIS)
    return np.asarray(index(np.zeros(jax.local_device_count())))
