"""What happens at regular iterations of a run, beside training."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from gan_jax import figures
from gan_jax.errors import FailedError
from gan_jax.health.balance import pace
from gan_jax.runs.checkpoints import Checkpoints
from gan_jax.runs.logs import Log
from gan_jax.state import TrainState
from gan_jax.steps import Pace, Tally
from gan_jax.training.monitor import Monitor
from gan_jax.training.scorekeeper import Scorekeeper
from gan_jax.training.session import Session

_SCORES, _APART = 5, 50
"""Scores that a run has at least, and iterations between them, unless it is configured so."""
_EARLY = 20.0
"""Seconds after which there is something to look at."""


class Hook:
    """Something that happens every so many iterations.

    When its time has come, the trainer calls three of its methods, in this order. What follows the
    training of an interval is done while the devices train the next one, unless the hook `rests`:
    then they wait for it.
    """

    every: int | None = None
    """Iterations from one time to the next, counted from 0. None: never."""
    at_start: bool = False
    """Whether the beginning of a run is a time too."""
    at_end: bool = False
    """Whether the last iteration of the run is a time too."""
    rests: bool = False
    """Whether `act` needs the states at rest, known to be finite."""

    acts: bool = True
    """Whether it does anything in this process. Its times count in any case: all processes have to
    call the program alike."""

    def is_due(self, iteration: int, end: int) -> bool:
        """Whether its time comes after so many iterations, of `end` in all."""
        if self.every is None or not self.acts:
            return False
        return iteration % self.every == 0 or (self.at_end and iteration == end)

    def next(self, iteration: int) -> int | None:
        """The next time after this iteration, if there is one."""
        return None if self.every is None else iteration - iteration % self.every + self.every

    def resume(self, iteration: int, d: TrainState, g: TrainState, end: int) -> None:
        """Called where a run goes on, before it trains."""

    def start(self, iteration: int, d: TrainState, g: TrainState) -> Any:
        """Called before the states may be overwritten. What it dispatches to the devices it does
        not wait for, and returns."""

    def observe(self, iteration: int, tally: Tally) -> None:
        """Called for every call of the program once it has run, up to this iteration, with host
        arrays."""

    def finish(self, iteration: int, started: Any) -> None:
        """Called with what `start` returned, once training up to here is known to be finite."""

    def act(self, iteration: int, d: TrainState, g: TrainState) -> None:
        """Called while the states are at rest, if the hook `rests`."""


class Averages:
    """Of the metrics since iteration `start`. A network's are averaged over the iterations that
    updated it; one that was not updated has none."""

    def __init__(self, start: int):
        self.start, self.began = start, time.monotonic()
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, tally: Tally) -> None:
        """Takes in what a call measured, as host arrays."""
        for network, metrics in tally.sums.items():
            for metric, value in metrics.items():
                name = f"{network}/{metric}"
                self._sums[name] = self._sums.get(name, 0.0) + float(value)
                self._counts[name] = self._counts.get(name, 0) + int(tally.updated[network])

    def values(self) -> dict[str, float]:
        """By network and metric, as `d/loss`."""
        return {
            name: total / self._counts[name]
            for name, total in self._sums.items()
            if self._counts[name]
        }


class CheckHook(Hook):
    """Checks how the training goes, says so, and sets the networks' pace if they are balanced.

    All processes measure where training depends on it; otherwise the first one alone.

    Raises:
        FailedError: from `finish`, at a failure that the run is to stop at.
    """

    def __init__(self, session: Session, monitor: Monitor, log: Log | None, first: int):
        config = session.task.config
        self._balance, self._ends = config.balance, config.on_failure != "warn"
        self.decides = self._balance or self._ends
        """Whether training depends on what it finds."""
        self.every = config.check_every
        # A check at the end is one that a run which goes on later would not have had.
        self.at_end = not self.decides
        self.acts = session.main or self.decides
        # What was measured decides about the next call.
        self.rests = self._balance
        self._monitor, self._log = monitor, log
        self._averages = Averages(first)
        self.pace = pace(monitor.history, monitor.parts) if self._balance else Pace()
        self.reached = 0
        """The iteration of the last check."""

    def start(self, iteration: int, d: TrainState, g: TrainState) -> Any:
        return self._monitor.measure(iteration, d, g)

    def observe(self, iteration: int, tally: Tally) -> None:
        self._averages.add(tally)

    def finish(self, iteration: int, started: Any) -> None:
        before = self._monitor.state
        found = self._monitor.check(iteration, started, self._averages.values())
        self._averages = Averages(iteration)
        if self._log and found.state != before:
            self._log.say(f"iteration {iteration:,}: {found}")
        self.reached, failing = iteration, found.failing
        if self.decides:
            failing = _as_the_first_process(failing)
        if self._balance:
            self.pace = pace(self._monitor.history, self._monitor.parts)
        if failing and self._ends:
            raise FailedError(f"stopped at iteration {iteration:,}: {found}")


class Elsewhere(Hook):
    """What another process does every so many iterations."""

    acts = False

    def __init__(self, every: int):
        self.every = every


class LogHook(Hook):
    """Writes a line of numbers."""

    at_end = True

    def __init__(self, session: Session, log: Log, first: int):
        config = session.task.config
        self.every = config.log_every
        self._log, self._began, self._averages = log, time.monotonic(), Averages(first)
        self._images = config.batch_size * config.alternation.batches
        self._examples = session.task.data.examples

    def observe(self, iteration: int, tally: Tally) -> None:
        self._averages.add(tally)
        self._log.reached(iteration)

    def finish(self, iteration: int, started: Any) -> None:
        averages, now = self._averages, time.monotonic()
        images = (iteration - averages.start) * self._images
        self._log.entry(
            iteration,
            {
                "epoch": iteration * self._images / self._examples,
                "images": iteration * self._images,
                "seconds": now - self._began,
                "images_per_second": images / (now - averages.began),
                **averages.values(),
            },
        )
        self._averages = Averages(iteration)


class PreviewHook(Hook):
    """Draws what the generator makes, always of the same latents or inputs: at the start, soon
    after, and then every so many iterations."""

    at_start = at_end = True

    def __init__(self, session: Session, log: Log, *, shown: bool):
        self.every = session.task.config.sample_every
        self._session, self._log = session, log
        self._shown = shown and log.shows_images
        """Whether to show it at the terminal."""
        self._soon = time.monotonic() + _EARLY

    def is_due(self, iteration: int, end: int) -> bool:
        if self._soon is not None and time.monotonic() > self._soon:
            self._soon = None
            return True
        return super().is_due(iteration, end)

    def start(self, iteration: int, d: TrainState, g: TrainState) -> Any:
        return self._session.task.preview(g, self._session.dataset)

    def finish(self, iteration: int, started: Any) -> None:
        session = self._session
        image = session.task.draw(jax.tree.map(np.asarray, started), session.dataset)
        figures.save(image, session.run.directory / "samples" / f"{iteration:07}.png")
        self._log.image(iteration, image)
        if self._shown:
            points = len(session.dataset.streams[0].source.description.shape) == 1
            self._log.show(image, cut=not points)


class ScoreHook(Hook):
    """Scores the generator, and keeps it if it is the best so far. Short runs are scored more often
    than configured.

    What is scored is saved first: so a scoring that fails loses nothing. A run that goes on from
    there makes up for it.
    """

    at_end = True
    rests = True

    def __init__(
        self,
        session: Session,
        scorekeeper: Scorekeeper | None,
        checkpoint: "CheckpointHook",
        closing: contextlib.ExitStack,
    ):
        config = session.task.config
        every = config.evaluation.every
        self.every = min(every, max(config.iterations // _SCORES, _APART)) if every else None
        self._session, self._scorekeeper, self._closing = session, scorekeeper, closing
        self._checkpoint = checkpoint

    def resume(self, iteration: int, d: TrainState, g: TrainState, end: int) -> None:
        missing = self._scorekeeper is not None and self._scorekeeper.scored != iteration
        if self.is_due(iteration, end) and _as_the_first_process(missing):
            self.act(iteration, d, g)

    def act(self, iteration: int, d: TrainState, g: TrainState) -> None:
        self._checkpoint.act(iteration, d, g)
        scores, best = [], None
        if self._scorekeeper is not None:
            scores = self._scorekeeper.score(g)
            best = self._scorekeeper.improved(iteration, scores)
        if _as_the_first_process(best is not None):
            self._checkpoints.save(iteration, d, g)
        if best is not None:
            self._session.run.set_best(best)
        if self._scorekeeper is not None:
            self._scorekeeper.record(iteration, scores)

    @functools.cached_property
    def _checkpoints(self) -> Checkpoints:
        """Made when there is one to save."""
        return self._closing.enter_context(self._session.run.best_checkpoints())


class CheckpointHook(Hook):
    """Saves both states, in a `phase` called saving."""

    rests = True

    def __init__(
        self,
        session: Session,
        checkpoints: Checkpoints,
        phase: Callable[[str], AbstractContextManager[Any]] = contextlib.nullcontext,
    ):
        self._phase = phase
        self.every = session.task.config.checkpoint_every
        self._checkpoints, self.saved = checkpoints, checkpoints.latest()

    def act(self, iteration: int, d: TrainState, g: TrainState) -> None:
        if self.saved != iteration:
            with self._phase("saving"):
                self._checkpoints.save(iteration, d, g)
            self.saved = iteration

    def finish_saving(self) -> None:
        """Waits until it is on disk."""
        with self._phase("saving"):
            self._checkpoints.wait()

    def last(self) -> str:
        """The last good checkpoint, in words."""
        latest = self._checkpoints.latest()
        if latest is None:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {self._checkpoints.directory / str(latest)}"


@dataclasses.dataclass(frozen=True)
class Profile:
    """Traces the iterations from `begin` to `end` with JAX's profiler, into `directory`."""

    begin: int
    end: int
    directory: Path

    def next(self, iteration: int) -> int | None:
        """Where a trace begins or ends after this iteration."""
        return min((edge for edge in (self.begin, self.end) if edge > iteration), default=None)

    def tracing(self) -> contextlib.AbstractContextManager[Any]:
        """While this lasts, JAX writes a trace."""
        return jax.profiler.trace(self.directory, create_perfetto_trace=True)


def _as_the_first_process(value: bool) -> bool:
    """All processes do what the first one found."""
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.broadcast_one_to_all(np.array(value)))
