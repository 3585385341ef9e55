"""The algorithm: one update of one player, one iteration of both, and many of these.

Everything here is pure. Nothing is donated, nothing is remembered; what is random is a function of
the key. With an `axis_name` the functions run inside `pmap`, `shard_map` or `vmap` on one part of a
global batch, and give on every member what one call on the whole batch gives.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, Key

from gan_jax import parallel, schedules
from gan_jax.objectives.protocols import Batch, Objective
from gan_jax.state import TrainState

Metrics = dict[str, Float[Array, "..."]]

DISCRIMINATOR, GENERATOR = 0, 1  # folded into an iteration's key


@functools.partial(jax.jit, static_argnames="axis_name")
def d_step(
    d: TrainState,
    g: TrainState,
    batch: Batch,
    key: Key[Array, ""],
    *,
    objective: Objective,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One update of the discriminator `d` against the constant generator `g`.

    `batch` holds `real` [B, …] and, for conditional models, `label` int32 [B], or in its place
    `condition` float [B, k]. The metrics are scalars: those of the objective (for `Adversarial`:
    `loss` without penalties, `penalty`, `accuracy`, the mean logits), `grad_norm`, the gradient's
    global norm, and `update_ratio`, the norm of the update over that of the parameters.
    """

    _check_roles(d, g)
    objective = schedules.resolve(objective, _images_seen(d, batch, axis_name))
    return _update(d, g, objective.d_loss, batch, key, axis_name)


@functools.partial(jax.jit, static_argnames="axis_name")
def g_step(
    g: TrainState,
    d: TrainState,
    batch: Batch,
    key: Key[Array, ""],
    *,
    objective: Objective,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One update of the generator `g`, and of its moving average, against the constant `d`.

    `batch` is as for `d_step`; its size is the number of examples generated. Its `real` examples
    matter to relativistic losses only, its labels to conditional models.
    """

    _check_roles(d, g)
    images_seen = _images_seen(g, batch, axis_name)
    objective = schedules.resolve(objective, images_seen)
    new, metrics = _update(g, d, objective.g_loss, batch, key, axis_name)
    if g.ema_params is not None and objective.ema is not None:
        batch_size = _batch_size(batch, axis_name)
        new = objective.ema.follow(g, new, images_seen, batch_size)
    return new, metrics


def _check_roles(d: TrainState, g: TrainState) -> None:
    """
    Raises:
        ValueError: they are the other way around, which a moving average gives away.
    """
    if d.ema_params is not None and g.ema_params is None:
        raise ValueError(_OTHER_WAY_AROUND)


_OTHER_WAY_AROUND = (
    "these are the generator's state where the discriminator's belongs, and the other way around: "
    "d_step(d, g, …), g_step(g, d, …), alternate(d, g, …)"
)


def _batch_size(batch: Batch, axis_name: str | None) -> int:
    return jax.tree.leaves(batch)[0].shape[0] * parallel.size(axis_name)


def _images_seen(state: TrainState, batch: Batch, axis_name: str | None) -> Float[Array, "..."]:
    """By the player under training so far."""
    return state.step.astype(jnp.float32) * _batch_size(batch, axis_name)  # int32 would end at 2³¹


def _update(
    state: TrainState,
    opponent: TrainState,
    loss: Callable[..., Any],
    batch: Batch,
    key: Key[Array, ""],
    axis_name: str | None,
) -> tuple[TrainState, Metrics]:
    for name, x in batch.items():
        # Images as they are stored would be taken for numbers from 0 to 255.
        if (name == "real" or x.ndim == 4) and not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"batch[{name!r}] is {x.dtype}: scale images to floats in [−1, 1]")
    parallel.check_named((state, opponent), batch, axis_name)
    here, there = parallel.varying((state, opponent), axis_name)
    try:
        (_, aux), gradients = jax.value_and_grad(loss, has_aux=True)(
            here.params, here, there, batch, key, axis_name
        )
    except Exception as error:  # of any kind: networks raise it
        if _traces(loss, there.params, there, here, batch, key, axis_name):
            raise ValueError(_OTHER_WAY_AROUND) from error
        raise
    gradients, collections, metrics = parallel.mean(
        (gradients, aux.collections, aux.metrics), axis_name
    )
    new = state.updated(gradients, collections)
    update = jax.tree.map(jnp.subtract, new.params, state.params)
    return new, metrics | {
        "grad_norm": optax.tree.norm(gradients),
        "update_ratio": optax.tree.norm(update) / optax.tree.norm(state.params),
    }


def _traces(function: Callable[..., Any], *arguments: Any) -> bool:
    *traced, axis_name = arguments
    try:
        jax.eval_shape(lambda *traced: function(*traced, axis_name), *traced)
    except Exception:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Alternation:
    """How the updates of both players alternate.

    Within each iteration, `d_steps` discriminator updates are followed by `g_steps` generator
    updates. Or, if `d_epochs` and `g_epochs` are given, in periods: the discriminator alone trains
    for `d_epochs` epochs, then the generator alone for `g_epochs`, and so on; an iteration is then
    one update of the player whose period it is.

    Raises:
        ValueError: negative or no steps, one period without the other, or periods with several
            steps an iteration.
    """

    d_steps: int = 1
    """Discriminator updates in an iteration, each on a batch of its own."""
    g_steps: int = 1
    """Generator updates in an iteration."""
    d_epochs: int | None = None
    """Train in periods, beginning with the discriminator alone for this many epochs."""
    g_epochs: int | None = None
    """Then the generator alone for this many epochs, and so on."""

    def __post_init__(self):
        if min(self.d_steps, self.g_steps) < 0 or self.d_steps + self.g_steps == 0:
            raise ValueError(
                f"no updates in {self}: d_steps and g_steps count from 0, one above it"
            )
        if (self.d_epochs is None) != (self.g_epochs is None):
            raise ValueError("periods need both d_epochs and g_epochs")
        if self.d_epochs is not None and self.g_epochs is not None:
            if min(self.d_epochs, self.g_epochs) < 1:
                raise ValueError("d_epochs and g_epochs count from 1")
            if (self.d_steps, self.g_steps) != (1, 1):
                raise ValueError("in periods an iteration is one update: leave d_steps and g_steps")

    @property
    def batches(self) -> int:
        """Batches that one iteration consumes."""
        return max(self.d_steps, 1)

    def during(self, epoch: int) -> "Alternation":
        """What an iteration in this epoch of the data does, without periods."""
        if self.d_epochs is None or self.g_epochs is None:
            return self
        if epoch % (self.d_epochs + self.g_epochs) < self.d_epochs:
            return Alternation(d_steps=1, g_steps=0)
        return Alternation(d_steps=0, g_steps=1)


@functools.partial(jax.jit, static_argnames=("alternation", "axis_name"))
def alternate(
    d: TrainState,
    g: TrainState,
    batches: Batch,
    key: Key[Array, ""],
    *,
    objective: Objective,
    alternation: Alternation,
    axis_name: str | None = None,
) -> tuple[TrainState, TrainState, dict[str, Metrics]]:
    """One iteration of Goodfellow's Algorithm 1: `(d, g, {"d": metrics, "g": metrics})`.

    `batches` holds `alternation.batches` batches, stacked: leaves [batches, B, …]. Discriminator
    update `i` sees batch `i` and the key `fold_in(fold_in(key, 0), i)`; generator update `j` sees
    batch `j mod batches` and the key `fold_in(fold_in(key, 1), j)`. Metrics are averages over the
    iteration's updates; a player without updates has no entry. Periods do not matter here: pass
    `alternation.during(epoch)`.

    Source: Goodfellow et al., "Generative Adversarial Nets", 2014, algorithm 1.

    Raises:
        ValueError: another number of batches.
    """
    found = {name: len(leaf) for name, leaf in batches.items()}
    if set(found.values()) != {alternation.batches}:
        raise ValueError(
            f"an iteration with d_steps={alternation.d_steps} takes {alternation.batches} "
            f"batch(es), stacked on a leading axis: [{alternation.batches}, B, …]; "
            f"that axis is {' and '.join(f'{n} for {name!r}' for name, n in found.items())}"
        )
    options = {"objective": objective, "axis_name": axis_name}

    def batch(i):
        return jax.tree.map(lambda x: x[i % x.shape[0]], batches)

    def d_update(d, i):
        return d_step(d, g, batch(i), _update_key(key, DISCRIMINATOR, i), **options)

    d, d_metrics = _repeat(d_update, d, alternation.d_steps)

    def g_update(g, j):
        return g_step(g, d, batch(j), _update_key(key, GENERATOR, j), **options)

    g, g_metrics = _repeat(g_update, g, alternation.g_steps)
    metrics = {"d": d_metrics, "g": g_metrics}
    return d, g, {player: m for player, m in metrics.items() if m}


def _update_key(key: Key[Array, ""], player: int, i: int | Array) -> Key[Array, ""]:
    return jax.random.fold_in(jax.random.fold_in(key, player), i)


def _repeat(update, state: TrainState, times: int) -> tuple[TrainState, Metrics]:
    """`times` updates in a row, and their metrics' averages. One is not worth a loop."""
    if times == 0:
        return state, {}
    if times == 1:
        return update(state, 0)
    state, metrics = lax.scan(update, state, jnp.arange(times))
    return state, jax.tree.map(lambda m: jnp.mean(m, axis=0), metrics)


class Tally(NamedTuple):
    """What several iterations measured. Its dicts are by player, `d` and `g`; a player without
    updates has no entry."""

    sums: dict[str, Metrics]
    """Sums of each metric over the iterations."""
    updated: dict[str, Int[Array, "..."]]
    """In how many of them the player was updated."""
    diverged: dict[str, Int[Array, "..."]]
    """The first iteration whose loss or gradient was not finite (the last one, if only the state is
    not), −1 if none."""


class Pace(NamedTuple):
    """How often each player is updated: in one of every so many iterations."""

    d_every: int | Int[Array, "..."] = 1
    g_every: int | Int[Array, "..."] = 1


def iterate(
    d: TrainState,
    g: TrainState,
    batches_at: Callable[[Array, Array], Batch],
    key: Key[Array, ""],
    *,
    start: int | Int[Array, ""] = 0,
    count: int | Int[Array, ""],
    objective: Objective,
    alternation: Alternation,
    axis_name: str | None = None,
    pace: Pace | None = None,
) -> tuple[TrainState, TrainState, Tally]:
    """`alternate`, `count` times in a compiled loop: iterations `start` to `start + count − 1`.

    The key of iteration `n` is `fold_in(key, n)`, so it does not matter into how many calls a
    training is cut. `batches_at(i, key)` gives the batches of the call's `i`-th iteration, counted
    from 0, of which `key` is the key. With batches that are all there, [count, batches, B, …]:

        train = gan_jax.jit(
            lambda d, g, stacked, start: iterate(
                d, g, lambda i, _: jax.tree.map(lambda x: x[i], stacked), key,
                start=start, count=100, objective=objective, alternation=Alternation(),
            ),
            donate_argnums=(0, 1),
        )
        d, g, tally = train(d, g, stacked, 0)
        means = jax.tree.map(lambda total: total / 100, tally.sums)

    A `count` that is traced serves all lengths with one compilation. Under a `pace`, of whose
    numbers one at least is 1, a player is updated only in iterations that its number divides.
    """

    def iteration(d, g, i):
        iteration_key = jax.random.fold_in(key, start + i)
        batches = batches_at(i, iteration_key)
        options = {"objective": objective, "alternation": alternation, "axis_name": axis_name}
        if pace is None:
            return _counted(d, g, batches, iteration_key, **options)
        due = (start + i) % pace.d_every == 0, (start + i) % pace.g_every == 0
        return _paced(d, g, batches, iteration_key, due, **options)

    def step(i, carry):
        d, g, totals, diverged = carry
        d, g, metrics, updated = iteration(d, g, i)
        for player, values in metrics.items():
            finite = jnp.isfinite(values["loss"]) & jnp.isfinite(values["grad_norm"])
            first = ~finite & (diverged[player] < 0)
            diverged = diverged | {player: jnp.where(first, start + i, diverged[player])}
        return d, g, jax.tree.map(jnp.add, totals, (metrics, updated)), diverged

    _, _, *shapes = jax.eval_shape(iteration, d, g, jnp.int32(0))
    totals = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), tuple(shapes))
    diverged = {player: jnp.full((), -1, jnp.int32) for player in totals[1]}
    d, g, (sums, updated), diverged = lax.fori_loop(0, count, step, (d, g, totals, diverged))
    # A finite gradient can make an update that is not; nothing like it may be saved.
    for player, state in (("d", d), ("g", g)):
        if player in diverged:
            unseen = ~_finite(state) & (diverged[player] < 0) & (count > 0)
            last = start + count - 1
            diverged = diverged | {player: jnp.where(unseen, last, diverged[player])}
    return d, g, Tally(sums, updated, diverged)


def _counted(
    d: TrainState, g: TrainState, batches: Batch, key: Key[Array, ""], **options: Any
) -> tuple[TrainState, TrainState, dict[str, Metrics], dict[str, Array]]:
    """One iteration, and 1 for each player that it updates."""
    d, g, metrics = alternate(d, g, batches, key, **options)
    return d, g, metrics, {player: jnp.int32(1) for player in metrics}


def _paced(
    d: TrainState,
    g: TrainState,
    batches: Batch,
    key: Key[Array, ""],
    due: tuple[Array, Array],
    *,
    alternation: Alternation,
    **options: Any,
) -> tuple[TrainState, TrainState, dict[str, Metrics], dict[str, Array]]:
    """One iteration of those players whose update is due; what the other measures is 0."""

    def branch(alternation):
        def updated(operands):
            d, g, metrics, counts = _counted(*operands, alternation=alternation, **options)
            return d, g, idle[0] | metrics, idle[1] | counts

        return updated

    operands, (d_due, g_due) = (d, g, batches, key), due
    _, _, *both = jax.eval_shape(
        lambda operands: _counted(*operands, alternation=alternation, **options), operands
    )
    idle = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), tuple(both))
    branches = [branch(alternation), branch(_D_ALONE), branch(_G_ALONE)]
    return lax.switch(jnp.where(d_due & g_due, 0, jnp.where(d_due, 1, 2)), branches, operands)


_D_ALONE, _G_ALONE = Alternation(d_steps=1, g_steps=0), Alternation(d_steps=0, g_steps=1)


def _finite(state: TrainState) -> Array:
    leaves = jax.tree.leaves((state.params, state.collections, state.ema_params))
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
