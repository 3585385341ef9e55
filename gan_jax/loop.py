"""The training loop: what the host does while the devices train.

It keeps one call of the program in flight, and writes down what a call gave while the next one
runs.
"""

import contextlib
import dataclasses
import functools
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import build, figures, sampling, start
from gan_jax.config import Config
from gan_jax.data import Description, Feed, Order, make_feed
from gan_jax.errors import DivergedError, InputError
from gan_jax.logs import Log
from gan_jax.program import Tally, axis_indices, make_program, replicate
from gan_jax.runs import Run
from gan_jax.state import TrainState
from gan_jax.steps import Alternation

_TRACED = 10  # iterations
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
    profile: bool = False,
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
        profile: Trace some iterations with JAX's profiler, into `profile/` in the run's directory.

    Returns:
        The final states on the host, and the directory.

    Raises:
        InputError: something about the input has to change.
        DivergedError: a loss or gradient was not finite.
        KeyboardInterrupt: after SIGINT or SIGTERM, once a checkpoint is saved.
    """
    plan, error = None, None
    try:
        plan = start.plan(
            config, out=out, fork=fork, data_dir=data_dir, skip_bad_images=skip_bad_images
        )
    except InputError as own:
        error = own
    start.agree(error, plan)
    try:
        run = _open(plan)
    except InputError as own:
        error = own
    start.agree(error, None)
    return _Session(plan, run, profile=profile).train()


def _open(plan: start.Plan) -> Run:
    """The run's directory; process 0 makes it."""
    if jax.process_index() == 0:
        return Run.create(plan.directory, plan.config, plan.data, plan.origin)
    return Run(plan.directory, plan.config, plan.data)


@dataclasses.dataclass
class _Call:
    """A call of the program whose results have not been looked at."""

    end: int
    count: int
    tally: Tally
    pictures: jax.Array | None = None


class _Session:
    """One process's part in a run, from its start or resumption to its end."""

    def __init__(self, plan: start.Plan, run: Run, *, profile: bool):
        self.config, self.data, self.source, self.like = (
            plan.config, plan.data, plan.source, plan.like,
        )  # fmt: skip
        self.run = run
        self.main = jax.process_index() == 0
        self.order = Order(self.config.seed, self.data.examples, self.config.batch_size)
        self.key = jax.random.fold_in(jax.random.key(self.config.seed), build.TRAINING)
        self.stopping = False
        self.profile = profile
        self._programs: dict[Alternation, Callable] = {}

    # What follows is in the order in which it happens.

    def train(self) -> Result:
        with _stop_on_signals(self), contextlib.ExitStack() as closing:
            self.checkpoints = closing.enter_context(self.run.checkpoints())
            first, d, g = self._first_states()
            d, g = replicate((d, g))
            self.feed = self._make_feed()
            self.resident = replicate(self.feed.resident)
            self.log = None
            if self.main:
                self.log = Log(self.run.directory, start=first, iterations=self.config.iterations)
                closing.callback(self.log.close)
            self._announce(first)
            d, g, reached = self._iterate(d, g, first)
        if reached < self.config.iterations:
            raise KeyboardInterrupt(reached)
        return Result(*jax.tree.map(np.asarray, (d, g)), self.run.directory)

    def _first_states(self) -> tuple[int, TrainState, TrainState]:
        """Where to start, from a checkpoint or from the seed."""
        latest = self.checkpoints.latest()
        if latest is not None:
            return latest, *self.checkpoints.restore(latest, *self.like)
        origin = self.run.origin()
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
            capacity=min(config.log_every, config.sample_every, config.checkpoint_every),
            iterations=config.iterations,
            axis_indices=axis_indices(),
            members=jax.device_count(),
            labels=config.objective.conditional,
        )

    def _announce(self, first: int) -> None:
        if not self.log:
            return
        data, directory = self.data, self.run.directory
        shape = "×".join(map(str, data.shape))
        self.log.say(
            f"{self.config.name}: {data.examples:,} examples of {shape} on "
            f"{jax.device_count()} {jax.default_backend().upper()} device(s), in {directory}"
        )
        if self.source.skipped:
            self.log.say(f"skipped {self.source.skipped} images that cannot be read")
        if first >= self.config.iterations:
            self.log.say(f"it has been trained for {first:,} iterations already")
        elif first:
            self.log.say(f"going on from the checkpoint at iteration {first:,}")

    def _iterate(
        self, d: TrainState, g: TrainState, first: int
    ) -> tuple[TrainState, TrainState, int]:
        """Trains until the end or until asked to stop; returns the iteration reached."""
        config = self.config
        iteration, saved, flying = first, self.checkpoints.latest(), None
        if iteration and saved is None:
            self.checkpoints.save(iteration, d, g)  # a fork, from now on, stands on its own
            saved = iteration
        if iteration >= config.iterations:
            return d, g, iteration
        d, g, _ = self._call(d, g, iteration, 0)  # compiles
        self.interval = _Interval(iteration)
        self.began = time.monotonic()
        stopped = False
        traced = self._traced(first)
        while iteration < config.iterations and not (stopped or self._asked_alone()):
            end = self._next_boundary(iteration)
            count = min([end, *(edge for edge in traced if edge > iteration)]) - iteration
            try:
                tracing = iteration in traced[:1]
                with self._tracing(tracing):
                    d, g, tally = self._call(d, g, iteration, count)
                    if tracing:
                        jax.block_until_ready(tally)
            except InputError:  # of data that stream
                if jax.process_count() == 1:  # saving takes all processes
                    if flying is not None:
                        self._report(flying)
                    if saved != iteration:
                        self.checkpoints.save(iteration, d, g)
                raise
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

    def _traced(self, first: int) -> tuple[int, ...]:
        """Of which iteration the profile begins, and before which it ends; empty without one."""
        if not (self.profile and self.main):
            return ()
        begin = first + _TRACED if self.config.iterations - first > _TRACED else first
        return begin, min(begin + _TRACED, self._next_boundary(begin))

    def _tracing(self, wanted: bool) -> contextlib.AbstractContextManager:
        """While this lasts, JAX writes a trace."""
        if not wanted:
            return contextlib.nullcontext()
        return jax.profiler.trace(self.run.directory / "profile", create_perfetto_trace=True)

    def _asked_alone(self) -> bool:
        """Whether to stop without asking other processes, which have to stop at the same place and
        learn of it through the program."""
        return self.stopping and jax.process_count() == 1

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
        label = self.run.labels(n)
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
            figures.save(array, self.run.directory / "samples" / f"{call.end:07}.png")
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
    """While this lasts, the first SIGINT or SIGTERM asks the session to save and stop, and a second
    one does what it usually does."""

    def __init__(self, session: _Session):
        self._session = session
        self._previous: dict[int, Any] = {}

    def __enter__(self):
        def ask(number, frame):
            self._session.stopping = True
            print("\nstopping after this interval; once more to stop at once", file=sys.stderr)
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
