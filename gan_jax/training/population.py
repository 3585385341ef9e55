"""Many runs at once: a population over seeds and hyperparameters, in one compiled program.

Its members are configurations that differ in numbers only. All else is traced: learning rates,
penalties' weights, half-lives and seeds differ from member to member without compiling anything
again. A member's run is, up to rounding, what `gan_jax.train` makes of its configuration.
"""

import functools
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Float, PyTree

from gan_jax.compilation import CompiledFast
from gan_jax.config import LEARNING_RATE, Config, differences, from_dict, to_dict
from gan_jax.data import Feed
from gan_jax.errors import InputError
from gan_jax.networks.layers import canonical_form
from gan_jax.regularizers import PENALTIES
from gan_jax.state import TrainState
from gan_jax.steps import Alternation, iterate
from gan_jax.tasks.base import TRAINING, Dataset, Task, initial_states, stream_key
from gan_jax.training.program import PREPARATION

TRACED = (
    "seed",
    "d_optimizer.learning_rate",
    "g_optimizer.learning_rate",
    *(f"objective.penalties.{name}" for name in PENALTIES),
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
        """Both states of one member, on the host."""
        return jax.tree.map(lambda x: np.asarray(x[i]), (self.d, self.g))

    def member_averages(self, i: int) -> dict[str, float]:
        return {name: float(values[i]) for name, values in self.averages.items()}


class Population:
    """Runs that differ in the `TRACED` fields only, on data that are in memory.

    Args:
        configs: One for each member.
        datasets: What each trains on; they may be the same object.

    Raises:
        InputError: members that differ in something else, or in whether they have a penalty at all,
            or in how their data are standardized, or alternate by epochs, or are balanced.
    """

    def __init__(self, configs: Sequence[Any], datasets: Sequence[Dataset]):
        self.config, self._configs = configs[0], configs
        for config in configs:
            changed = differences(self.config, config)
            names = {change.partition(":")[0] for change in changed} - set(TRACED)
            if names:
                names = ", ".join(sorted(names))
                raise InputError(f"members of a population cannot differ in {names}")
        if self.config.balance or self.config.alternation.d_epochs is not None:
            raise InputError("members of a population alternate within each iteration")
        self._tasks: list[Task] = [
            config.build(dataset.description)
            for config, dataset in zip(configs, datasets, strict=True)
        ]
        if len({getattr(task.data, "scaling", None) for task in self._tasks}) > 1:
            raise InputError("members of a population are standardized alike: by the same data")
        objectives = [task.objective for task in self._tasks]
        self._objective = jax.tree.structure(objectives[0])
        if any(jax.tree.structure(o) != self._objective for o in objectives):
            raise InputError("members of a population have the same penalties: none of weight 0")
        self._numbers = _stack([jax.tree.leaves(o) for o in objectives])
        self._shared = all(dataset is datasets[0] for dataset in datasets)
        self._feeds = [
            _feed(config, dataset) for config, dataset in zip(configs, datasets, strict=True)
        ]
        resident = [feed.resident for feed in self._feeds]
        self._resident = jax.tree.map(
            jnp.asarray, resident[0] if self._shared else _stack(resident)
        )
        self._keys = jnp.stack([stream_key(config.seed, TRAINING) for config in configs])

    def train(self, every: int | None = None) -> Iterator[Progress]:
        """Trains all members; yields them after every so many iterations, and at the end."""
        end = self.config.iterations
        interval = every or end
        d, g = self._first_states()
        iteration, sums = 0, None
        while iteration < end:
            boundary = min(iteration - iteration % interval + interval, end)
            count = min(_CALL, boundary - iteration)
            arguments = self._arguments(d, g, iteration, count)
            d, g, part = self._program(arguments)(*arguments)
            sums = part if sums is None else jax.tree.map(jnp.add, sums, part)
            iteration += count
            if iteration == boundary:
                since = iteration % interval or interval
                averages = {
                    f"{network}/{name}": np.asarray(values) / since
                    for network, metrics in sums.items()
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
            "prepared_by": _canonical(self._tasks[0]).essence(),
            "shared": self._shared,
            # Several kernels at once are a grouped convolution, which is slow on CPU: there
            # members with convolutions come one after another, in the same program.
            "vectorized": not (canonical_form() and _is_images(self._resident)),
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
        for task in self._tasks:
            first = initial_states(_canonical(task, seed=task.config.seed), traced=True)
            states.append(
                tuple(
                    state.replace(
                        opt_state=optax.tree.set(state.opt_state, **{LEARNING_RATE: rate})
                    )
                    for state, rate in zip(first, task.config.learning_rates, strict=True)
                )
            )
        return _stack(states)

    def _rows(self, start: int, count: int) -> PyTree[np.ndarray]:
        """Indices of examples: leaves int32 [members, _CALL, batches, batch_size]."""
        members = [feed.rows(start, count) for feed in self._feeds]
        return jax.tree.map(lambda *rows: np.concatenate(rows), *members)


def _feed(config: Config, dataset: Dataset) -> Feed:
    """What a member trains on, for a device of its own."""
    return Feed(
        dataset.streams,
        [stream.order(config.seed, config.batch_size) for stream in dataset.streams],
        batches=config.alternation.batches,
        capacity=_CALL,
        iterations=config.iterations,
        axis_indices=np.zeros(1, int),
        members=1,
    )


def _is_images(resident: PyTree) -> bool:
    return any(x.dtype == jnp.uint8 for x in jax.tree.leaves(resident))


def load_members(configs: Sequence[Any], data_dir: str | None = None) -> list[Dataset]:
    """What each member trains on, in memory, and what is held out: as in `gan_jax.train`.

    Raises:
        InputError: data that are missing, or do not fit.
    """
    datasets: dict[str, Dataset] = {}
    chosen = []
    for config in configs:
        # Those that are drawn from the seed differ with it.
        seed = config.seed if config.data.is_drawn else 0
        key = json.dumps([to_dict(config.data), seed])
        if key not in datasets:
            datasets[key] = config.load(data_dir=data_dir, budget_bytes=math.inf)
        chosen.append(datasets[key])
    return chosen


def _canonical(task: Task, seed: int = 0) -> Task:
    """The same with 1 for all traced numbers but the seed: equal for all members, so that their
    states hold the same functions, and programs compiled for one serve all."""
    tree = to_dict(task.config)
    for name in TRACED:
        *path, last = name.split(".")
        section = functools.reduce(lambda inner, part: inner.get(part, {}), path, tree)
        if section.get(last) and path:
            section[last] = 1.0
    tree["seed"] = seed
    config: Any = from_dict(Config, tree)
    return config.build(task.data)


def _stack(trees: Sequence[PyTree]) -> PyTree:
    """All leaves with a leading axis; plain numbers become float32."""

    def stack(*leaves):
        numbers = isinstance(leaves[0], int | float)
        return jnp.asarray(leaves, jnp.float32) if numbers else jnp.stack(leaves)

    return jax.tree.map(stack, *trees)


programs: dict[Any, CompiledFast] = {}
"""All that were compiled in this process."""


def _make_program(
    *, objective: Any, alternation: Alternation, prepared_by: Task, shared: bool, vectorized: bool
) -> CompiledFast:
    """`objective` is the structure of one, whose numbers the program is given."""

    def program(d, g, numbers, resident, rows, keys, start, count):
        def run(member):
            d, g, numbers, rows, key = member[:5]
            own = resident if shared else member[5]

            def batches_at(i, key):
                examples = Feed.select(own, jax.tree.map(lambda x: x[i], rows))
                return prepared_by.prepare(examples, jax.random.fold_in(key, PREPARATION), None)

            d, g, tally = iterate(
                d,
                g,
                batches_at,
                key,
                start=start,
                count=count,
                objective=jax.tree.unflatten(objective, numbers),
                alternation=alternation,
            )
            return d, g, tally.sums

        members = (d, g, numbers, rows, keys, *(() if shared else (resident,)))
        return jax.vmap(run)(members) if vectorized else lax.map(run, members)

    return CompiledFast(jax.jit(program, donate_argnums=(0, 1)))
