"""Many runs at once: a population over seeds and hyperparameters, in one compiled program.

Its members are configurations that differ in numbers only. All else is traced: learning rates,
penalties' weights, half-lives and seeds differ from member to member without compiling anything
again. A member's run is, up to rounding, what `gan_jax.train` makes of its configuration.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Float, PyTree

from gan_jax import build
from gan_jax.compilation import CompiledFast
from gan_jax.config import Config, differences, to_json
from gan_jax.data import Examples, Order, Source, load
from gan_jax.data.held_out import hold_out
from gan_jax.data.sources import MIXTURES
from gan_jax.errors import InputError
from gan_jax.program import make_batches
from gan_jax.state import TrainState
from gan_jax.steps import Alternation, alternate

TRACED = (
    "seed",
    "d_optimizer.learning_rate",
    "g_optimizer.learning_rate",
    *(f"objective.{name}" for name in ("r1", "r2", "wgan_gp", "dragan", "lecam", "bcr")),
    "objective.label_smoothing",
    "average.half_life",
    "augmentation.probability",
    "augmentation.noise",
)
"""What members may differ in."""

_CALL = 500  # iterations


class Progress(NamedTuple):
    """A population at one moment: every leaf has a leading axis over the members."""

    iteration: int
    d: TrainState
    g: TrainState
    averages: dict[str, Float[np.ndarray, " members"]]
    """The steps' metrics, averaged over the iterations since the last time: `d/loss`, …"""

    def member(self, i: int) -> tuple[TrainState, TrainState]:
        """Both players of one member, on the host."""
        return jax.tree.map(lambda x: np.asarray(x[i]), (self.d, self.g))

    def member_averages(self, i: int) -> dict[str, float]:
        return {name: float(values[i]) for name, values in self.averages.items()}


class Population:
    """Runs that differ in the `TRACED` fields only, on data that are in memory.

    Args:
        configs: One for each member.
        sources: What each trains on; they may be the same object.

    Raises:
        InputError: members that differ in something else, or in whether they have a penalty at all,
            or take turns by epochs, or are balanced.
    """

    def __init__(self, configs: Sequence[Config], sources: Sequence[Examples]):
        self.config, self._configs = configs[0], configs
        for config in configs:
            changed = differences(self.config, config)
            names = {change.partition(":")[0] for change in changed} - set(TRACED)
            if names:
                names = ", ".join(sorted(names))
                raise InputError(f"members of a population cannot differ in {names}")
        if self.config.balance or self.config.alternation.d_epochs is not None:
            raise InputError("members of a population take their turns within each iteration")
        self.data = sources[0].description
        objectives = [build.objective(config, self.data) for config in configs]
        if len({jax.tree.structure(o) for o in objectives}) > 1:
            raise InputError("members of a population have the same penalties: none of weight 0")
        self._objectives = _stack(objectives)
        self._shared = all(source is sources[0] for source in sources)
        labels = self.config.objective.conditional
        resident = [
            {"real": source.real} | ({"label": source.label} if labels else {})
            for source in (sources[:1] if self._shared else sources)
        ]
        self._resident = jax.tree.map(
            jnp.asarray, resident[0] if self._shared else _stack(resident)
        )
        self._orders = [
            Order(config.seed, self.data.examples, config.batch_size) for config in configs
        ]
        self._keys = jnp.stack(
            [jax.random.fold_in(jax.random.key(config.seed), build.TRAINING) for config in configs]
        )

    def train(self, every: int | None = None) -> Iterator[Progress]:
        """Trains all members; yields them after every so many iterations, and at the end."""
        end = self.config.iterations
        every = every or end
        d, g = self._first_states()
        iteration, sums = 0, None
        while iteration < end:
            boundary = min(iteration - iteration % every + every, end)
            count = min(_CALL, boundary - iteration)
            arguments = (
                d, g, self._objectives, self._resident, self._rows(iteration, count), self._keys,
                np.int32(iteration), np.int32(count),
            )  # fmt: skip
            program = _program(
                arguments,
                alternation=self.config.alternation,
                flip=self.config.data.flip,
                shared=self._shared,
            )
            d, g, part = program(*arguments)
            sums = part if sums is None else jax.tree.map(jnp.add, sums, part)
            iteration += count
            if iteration == boundary:
                since = every if iteration % every == 0 else iteration % every
                averages = {
                    f"{player}/{name}": np.asarray(values) / since
                    for player, metrics in sums.items()
                    for name, values in metrics.items()
                }
                yield Progress(iteration, d, g, averages)
                sums = None

    def _first_states(self) -> tuple[TrainState, TrainState]:
        """Of all members, with their learning rates in their optimisers' states."""
        states = []
        for config in self._configs:
            same = dataclasses.replace(self.config, seed=config.seed)
            players = build.states(same, self.data, traced=True)
            states.append(
                tuple(
                    state.replace(
                        opt_state=optax.tree.set(state.opt_state, **{build.LEARNING_RATE: rate})
                    )
                    for state, rate in zip(players, build.learning_rates(config), strict=True)
                )
            )
        return _stack(states)

    def _rows(self, start: int, count: int) -> np.ndarray:
        """Indices of examples: int32 [members, _CALL, batches, batch_size]."""
        batches, size = self.config.alternation.batches, self.config.batch_size
        rows = np.zeros((len(self._orders), _CALL, batches, size), np.int32)
        for member, order in zip(rows, self._orders, strict=True):
            for i in range(count * batches):
                member[i // batches, i % batches] = order.batch(start * batches + i)
        return rows


def load_members(
    configs: Sequence[Config], data_dir: str | None = None
) -> list[tuple[Examples, Source | None]]:
    """What each member trains on, in memory, and what is held out: as in `gan_jax.train`.

    Raises:
        InputError: data that are missing, or do not fit.
    """
    sources: dict[str, tuple[Examples, Source | None]] = {}
    chosen = []
    for config in configs:
        key = to_json(config.data)
        if config.data.source in MIXTURES:  # drawn from the seed
            key += str(config.seed)
        if key not in sources:
            loaded = load(
                config.data,
                seed=config.seed,
                conditional=config.objective.conditional,
                data_dir=data_dir,
                budget_bytes=math.inf,
            )
            sources[key] = hold_out(loaded, config.data.held_out)
        chosen.append(sources[key])
    return chosen


def _stack(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *trees)


def _program(
    arguments: tuple[PyTree, ...], *, alternation: Alternation, flip: bool, shared: bool
) -> CompiledFast:
    """The program for arguments like these: one of before, if there was one."""
    leaves, structure = jax.tree.flatten(arguments)
    shapes = tuple((x.shape, x.dtype) for x in leaves)
    key = (structure, shapes, alternation, flip, shared)
    if key not in programs:
        programs[key] = _make_program(alternation=alternation, flip=flip, shared=shared)
    return programs[key]


programs: dict[Any, CompiledFast] = {}
"""All that were compiled in this process."""


def _make_program(*, alternation: Alternation, flip: bool, shared: bool) -> CompiledFast:
    def program(d, g, objective, resident, rows, keys, start, count):
        def run(d, g, objective, resident, rows, key):
            def iteration(d, g, i):
                here = jax.random.fold_in(key, start + i)
                examples = jax.tree.map(lambda x: x[rows[i]], resident)
                batches = make_batches(examples, here, flip=flip, axis_name=None)
                return alternate(d, g, batches, here, objective=objective, alternation=alternation)

            def step(i, carry):
                d, g, sums = carry
                d, g, metrics = iteration(d, g, i)
                return d, g, jax.tree.map(jnp.add, sums, metrics)

            *_, shapes = jax.eval_shape(iteration, d, g, 0)
            sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
            return lax.fori_loop(0, count, step, (d, g, sums))

        in_axes = (0, 0, 0, None if shared else 0, 0, 0)
        return jax.vmap(run, in_axes)(d, g, objective, resident, rows, keys)

    return CompiledFast(jax.jit(program, donate_argnums=(0, 1)))
