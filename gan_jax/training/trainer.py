"""The trainer: a clock, and hooks that act when it strikes.

It keeps one call of the training program in flight, and does what follows from a call while the
next one runs.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.errors import DivergedError, InputError
from gan_jax.state import TrainState
from gan_jax.steps import Pace, Tally
from gan_jax.training.hooks import CheckpointHook, Hook, Profile
from gan_jax.training.interruption import Interruption

_NETWORKS = {"d": "discriminator", "g": "generator"}


class _Flight(NamedTuple):
    """A call of the program whose results have not been looked at."""

    end: int
    iterations: int
    tally: Tally
    stop: Any
    """Whether any process was asked to stop."""
    started: list[tuple[Hook, Any]]


class Stride:
    """How many iterations a call of the program takes, so that each lasts about two seconds: an
    interruption is heeded after the one in flight. The first takes one."""

    SECONDS = 2.0

    def __init__(self) -> None:
        self.most = 1
        self.begin()

    def begin(self) -> None:
        """Called when the devices begin with a call, and not with anything else."""
        self._since = time.monotonic()

    def landed(self, count: int) -> None:
        """Called when a call of so many iterations is done, and the devices have begun the next
        one."""
        now = time.monotonic()
        if count:
            each = max(now - self._since, 1e-6) / count
            # Not all at once, since the first calls may be slow or quick by chance.
            self.most = max(1, min(int(self.SECONDS / each), 8 * self.most))
        self._since = now


class Trainer:
    """Trains from one iteration to another, and calls the hooks at their times.

    Args:
        call: Runs the program: `call(d, g, start, count, pace, stop)` gives `(d, g, tally, stop)`.
        boundary: The last iteration that a call from here may reach, hooks aside.
        hooks: In the order in which they act.
        checkpoint: The last of them.
        pace: How often each network is updated from here on.
        end: How many iterations there are in all.
        compiling: Lasts while the program is compiled.
        stride: Keeps calls short. None: each goes up to its boundary, however fast it runs. So it
            has to be where processes call alike, or what calls measured decides about training.
        profile: What to trace, if anything.
    """

    def __init__(
        self,
        *,
        call: Callable[..., tuple[TrainState, TrainState, Tally, Any]],
        boundary: Callable[[int], int],
        hooks: Sequence[Hook],
        checkpoint: CheckpointHook,
        pace: Callable[[], Pace],
        end: int,
        interruption: Interruption,
        compiling: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
        stride: Stride | None = None,
        profile: Profile | None = None,
    ):
        self._call, self._boundary, self._pace, self._end = call, boundary, pace, end
        self._compiling = compiling
        self._hooks, self._checkpoint = (*hooks, checkpoint), checkpoint
        self._interruption, self._stride, self._profile = interruption, stride, profile

    def train(self, d: TrainState, g: TrainState, first: int) -> tuple[TrainState, TrainState, int]:
        """From iteration `first` to the end, or until asked to stop: the states, which are saved,
        and the iteration reached. `d` and `g` are donated.

        Raises:
            DivergedError: a loss, a gradient or a state was not finite.
            FailedError: a check found a failure that the run is to stop at.
            InputError: an example could not be read; what was trained before is saved.
        """
        iteration, flight, stopped = first, None, False
        for hook in self._hooks if iteration else ():
            hook.resume(iteration, d, g, self._end)
        if iteration < self._end:
            for hook in self._hooks if iteration == 0 else ():
                if hook.at_start:
                    hook.finish(0, hook.start(0, d, g))
            with self._compiling():
                d, g, *_ = self._call(d, g, iteration, 0, self._pace(), False)
        self._begin()
        while iteration < self._end and not (stopped or self._asked_alone()):
            try:
                end, (d, g, tally, stop) = self._advance(d, g, iteration)
                count, iteration = end - iteration, end
                if flight is not None:
                    stopped = self._land(flight)
                flight = _Flight(iteration, count, tally, stop, [])
                due = [hook for hook in self._hooks if hook.is_due(iteration, self._end)]
                for hook in due:
                    flight.started.append((hook, hook.start(iteration, d, g)))
            except InputError:  # of data that stream
                if jax.process_count() == 1:  # saving takes all processes
                    if flight is not None:
                        self._land(flight)
                    self._checkpoint.act(iteration, d, g)
                raise
            if any(hook.rests for hook in due):
                stopped |= self._land(flight)
                flight = None
                for hook in due:
                    hook.act(iteration, d, g)
                self._begin()
        if flight is not None:
            self._land(flight)
        self._checkpoint.act(iteration, d, g)
        return d, g, iteration

    def _advance(
        self, d: TrainState, g: TrainState, iteration: int
    ) -> tuple[int, tuple[TrainState, TrainState, Tally, Any]]:
        """Dispatches the call that goes up to the next boundary."""
        times = [hook.next(iteration) for hook in (*self._hooks, *self._profiles())]
        edges = [time for time in times if time is not None]
        end = min(*edges, self._boundary(iteration), self._end)
        traced = self._profile is not None and iteration == self._profile.begin
        if self._stride is not None and not traced:
            end = min(end, iteration + self._stride.most)
        count, stop = end - iteration, self._interruption.asked
        if self._profile is None or not traced:
            return end, self._call(d, g, iteration, count, self._pace(), stop)
        with self._profile.tracing():
            return end, jax.block_until_ready(
                self._call(d, g, iteration, count, self._pace(), stop)
            )

    def _begin(self) -> None:
        if self._stride is not None:
            self._stride.begin()

    def _profiles(self) -> tuple[Profile, ...]:
        return () if self._profile is None else (self._profile,)

    def _asked_alone(self) -> bool:
        """Whether to stop without asking other processes, which have to stop at the same place and
        learn of it through the program."""
        return self._interruption.asked and jax.process_count() == 1

    def _land(self, flight: _Flight) -> bool:
        """Waits for a call, lets the hooks see what it gave, and says whether to stop.

        The order: first it is known to be finite, since nothing else may be looked at, scored or
        saved; then hooks take the metrics in; then they finish in the order in which they were
        given, checks first, since a failure ends the run.

        Raises:
            DivergedError: one of its losses or gradients was not finite.
        """
        tally = jax.device_get(flight.tally)
        if self._stride is not None:
            self._stride.landed(flight.iterations)
        for network, iteration in tally.diverged.items():
            if iteration >= 0:
                raise DivergedError(
                    f"the {_NETWORKS[network]}'s loss or gradient is not finite at iteration "
                    f"{iteration}; {self._checkpoint.last()}"
                )
        for hook in self._hooks:
            hook.observe(flight.end, tally)
        for hook, started in flight.started:
            hook.finish(flight.end, started)
        return bool(np.asarray(flight.stop))
