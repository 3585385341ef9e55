"""The training program: one `pmap` over all devices, many iterations a call.

Each call runs as many iterations as the host asks for then: a loop with a traced bound, not one
compilation per length. However a run is cut into calls, by intervals or by interruptions, each
iteration is computed by the same compiled loop body, which is what makes resuming exact.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import PyTree

from gan_jax.compilation import CompiledFast
from gan_jax.data import Feed
from gan_jax.data.feed import prepare
from gan_jax.state import TrainState
from gan_jax.steps import Alternation, alternate

AXIS = "devices"
_FLIPS = 2  # folded into an iteration's key, after the two players


class Tally(NamedTuple):
    """What a call of the program measured."""

    sums: PyTree
    """Sums of each metric over the call's iterations."""
    diverged: dict[str, Any]
    """By player: the first iteration whose loss or gradient was not finite (the last one, if only
    the state is not), −1 if none."""
    stop: Any
    """Whether any process was asked to stop."""


def make_program(
    objective: Any, feed: Feed, alternation: Alternation, *, flip: bool
) -> Callable[..., tuple[TrainState, TrainState, Tally]]:
    """The training program over all devices, compiled when it is first called.

    It is called as `(d, g, resident, rows, stop, start, count, key)`: iterations `start` to
    `start + count − 1`, on what the feed gives for them. `rows` and `stop` have a leading axis over
    the local devices; all else is the same everywhere, and so is all that it returns. `d` and `g`
    are donated.
    """

    # One device holds the whole batch: nothing to average, and no collectives to pay for.
    axis_name = AXIS if jax.device_count() > 1 else None

    def iteration(d, g, resident, rows, index, key):
        key = jax.random.fold_in(key, index)
        batches = feed.select(resident, rows)
        flips = jax.random.fold_in(key, _FLIPS)
        batches = prepare(batches, flips, flip=flip, axis_name=axis_name)
        return alternate(
            d, g, batches, key, objective=objective, alternation=alternation, axis_name=axis_name
        )

    def program(d, g, resident, rows, stop, start, count, key):
        def step(i, carry):
            d, g, sums, diverged = carry
            here = jax.tree.map(lambda x: x[i], rows)
            d, g, metrics = iteration(d, g, resident, here, start + i, key)
            for player, values in metrics.items():
                finite = jnp.isfinite(values["loss"]) & jnp.isfinite(values["grad_norm"])
                first = ~finite & (diverged[player] < 0)
                diverged = diverged | {player: jnp.where(first, start + i, diverged[player])}
            return d, g, jax.tree.map(jnp.add, sums, metrics), diverged

        first = jax.tree.map(lambda x: x[0], rows)
        *_, metrics = jax.eval_shape(iteration, d, g, resident, first, start, key)
        sums = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), metrics)
        diverged = {player: jnp.full((), -1, jnp.int32) for player in metrics}
        d, g, sums, diverged = lax.fori_loop(0, count, step, (d, g, sums, diverged))
        # A finite gradient can make an update that is not; nothing like it may be saved.
        for player, state in (("d", d), ("g", g)):
            if player in diverged:
                unseen = ~_finite(state) & (diverged[player] < 0) & (count > 0)
                last = start + count - 1
                diverged = diverged | {player: jnp.where(unseen, last, diverged[player])}
        return d, g, Tally(sums, diverged, lax.pmax(stop, AXIS))

    in_axes = (None, None, None, 0, 0, None, None, None)
    pmapped = jax.pmap(
        program, axis_name=AXIS, in_axes=in_axes, out_axes=None, donate_argnums=(0, 1)
    )
    return CompiledFast(pmapped)


def _finite(state: TrainState) -> jax.Array:
    leaves = jax.tree.leaves((state.params, state.collections, state.ema_params))
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))


def replicate(tree: PyTree) -> PyTree:
    """Host arrays on every device, as the program takes and returns them."""
    place = jax.pmap(lambda _, x: x, axis_name=AXIS, in_axes=(0, None), out_axes=None)
    return place(np.zeros(jax.local_device_count()), tree)


def axis_indices() -> np.ndarray:
    """Where the devices of this process stand on the axis over all of them."""
    index = jax.pmap(lambda _: lax.axis_index(AXIS), axis_name=AXIS)
    return np.asarray(index(np.zeros(jax.local_device_count())))
