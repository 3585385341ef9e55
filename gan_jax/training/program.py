"""The training program: one `pmap` over all devices, many iterations a call.

Each call runs as many iterations as the host asks for then: a loop with a traced bound, not one
compilation per length. However a run is cut into calls, by intervals or by interruptions, each
iteration is computed by the same compiled loop body, which is what makes resuming exact.
"""

import functools
from typing import Any

import jax
import numpy as np
from jax import lax
from jaxtyping import PyTree

from gan_jax.compilation import CompiledFast
from gan_jax.data import Feed
from gan_jax.steps import Alternation, iterate
from gan_jax.tasks.base import Task

AXIS = "devices"
PREPARATION = 2
"""Folded into an iteration's key for what is random in preparing its batches, after the two
networks."""
_KEPT = 8


@functools.lru_cache(maxsize=_KEPT)
def program_of(
    task: Task, resident: Any, capacity: int, alternation: Alternation, *, paced: bool
) -> CompiledFast:
    """The program that trains a task over all devices, compiled when it is first called.

    It is called as `(d, g, resident, rows, stop, start, count, key, pace)`: iterations `start` to
    `start + count − 1`, on the `rows` that a feed gives for them. `rows` and `stop` have a leading
    axis over the local devices; all else is the same everywhere, and so is what it returns:
    `(d, g, tally, stop)`, the last of which says whether any process was asked to stop. `d` and `g`
    are donated. Only a `paced` program heeds the `Pace`.

    Runs of one process share it if they differ in nothing but their seeds, or in what is no part of
    training; their feeds hold arrays of the same structure `resident`, and have rows for as many
    iterations, `capacity`.
    """
    objective = task.objective
    # One device holds the whole batch: nothing to average, and no collectives to pay for.
    axis_name = AXIS if jax.device_count() > 1 else None

    def program(d, g, resident, rows, stop, start, count, key, pace):
        def batches_at(i, key):
            examples = Feed.select(resident, jax.tree.map(lambda x: x[i], rows))
            return task.prepare(examples, jax.random.fold_in(key, PREPARATION), axis_name)

        d, g, tally = iterate(
            d,
            g,
            batches_at,
            key,
            start=start,
            count=count,
            objective=objective,
            alternation=alternation,
            axis_name=axis_name,
            pace=pace if paced else None,
        )
        return d, g, tally, lax.pmax(stop, AXIS)

    in_axes = (None, None, None, 0, 0, None, None, None, None)
    pmapped = jax.pmap(
        program, axis_name=AXIS, in_axes=in_axes, out_axes=None, donate_argnums=(0, 1)
    )
    return CompiledFast(pmapped)


def replicate(tree: PyTree) -> PyTree:
    """Host arrays on every device, as the program takes and returns them."""
    return _placement()(np.zeros(jax.local_device_count()), tree)


def axis_indices() -> np.ndarray:
    """Where the devices of this process stand on the axis over all of them."""
    return np.asarray(_index()(np.zeros(jax.local_device_count())))


# What is compiled for one run of a process serves all of them.


@functools.cache
def _placement() -> Any:
    return jax.pmap(lambda _, x: x, axis_name=AXIS, in_axes=(0, None), out_axes=None)


@functools.cache
def _index() -> Any:
    return jax.pmap(lambda _: lax.axis_index(AXIS), axis_name=AXIS)
