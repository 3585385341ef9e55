"""The training program: one `pmap` over all devices, many iterations a call.

Each call runs as many iterations as the host asks for then: a loop with a traced bound, not one
compilation per length. However a run is cut into calls, by intervals or by interruptions, each
iteration is computed by the same compiled loop body, which is what makes resuming exact.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Key, PyTree

from gan_jax.compilation import CompiledFast
from gan_jax.data import prepare
from gan_jax.state import TrainState
from gan_jax.steps import Alternation, alternate

AXIS = "devices"
_D_ALONE, _G_ALONE = Alternation(1, 0), Alternation(0, 1)
_FLIPS = 2  # folded into an iteration's key, after the two players


class Tally(NamedTuple):
    """What a call of the program measured."""

    sums: PyTree
    """Sums of each metric over the call's iterations."""
    updated: dict[str, Any]
    """By player: in how many of them it was updated."""
    diverged: dict[str, Any]
    """By player: the first iteration whose loss or gradient was not finite (the last one, if only
    the state is not), −1 if none."""
    stop: Any
    """Whether any process was asked to stop."""


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


class Pace(NamedTuple):
    """How often each player is updated: in every so manieth iteration."""

    d_every: Any = 1
    g_every: Any = 1


def make_batches(
    examples: dict[str, Array], key: Key[Array, ""], *, flip: bool, axis_name: str | None
) -> dict[str, Array]:
    """The batches of the iteration with this key, as the networks see them."""
    flips = jax.random.fold_in(key, _FLIPS)
    mirrored = ("real",) if flip else ()
    return prepare(examples, flips, flip=mirrored, axis_name=axis_name)


def make_program(
    objective: Any, select: Callable, alternation: Alternation, *, flip: bool, paced: bool = False
) -> Callable[..., tuple[TrainState, TrainState, Tally]]:
    """The training program over all devices, compiled when it is first called.

    It is called as `(d, g, resident, rows, stop, start, count, key, pace)`: iterations `start` to
    `start + count − 1`, on the `rows` that a feed gives for them,
    of which `select`, the feed's, makes batches. `rows` and `stop` have a leading axis over
    the local devices; all else is the same everywhere, and so is all that it returns. `d` and `g`
    are donated. Only a `paced` program heeds the `Pace`, of which one number at least is 1.
    """

    # One device holds the whole batch: nothing to average, and no collectives to pay for.
    axis_name = AXIS if jax.device_count() > 1 else None

    def play(turn, d, g, batches, key):
        d, g, metrics = alternate(
            d, g, batches, key, objective=objective, alternation=turn, axis_name=axis_name
        )
        return d, g, metrics, {player: jnp.int32(1) for player in metrics}

    def play_paced(d, g, batches, key, index, pace):
        def alone(turn):
            def branch(operands):
                d, g, metrics, updated = play(turn, *operands)
                *_, whole, both = jax.eval_shape(functools.partial(play, alternation), *operands)
                zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (whole, both))
                return d, g, zeros[0] | metrics, zeros[1] | updated

            return branch

        d_too, g_too = index % pace.d_every == 0, index % pace.g_every == 0
        branches = [alone(alternation), alone(_D_ALONE), alone(_G_ALONE)]
        which = jnp.where(d_too & g_too, 0, jnp.where(d_too, 1, 2))
        return lax.switch(which, branches, (d, g, batches, key))

    def iteration(d, g, resident, rows, index, key, pace):
        key = jax.random.fold_in(key, index)
        batches = make_batches(select(resident, rows), key, flip=flip, axis_name=axis_name)
        if paced:
            return play_paced(d, g, batches, key, index, pace)
        return play(alternation, d, g, batches, key)

    def program(d, g, resident, rows, stop, start, count, key, pace):
        def step(i, carry):
            d, g, totals, diverged = carry
            here = jax.tree.map(lambda x: x[i], rows)
            d, g, metrics, updated = iteration(d, g, resident, here, start + i, key, pace)
            for player, values in metrics.items():
                finite = jnp.isfinite(values["loss"]) & jnp.isfinite(values["grad_norm"])
                first = ~finite & (diverged[player] < 0)
                diverged = diverged | {player: jnp.where(first, start + i, diverged[player])}
            return d, g, jax.tree.map(jnp.add, totals, (metrics, updated)), diverged

        first = jax.tree.map(lambda x: x[0], rows)
        _, _, *totals = jax.eval_shape(iteration, d, g, resident, first, start, key, pace)
        totals = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), tuple(totals))
        diverged = {player: jnp.full((), -1, jnp.int32) for player in totals[1]}
        d, g, totals, diverged = lax.fori_loop(0, count, step, (d, g, totals, diverged))
        # A finite gradient can make an update that is not; nothing like it may be saved.
        for player, state in (("d", d), ("g", g)):
            if player in diverged:
                unseen = ~_finite(state) & (diverged[player] < 0) & (count > 0)
                last = start + count - 1
                diverged = diverged | {player: jnp.where(unseen, last, diverged[player])}
        return d, g, Tally(*totals, diverged, lax.pmax(stop, AXIS))

    in_axes = (None, None, None, 0, 0, None, None, None, None)
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
