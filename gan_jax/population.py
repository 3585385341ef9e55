"""Many runs at once: a population over seeds and hyperparameters, in one compiled program.

Its members are configurations that differ in numbers only. All else is traced: learning rates,
penalties' weights, half-lives and seeds differ from member to member without compiling anything
again. A member's run is, up to rounding, what `gan_jax.train` makes of its configuration.
"""

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
from gan_jax.config import Config, differences, from_dict, to_dict, to_json
from gan_jax.data import Examples, Order, Source, load
from gan_jax.data.held_out import hold_out
from gan_jax.data.sources import MIXTURES
from gan_jax.errors import InputError
from gan_jax.networks.layers import canonical_form
from gan_jax.program import make_batches
from gan_jax.state import TrainState
from gan_jax.steps import Alternation, iterate

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
        self._objective = jax.tree.structure(objectives[0])
        if any(jax.tree.structure(o) != self._objective for o in objectives):
            raise InputError("members of a population have the same penalties: none of weight 0")
        self._numbers = _stack([jax.tree.leaves(o) for o in objectives])
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
            arguments = self._arguments(d, g, iteration, count)
            d, g, part = self._program(arguments)(*arguments)
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

    def memory(self) -> int:
        """Bytes that training takes beside the data, by XLA's account. Compiles the program."""
        arguments = self._arguments(*self._first_states(), 0, 0)
        program = self._program(arguments)
        program.compile(*arguments)
        analysis = program.compiled.memory_analysis()
        return analysis.temp_size_in_bytes + analysis.output_size_in_bytes

    def _arguments(self, d: TrainState, g: TrainState, start: int, count: int) -> tuple:
        rows = self._rows(start, count)
        return (
            d, g, self._numbers, self._resident, rows, self._keys,
            np.int32(start), np.int32(count),
        )  # fmt: skip

    def _program(self, arguments: tuple) -> CompiledFast:
        """The program for arguments like these: one of before, if there was one."""
        settings = {
            "objective": self._objective,
            "alternation": self.config.alternation,
            "flip": self.config.data.flip,
            "shared": self._shared,
            # Several kernels at once are a grouped convolution, which is slow on CPU: there
            # members with convolutions come one after another, in the same program.
            "vectorized": not (canonical_form() and len(self.data.shape) == 3),
        }
        leaves, structure = jax.tree.flatten(arguments)
        shapes = tuple((x.shape, x.dtype) for x in leaves)
        key = (structure, shapes, *settings.values())
        if key not in programs:
            programs[key] = _make_program(**settings)
        return programs[key]

    def _first_states(self) -> tuple[TrainState, TrainState]:
        """Of all members, with their learning rates in their optimisers' states."""
        states = []
        for config in self._configs:
            players = build.states(_canonical(config), self.data, traced=True)
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


def _canonical(config: Config) -> Config:
    """The same with 1 for all traced numbers but the seed: equal for all members, so that their
    states hold the same functions, and programs compiled for one serve all."""
    tree = to_dict(config)
    for name in set(TRACED) - {"seed"}:
        section, field = name.split(".")
        if tree[section][field]:
            tree[section][field] = 1.0
    return from_dict(Config, tree)


def _stack(trees: Sequence[PyTree]) -> PyTree:
    """All leaves with a leading axis; plain numbers become float32."""

    def stack(*leaves):
        numbers = isinstance(leaves[0], int | float)
        return jnp.asarray(leaves, jnp.float32) if numbers else jnp.stack(leaves)

    return jax.tree.map(stack, *trees)


programs: dict[Any, CompiledFast] = {}
"""All that were compiled in this process."""


def _make_program(
    *, objective: Any, alternation: Alternation, flip: bool, shared: bool, vectorized: bool
) -> CompiledFast:
    """`objective` is the structure of one, whose numbers the program is given."""

    def program(d, g, numbers, resident, rows, keys, start, count):
        def run(member):
            d, g, numbers, rows, key = member[:5]
            own = resident if shared else member[5]
            played = jax.tree.unflatten(objective, numbers)

            def batches_at(i, key):
                examples = jax.tree.map(lambda x: x[rows[i]], own)
                return make_batches(examples, key, flip=flip, axis_name=None)

            d, g, tally = iterate(
                d, g, batches_at, key, start=start, count=count, objective=played,
                alternation=alternation,
            )  # fmt: skip
            return d, g, tally.sums

        members = (d, g, numbers, rows, keys, *(() if shared else (resident,)))
        return jax.vmap(run)(members) if vectorized else lax.map(run, members)

    return CompiledFast(jax.jit(program, donate_argnums=(0, 1)))
