"""The training loop: what the host does while the devices train.

It keeps one call of the program in flight, and writes down what a call gave while the next one
runs.
"""

import dataclasses
import functools
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from gan_jax import build, figures, runs, sampling
from gan_jax.config import Config, differences
from gan_jax.data import Description, Feed, Order, Source, load, make_feed
from gan_jax.errors import DivergedError, InputError
from gan_jax.logs import Log
from gan_jax.program import Tally, axis_indices, make_program, replicate
from gan_jax.runs import Origin, Run
from gan_jax.state import TrainState
from gan_jax.steps import Alternation

_CPU_BUDGET = 2 * 2**30
_PLAYERS = {"d": "discriminator", "g": "generator"}


class Result(NamedTuple):
    """What a run leaves: both players, and where the rest is."""

    d: TrainState
    g: TrainState
    directory: Path


def train(
    config: Config,
    *,
    out: str | Path | None = None,
    fork: str | Path | None = None,
    data_dir: str | None = None,
    skip_bad_images: bool = False,
) -> Result:
    """Runs an experiment, or goes on with it where it stopped.

    Args:
        config: What to run.
        out: The run's directory, by default `runs/NAME`. If it holds a run already, that one is
            resumed from its latest checkpoint; then `config` may differ in how long to run and how
            often to log, sample and save, and in nothing else.
        fork: Start a new run in this directory from the latest checkpoint in `out`, under `config`,
            which may differ in whatever leaves the networks and optimisers the same shape.
        data_dir: Where TFDS datasets are prepared.
        skip_bad_images: Leave out images that cannot be decoded.

    Returns:
        The final states on the host, and the directory.

    Raises:
        InputError: something about the input has to change.
        DivergedError: a loss or gradient was not finite.
        KeyboardInterrupt: after SIGINT or SIGTERM, once a checkpoint is saved.
    """
    config.validate()
    check_devices(config)
    directory = Path(out) if out is not None else Path("runs") / config.name
    forked, origin = None, None
    if fork is not None:
        forked, directory = Run.open(directory), Path(fork)
        if directory.resolve() == forked.directory.resolve():
            raise InputError(f"a fork needs a directory of its own, not {directory}")
    if runs.exists(directory):
        _check_resumable(Run.open(directory), config)

    source = load(
        config.data,
        seed=config.seed,
        conditional=config.objective.conditional,
        data_dir=data_dir,
        skip_bad_images=skip_bad_images,
        budget_bytes=_budget(config),
    )
    data = source.description
    check_data(config, data)
    like = jax.eval_shape(lambda: build.states(config, data))
    if runs.exists(directory):
        _check_same_data(Run.open(directory), data)
    elif forked is not None:
        origin = Origin(str(forked.directory), forked.latest())
        forked.states(origin.iteration, like)  # refused here, before anything is written
    return _Session(config, data, source, directory, origin, like).run()


def check_devices(config: Config) -> None:
    """
    Raises:
        InputError: the devices do not divide the batch.
    """
    members = jax.device_count()
    if config.batch_size % members:
        raise InputError(
            f"a batch of {config.batch_size} does not divide into {members} devices: set "
            f"batch_size to a multiple of {members}"
        )


def check_data(config: Config, data: Description) -> None:
    """
    Raises:
        InputError: the batch is larger than the data.
    """
    if config.batch_size > data.examples:
        raise InputError(
            f"a batch of {config.batch_size} is larger than the data: {data.examples} examples in "
            f"{config.data.source}"
        )


def _check_resumable(run: Run, config: Config) -> None:
    changed = differences(run.config, config)
    if changed:
        raise InputError(
            f"{run.directory} holds a run of another configuration ({'; '.join(changed)}): give "
            "another --out, or --fork NEW_DIR to start a new run from its checkpoint"
        )


def _check_same_data(run: Run, data: Description) -> None:
    if run.data != data:
        raise InputError(
            f"the data have changed since {run.directory} was begun ({run.data.examples} examples "
            f"then, {data.examples} now): give another --out, or --fork NEW_DIR"
        )


def _budget(config: Config) -> float:
    """Bytes of data that may live on a device."""
    if config.data.budget_gib is not None:
        return config.data.budget_gib * 2**30
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    on_cpu = jax.default_backend() == "cpu" or not memory
    return _CPU_BUDGET if on_cpu else memory / 4


@dataclasses.dataclass
class _Call:
    """A call of the program whose results have not been looked at."""

    end: int
    count: int
    tally: Tally
    pictures: jax.Array | None = None


class _Session:
    """One process's part in a run, from its start or resumption to its end."""

    def __init__(
        self,
        config: Config,
        data: Description,
        source: Source,
        directory: Path,
        origin: Origin | None,
        like: tuple[TrainState, TrainState],
    ):
        self.config, self.data, self.source, self.like = config, data, source, like
        self.main = jax.process_index() == 0
        if self.main:
            self.run_ = Run.create(directory, config, data, origin)
        else:
            self.run_ = Run(directory, config, data)
        _wait_for_all("run directory")
        self.checkpoints = self.run_.checkpoints()
        self.order = Order(config.seed, data.examples, config.batch_size)
        self.key = jax.random.fold_in(jax.random.key(config.seed), build.TRAINING)
        self.stopping = False
        self._programs: dict[Alternation, Callable] = {}

    # What follows is in the order in which it happens.

    def run(self) -> Result:
        start, d, g = self._first_states()
        d, g = replicate((d, g))
        self.feed = self._make_feed()
        self.resident = replicate(self.feed.resident)
        self.log = (
            Log(self.run_.directory, start=start, iterations=self.config.iterations)
            if self.main
            else None
        )
        try:
            with _stop_on_signals(self):
                self._announce(start)
                d, g, reached = self._iterate(d, g, start)
        finally:
            self.checkpoints.close()
            if self.log:
                self.log.close()
        if reached < self.config.iterations:
            raise KeyboardInterrupt(reached)
        return Result(*jax.tree.map(np.asarray, (d, g)), self.run_.directory)

    def _first_states(self) -> tuple[int, TrainState, TrainState]:
        """Where to start, from a checkpoint or from the seed."""
        latest = self.checkpoints.latest()
        if latest is not None:
            return latest, *self.checkpoints.restore(latest, *self.like)
        origin = self.run_.origin()
        if origin is not None:
            return origin.iteration, *Run.open(origin.directory).states(origin.iteration, self.like)
        initial = jax.jit(functools.partial(build.states, self.config, self.data))
        return 0, *jax.tree.map(np.asarray, initial())

    def _make_feed(self) -> Feed:
        config = self.config
        return make_feed(
            self.source,
            self.order,
            batches=config.alternation.batches,
            capacity=config.log_every,
            iterations=config.iterations,
            axis_indices=axis_indices(),
            members=jax.device_count(),
            labels=config.objective.conditional,
        )

    def _announce(self, start: int) -> None:
        if not self.log:
            return
        data, directory = self.data, self.run_.directory
        shape = "×".join(map(str, data.shape))
        self.log.say(
            f"{self.config.name}: {data.examples:,} examples of {shape} on "
            f"{jax.device_count()} {jax.default_backend().upper()} device(s), in {directory}"
        )
        skipped = getattr(self.source, "skipped", 0)
        if skipped:
            self.log.say(f"skipped {skipped} images that cannot be read")
        if start >= self.config.iterations:
            self.log.say(f"it has been trained for {start:,} iterations already")
        elif start:
            self.log.say(f"going on from the checkpoint at iteration {start:,}")

    def _iterate(
        self, d: TrainState, g: TrainState, start: int
    ) -> tuple[TrainState, TrainState, int]:
        """Trains until the end or until asked to stop; returns the iteration reached."""
        config = self.config
        if start >= config.iterations:
            return d, g, start
        iteration, saved, flying = start, self.checkpoints.latest(), None
        if iteration and saved is None:
            self.checkpoints.save(iteration, d, g)  # a fork, from now on, stands on its own
            saved = iteration
        d, g, _ = self._call(d, g, iteration, 0)  # compiles
        self.interval = _Interval(iteration)
        self.began = time.monotonic()
        stopped = False
        while iteration < config.iterations and not stopped:
            count = self._next_boundary(iteration) - iteration
            d, g, tally = self._call(d, g, iteration, count)
            iteration += count
            if flying is not None:
                stopped = self._report(flying)
            flying = _Call(iteration, count, tally)
            if iteration % config.sample_every == 0 or iteration == config.iterations:
                flying.pictures = self._pictures(g)
            if iteration % config.checkpoint_every == 0:
                # Nothing is saved before it is known to be finite.
                stopped |= self._report(flying)
                flying = None
                self.checkpoints.save(iteration, d, g)
                saved = iteration
        if flying is not None:
            self._report(flying)
        if saved != iteration:
            self.checkpoints.save(iteration, d, g)
        return d, g, iteration

    def _call(self, d: TrainState, g: TrainState, start: int, count: int):
        turn = self.config.alternation.turn(self._epoch(start))
        if turn not in self._programs:
            self._programs[turn] = make_program(
                build.objective(self.config), self.feed, turn, flip=self.config.data.flip
            )
        stop = np.full(jax.local_device_count(), self.stopping, np.int32)
        rows = self.feed.rows(start, count)
        return self._programs[turn](
            d, g, self.resident, rows, stop, np.int32(start), np.int32(count), self.key
        )

    def _epoch(self, iteration: int) -> int:
        return self.order.epoch(iteration * self.config.alternation.batches)

    def _next_boundary(self, iteration: int) -> int:
        """Up to where the next call goes: there something has to be done, or it is full."""
        config = self.config
        ends = [
            iteration - iteration % every + every
            for every in (config.log_every, config.sample_every, config.checkpoint_every)
        ]
        if config.alternation.d_epochs is not None:
            ends.append(self.order.first_batch(self._epoch(iteration) + 1))
        return min(*ends, config.iterations, iteration + self.feed.capacity)

    def _pictures(self, g: TrainState) -> jax.Array | None:
        """Samples of the fixed latents. They are computed on the device before the next call may
        overwrite `g`, and fetched later."""
        if not self.main:
            return None
        n, _ = _sheet_size(self.data, self.config.objective.conditional)
        key = jax.random.fold_in(jax.random.key(self.config.seed), build.PICTURES)
        label = self.run_.labels(n)
        label = None if label is None else jnp.sort(label)
        latent_dim = self.config.objective.latent_dim
        return sampling.sample(g, key, n, latent_dim=latent_dim, label=label, batch_size=n)

    def _report(self, call: _Call) -> bool:
        """Waits for a call, writes down what it gave, and says whether to stop.

        Raises:
            DivergedError: one of its losses or gradients was not finite.
        """
        tally = jax.tree.map(np.asarray, call.tally)
        for player, iteration in tally.diverged.items():
            if iteration >= 0:
                latest = self.checkpoints.latest()
                last = (
                    "there is no checkpoint yet"
                    if latest is None
                    else (f"the last good checkpoint is {self.checkpoints.directory / str(latest)}")
                )
                raise DivergedError(
                    f"the {_PLAYERS[player]}'s loss or gradient is not finite at iteration "
                    f"{iteration}; {last}"
                )
        self.interval.add(call.count, tally.sums)
        at_end = call.end == self.config.iterations
        if self.log and (call.end % self.config.log_every == 0 or at_end):
            self.log.entry(call.end, self._numbers(call.end))
            self.interval = _Interval(call.end)
        if self.log and call.pictures is not None:
            array = self._draw(np.asarray(call.pictures))
            figures.save(array, self.run_.directory / "samples" / f"{call.end:07}.png")
            self.log.picture(call.end, array)
        return bool(tally.stop)

    def _numbers(self, iteration: int) -> dict[str, float]:
        per_iteration = self.config.batch_size * self.config.alternation.batches
        seconds = time.monotonic() - self.interval.began
        images = (iteration - self.interval.start) * per_iteration
        return {
            "epoch": iteration * per_iteration / self.data.examples,
            "images": iteration * per_iteration,
            "seconds": time.monotonic() - self.began,
            "images_per_second": images / seconds,
            **self.interval.averages(),
        }

    def _draw(self, samples: np.ndarray) -> np.ndarray:
        if samples.ndim == 4:
            _, columns = _sheet_size(self.data, self.config.objective.conditional)
            return figures.sheet(samples, columns)
        real = np.stack([self.source.read(i)[0] for i in range(min(2500, self.data.examples))])
        return figures.scatter(samples, real)


class _Interval:
    """Averages of metrics since the last log entry. A player's metrics are averaged over the
    iterations that updated it."""

    def __init__(self, start: int):
        self.start, self.began = start, time.monotonic()
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, count: int, sums: dict[str, dict[str, np.ndarray]]) -> None:
        for player, metrics in sums.items():
            for metric, value in metrics.items():
                name = f"{player}/{metric}"
                self._sums[name] = self._sums.get(name, 0.0) + float(value)
                self._counts[name] = self._counts.get(name, 0) + count

    def averages(self) -> dict[str, float]:
        return {name: value / self._counts[name] for name, value in self._sums.items()}


def _sheet_size(data: Description, conditional: bool) -> tuple[int, int]:
    """How many samples to show, and in how many columns: one class a row if there are classes."""
    if len(data.shape) == 1:
        return 2500, 1
    if conditional and data.num_classes is not None and data.num_classes <= 16:
        return 10 * data.num_classes, 10
    return 64, 8


class _stop_on_signals:
    """While this lasts, the first SIGINT or SIGTERM asks the session to stop at the next boundary,
    and a second one does what it usually does."""

    def __init__(self, session: _Session):
        self._session = session
        self._previous: dict[int, Any] = {}

    def __enter__(self):
        def ask(number, frame):
            self._session.stopping = True
            self.__exit__()

        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, ask)
            except ValueError:  # not in the main thread: signals are somebody else's
                return

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


def _wait_for_all(what: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)
