"""The training loop: what the host does while the devices train.

It keeps one call of the program in flight, and writes down what a call gave while the next one
runs.
"""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from gan_jax import build, diagnosis, figures, sampling, start
from gan_jax.balance import pace
from gan_jax.checkpoint import Checkpoints
from gan_jax.config import Config, essence
from gan_jax.data import Feed, Stream, longest
from gan_jax.diagnosis import Diagnosis
from gan_jax.errors import DivergedError, FailedError, InputError
from gan_jax.interruption import Interruption
from gan_jax.logs import Lines, Log
from gan_jax.monitor import Monitor
from gan_jax.program import Averages, Pace, Tally, axis_indices, make_program, replicate
from gan_jax.runs import Rollback, Run, alone
from gan_jax.scorekeeper import Scorekeeper
from gan_jax.signals import Measured
from gan_jax.state import TrainState
from gan_jax.steps import Alternation
from gan_jax.transfer import transfer_both

_TRACED = 10  # iterations
_ROLLBACKS = 3
_KEPT = 8  # programs

_programs: dict[tuple[str, ...], Callable] = {}
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
    init_from: str | Path | None = None,
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
        init_from: Begin a new run with the networks of this one, at its latest checkpoint: every
            array that has the same name and shape in both.
        data_dir: Where TFDS datasets are prepared.
        skip_bad_images: Leave out images that cannot be decoded.
        profile: Trace some iterations with JAX's profiler, into `profile/` in the run's directory.

    Returns:
        The final states on the host, and the directory.

    Raises:
        InputError: something about the input has to change.
        DivergedError: a loss or gradient was not finite.
        FailedError: a check found a failure, and `config.on_failure` is "stop", or "rollback" and
            it was rolled back three times already.
        KeyboardInterrupt: after SIGINT or SIGTERM, once a checkpoint is saved.
    """
    plan, error = None, None
    try:
        plan = start.plan(
            config,
            out=out,
            fork=fork,
            init_from=init_from,
            data_dir=data_dir,
            skip_bad_images=skip_bad_images,
        )
    except InputError as own:
        error = own
    start.agree(error, plan)
    with contextlib.ExitStack() as closing:
        try:
            if jax.process_index() == 0:
                closing.enter_context(alone(plan.directory))
            run = _open(plan)
        except InputError as own:
            error = own
        start.agree(error, None)
        while True:
            session = _Session(plan, run, profile=profile)
            try:
                return session.train()
            except (FailedError, DivergedError) as failure:
                if config.on_failure != "rollback" or session.rollbacks == _ROLLBACKS:
                    raise
                _roll_back(run, session, failure)


def _roll_back(run: Run, session: "_Session", failure: Exception) -> None:
    """Makes the last checkpoint of a healthy time the latest; 0 is the beginning."""
    if jax.process_index() == 0:
        checks = run.health()
        end = len(checks)
        while end and checks[end - 1]["state"] not in diagnosis.GOOD:
            end -= 1
        healthy = checks[end - 1]["iteration"] if end else 0
        # A failure is named some checks after it began.
        before = checks[end - 1 - diagnosis.WINDOW]["iteration"] if end > diagnosis.WINDOW else 0
        kept = [i for i in run.kept() if i <= healthy]
        to = max((i for i in kept if i <= before), default=min(kept, default=0))
        state = checks[-1]["state"] if isinstance(failure, FailedError) else "diverged"
        run.roll_back(Rollback(session.reached, to, state))
        print(f"{failure}; going back to iteration {to:,}, at half the learning rates")
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("rolled back")


def _open(plan: start.Plan) -> Run:
    """The run's directory; process 0 makes it."""
    if jax.process_index() == 0:
        return Run.create(plan.directory, plan.config, plan.data, plan.origin, plan.initial)
    return Run(plan.directory, plan.config, plan.data)


@dataclasses.dataclass
class _Call:
    """A call of the program whose results have not been looked at."""

    end: int
    count: int
    tally: Tally
    pictures: jax.Array | None = None
    measured: Measured | None = None


class _Session:
    """One process's part in a run, from its start or resumption to its end."""

    def __init__(self, plan: start.Plan, run: Run, *, profile: bool):
        self.plan, self.run = plan, run
        self.rollbacks = len(run.rollbacks())
        self.config = build.slowed(plan.config, 0.5**self.rollbacks)
        self.data, self.source = plan.data, plan.source
        self.like = jax.eval_shape(lambda: build.states(self.config, self.data))
        self.objective = build.objective(self.config, self.data)
        self.main = jax.process_index() == 0
        label = "label" if self.config.objective.conditional else None
        self.streams = (Stream(self.source, "real", label),)
        self.orders = tuple(
            stream.order(self.config.seed, self.config.batch_size) for stream in self.streams
        )
        self.order = longest(self.orders)
        self.key = jax.random.fold_in(jax.random.key(self.config.seed), build.TRAINING)
        self.interruption = Interruption()
        self.profile = profile
        self.state = "healthy"
        self.reached = 0

    # What follows is in the order in which it happens.

    def train(self) -> Result:
        with self.interruption, contextlib.ExitStack() as closing:
            self.closing = closing
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
            checks = self.run.health(until=first)
            lines = None
            if self.main:
                lines = Lines(self.run.directory / "health.jsonl", start=first)
                closing.callback(lines.close)
            self.monitor = Monitor(
                self.config, self.source, self.plan.held_out, checks=checks, lines=lines
            )
            self.pace = pace(self.monitor.history) if self.config.balance else Pace()
            if self.log:
                self.scorekeeper = Scorekeeper(self.run, self.source, self.log, start=first)
                closing.callback(self.scorekeeper.close)
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
        players = jax.tree.map(np.asarray, build.states(self.config, self.data))
        initial = self.plan.initial
        if initial is not None:
            trained = Run.open(initial.directory).states(initial.iteration)
            players, words = transfer_both(players, trained, initial.directory)
            if self.main:
                print(f"beginning with the networks of {initial.directory}; {words}")
        return 0, *players

    def _make_feed(self) -> Feed:
        config = self.config
        return Feed(
            self.streams,
            self.orders,
            batches=config.alternation.batches,
            capacity=min(config.log_every, config.sample_every, config.checkpoint_every),
            iterations=config.iterations,
            axis_indices=axis_indices(),
            members=jax.device_count(),
        )

    def _announce(self, first: int) -> None:
        if not self.log:
            return
        data, directory = self.data, self.run.directory
        shape = "×".join(map(str, data.shape))
        kept = self.plan.held_out
        others = f" ({kept.description.examples:,} more held out)" if kept else ""
        self.log.say(
            f"{self.config.data.source}: {data.examples:,} examples of {shape}{others} on "
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
        if saved is None and (iteration or self.plan.initial is not None):
            self.checkpoints.save(iteration, d, g)  # from now on, it stands on its own
            saved = iteration
        if iteration >= config.iterations:
            return d, g, iteration
        d, g, _ = self._call(d, g, iteration, 0)  # compiles
        self.interval, self.since_check = Averages(iteration), Averages(iteration)
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
            if iteration % config.check_every == 0 and self._checks():
                flying.measured = self.monitor.measure(iteration, d, g)
            scores = bool(config.evaluation.every) and iteration % config.evaluation.every == 0
            saves = iteration % config.checkpoint_every == 0
            if scores or saves or (config.balance and flying.measured is not None):
                # Nothing is scored or saved before it is known to be finite; and when balanced,
                # what was measured decides about the next call.
                stopped |= self._report(flying)
                flying = None
            if scores:
                self._evaluate(iteration, d, g)
            if saves:
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
        return self.interruption.asked and jax.process_count() == 1

    def _call(self, d: TrainState, g: TrainState, start: int, count: int):
        program = self._program(self.config.alternation.turn(self._epoch(start)))
        stop = np.full(jax.local_device_count(), self.interruption.asked, np.int32)
        rows = self.feed.rows(start, count)
        return program(
            d, g, self.resident, rows, stop, np.int32(start), np.int32(count), self.key,
            Pace(*map(np.int32, self.pace)),
        )  # fmt: skip

    def _program(self, turn: Alternation) -> Callable:
        """The program of this turn: the one of an earlier run in this process, if it was the same
        but for its seed."""
        config = self.config
        key = (
            essence(config),
            self.data,
            jax.tree.structure(self.feed.resident),
            self.feed.capacity,
            turn,
        )
        key = tuple(map(repr, key))
        if key not in _programs:
            while len(_programs) >= _KEPT:
                del _programs[next(iter(_programs))]
            _programs[key] = make_program(
                self.objective,
                self.feed.select,
                turn,
                flip=config.data.flip,
                paced=config.balance,
            )
        return _programs[key]

    def _epoch(self, iteration: int) -> int:
        return self.order.epoch(iteration * self.config.alternation.batches)

    def _next_boundary(self, iteration: int) -> int:
        """Up to where the next call goes: there something has to be done, or it is full."""
        config = self.config
        ends = [
            iteration - iteration % every + every
            for every in (
                config.log_every, config.sample_every, config.checkpoint_every, config.check_every
            )
        ]  # fmt: skip
        if config.evaluation.every:
            ends.append(iteration - iteration % config.evaluation.every + config.evaluation.every)
        if config.alternation.d_epochs is not None:
            ends.append(self.order.first_batch(self._epoch(iteration) + 1))
        return min(*ends, config.iterations, iteration + self.feed.capacity)

    def _pictures(self, g: TrainState) -> jax.Array | None:
        """Samples of the fixed latents. They are computed on the device before the next call may
        overwrite `g`, and fetched later."""
        if not self.main:
            return None
        n, _ = _sheet_size(self.run)
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
        for averages in (self.interval, self.since_check):
            averages.add(tally)
        if call.measured is not None:
            averages = self.since_check.values()
            self.since_check = Averages(call.end)
            self._act_on(self.monitor.check(call.end, call.measured, averages), call.end)
        at_end = call.end == self.config.iterations
        if self.log and (call.end % self.config.log_every == 0 or at_end):
            self.log.entry(call.end, self._numbers(call.end))
            self.interval = Averages(call.end)
        if self.log and call.pictures is not None:
            array = self._draw(np.asarray(call.pictures))
            figures.save(array, self.run.directory / "samples" / f"{call.end:07}.png")
            self.log.image(call.end, array)
        return bool(tally.stop)

    def _checks(self) -> bool:
        """Whether this process measures. All do where training depends on it."""
        return self.main or self.config.balance or self.config.on_failure != "warn"

    def _act_on(self, found: Diagnosis, iteration: int) -> None:
        """
        Raises:
            FailedError: the run is to stop at failures, and this is one.
        """
        if self.log and found.state != self.state:
            self.log.say(f"iteration {iteration:,}: {found}")
        self.state, self.reached, failing = found.state, iteration, found.failing
        if self.config.balance or self.config.on_failure != "warn":
            if jax.process_count() > 1:  # all do what the first one found
                failing = bool(multihost_utils.broadcast_one_to_all(np.array(failing)))
            if self.config.balance:
                self.pace = pace(self.monitor.history)
        if failing and self.config.on_failure != "warn":
            raise FailedError(f"stopped at iteration {iteration:,}: {found}")

    def _evaluate(self, iteration: int, d: TrainState, g: TrainState) -> None:
        """Scores the generator, and keeps it if it is the best so far."""
        best = self.scorekeeper(iteration, g) if self.main else None
        keep = best is not None
        if jax.process_count() > 1:
            keep = bool(multihost_utils.broadcast_one_to_all(np.array(keep)))
        if keep:
            self.best_checkpoints.save(iteration, d, g)
        if best is not None:
            self.run.set_best(best)

    @functools.cached_property
    def best_checkpoints(self) -> Checkpoints:
        return self.closing.enter_context(self.run.best_checkpoints())

    def _numbers(self, iteration: int) -> dict[str, float]:
        per_iteration = self.config.batch_size * self.config.alternation.batches
        seconds = time.monotonic() - self.interval.began
        images = (iteration - self.interval.start) * per_iteration
        return {
            "epoch": iteration * per_iteration / self.data.examples,
            "images": iteration * per_iteration,
            "seconds": time.monotonic() - self.began,
            "images_per_second": images / seconds,
            **self.interval.values(),
        }

    def _draw(self, samples: np.ndarray) -> np.ndarray:
        if samples.ndim == 4:
            _, columns = _sheet_size(self.run)
            return figures.sheet(samples, columns)
        real = np.stack([self.source.read(i)[0] for i in range(min(2500, self.data.examples))])
        return figures.scatter(samples, real)


def _sheet_size(run: Run) -> tuple[int, int]:
    """How many samples to show, and in how many columns: one class a row if there are classes."""
    if len(run.data.shape) == 1:
        return 2500, 1
    if run.classes is not None and len(run.classes) <= 16:
        return 10 * len(run.classes), 10
    return 64, 8
