"""`gan_jax.train`: a run from its plan to its end, through rollbacks."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from gan_jax.config import Config
from gan_jax.errors import DivergedError, FailedError, InputError
from gan_jax.evaluation.best import in_brief
from gan_jax.health import diagnosis
from gan_jax.runs.checkpoints import Checkpoints
from gan_jax.runs.lock import alone
from gan_jax.runs.logs import Lines, Log
from gan_jax.runs.run import Rollback, Run
from gan_jax.state import TrainState
from gan_jax.steps import Pace
from gan_jax.tasks.base import initial_states, shapes
from gan_jax.training.driver import Driver
from gan_jax.training.hooks import (
    CheckHook,
    CheckpointHook,
    Elsewhere,
    Hook,
    LogHook,
    PreviewHook,
    Profile,
    ScoreHook,
)
from gan_jax.training.interruption import Interruption
from gan_jax.training.monitor import Monitor
from gan_jax.training.plan import Plan, agree, make_plan
from gan_jax.training.program import replicate
from gan_jax.training.scorekeeper import Scorekeeper
from gan_jax.training.session import Session
from gan_jax.training.trainer import Stride, Trainer
from gan_jax.training.transfer import transfer_both

_ROLLBACKS = 3
_TRACED = 10  # iterations
_MEASURED = 3.0  # seconds
_TRAINING = 0.9
"""Of the time of a run; in the rest it is scored, drawn and saved."""


class Result(NamedTuple):
    """What a run leaves: both train states, and where the rest is."""

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
    minutes: float | None = None,
    profile: bool = False,
    preview: bool = False,
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
        minutes: Train for about so long from now on, in place of `config.iterations`: how many
            iterations these are is measured first, on states that are thrown away.
        profile: Trace some iterations with JAX's profiler, into `profile/` in the run's directory.
        preview: Show what is drawn at the terminal too, where that has colors.

    Returns:
        The final states on the host, and the directory.

    Raises:
        InputError: something about the input has to change.
        DivergedError: a loss or gradient was not finite.
        FailedError: a check found a failure, and `config.on_failure` is "stop", or "rollback" and
            it was rolled back three times already.
        KeyboardInterrupt: after SIGINT or SIGTERM, once a checkpoint is saved.
    """
    plan, error, began = None, None, time.monotonic()
    try:
        plan = make_plan(
            config,
            out=out,
            fork=fork,
            init_from=init_from,
            data_dir=data_dir,
            skip_bad_images=skip_bad_images,
        )
    except InputError as own:
        error = own
    agree(error, plan)
    assert plan is not None  # or `agree` has raised
    if minutes is not None:
        plan, config = _timed(plan, minutes, began)
    with contextlib.ExitStack() as closing:
        run, error = None, None
        try:
            if jax.process_index() == 0:
                closing.enter_context(alone(plan.directory))
            run = _open(plan)
        except InputError as own:
            error = own
        agree(error, None)
        assert run is not None
        while True:
            session = _session(plan, run)
            try:
                return _attempt(session, plan, profile=profile, preview=preview)
            except (FailedError, DivergedError) as failure:
                if config.on_failure != "rollback" or session.rollbacks == _ROLLBACKS:
                    raise
                _roll_back(session, failure)


def _timed(plan: Plan, minutes: float, began: float) -> tuple[Plan, Config]:
    """The plan whose iterations take about so many minutes since `began`, and its configuration."""
    config, data = plan.task.config, plan.task.data
    session = Session(Run(plan.directory, plan.task), plan.task, plan.dataset, 0)
    if session.main:
        print("compiling, and measuring how long an iteration takes …", flush=True)
    each = _seconds_of_an_iteration(session)
    left = max(0.0, 60 * minutes - (time.monotonic() - began))
    iterations = plan.first + max(1, round(_TRAINING * left / each))
    if jax.process_count() > 1:  # they do not measure alike
        iterations = int(multihost_utils.broadcast_one_to_all(np.int32(iterations)))
    images = (iterations - plan.first) * config.batch_size * config.alternation.batches
    if jax.process_index() == 0:
        print(
            f"{minutes:g} minutes are about {iterations - plan.first:,} iterations: {images:,} "
            f"images, or {images / data.examples:.3g} times all of them"
        )
    config = dataclasses.replace(config, iterations=iterations)
    return dataclasses.replace(plan, task=config.build(data)), config


def _seconds_of_an_iteration(session: Session) -> float:
    """Measured with states that are thrown away, for a few seconds."""
    driver, pace = Driver(session), Pace()
    d, g = replicate(jax.tree.map(np.asarray, initial_states(session.task)))
    for count in (0, 1):  # the first compiles, and the second is slower than those that follow
        d, g, *_ = jax.block_until_ready(driver.call(d, g, 0, count, pace, False))
    while True:
        began = time.monotonic()
        d, g, *_ = jax.block_until_ready(driver.call(d, g, 0, count, pace, False))
        seconds = time.monotonic() - began
        if seconds >= _MEASURED or count == driver.capacity:
            return seconds / count
        count = min(2 * count, driver.capacity)


def _open(plan: Plan) -> Run:
    """The run's directory; process 0 makes it."""
    if jax.process_index() == 0:
        return Run.create(plan.directory, plan.task, plan.origin, plan.initial)
    return Run(plan.directory, plan.task)


def _session(plan: Plan, run: Run) -> Session:
    rollbacks = len(run.rollbacks())
    task = plan.task.config.slowed(0.5**rollbacks).build(plan.task.data)
    return Session(run, task, plan.dataset, rollbacks)


def _attempt(session: Session, plan: Plan, *, profile: bool, preview: bool) -> Result:
    """Trains until the end, a failure or an interruption."""
    config, run = session.task.config, session.run
    interruption = Interruption()
    with interruption, contextlib.ExitStack() as closing:
        checkpoints = closing.enter_context(run.checkpoints())
        first, d, g = _first_states(session, plan, checkpoints)
        d, g = replicate((d, g))
        driver = Driver(session)
        log = None
        if session.main:
            log = Log(run.directory, start=first, iterations=config.iterations)
            closing.callback(log.close)
            _announce(session, log, first)
        phase = contextlib.nullcontext if log is None else log.phase
        checkpoint = CheckpointHook(session, checkpoints, phase)
        if checkpoint.saved is None and (first or plan.initial is not None):
            checkpoint.act(first, d, g)  # from now on, it stands on its own
        check, *others = _hooks(session, log, first, checkpoint, closing, preview=preview)
        trainer = Trainer(
            call=driver.call,
            boundary=driver.boundary,
            hooks=(check, *others),
            checkpoint=checkpoint,
            pace=lambda: check.pace,
            end=config.iterations,
            interruption=interruption,
            compiling=contextlib.nullcontext if log is None else lambda: _compiling(log),
            stride=None if check.decides or jax.process_count() > 1 else Stride(),
            profile=_profile(session, driver, first) if profile else None,
        )
        d, g, reached = trainer.train(d, g, first)
        checkpoint.finish_saving()
    if reached < config.iterations:
        raise KeyboardInterrupt(reached)
    d, g = jax.tree.map(np.asarray, (d, g))
    return Result(d, g, run.directory)


@contextlib.contextmanager
def _compiling(log: Log) -> Iterator[None]:
    """Ends where iterations begin."""
    with log.phase("compiling"):
        yield
    log.begin()


def _hooks(
    session: Session,
    log: Log | None,
    first: int,
    checkpoint: CheckpointHook,
    closing: contextlib.ExitStack,
    *,
    preview: bool,
) -> tuple[CheckHook, *tuple[Hook, ...]]:
    """All hooks but that which saves, in their order: checks come first, since they may end the
    run; what is logged and drawn is of a run that goes on, and is written down before a checkpoint,
    so that a run resumed from it has it. So are scores, but for those that fail."""
    run, task = session.run, session.task
    lines = None
    if session.main:
        lines = Lines(run.directory / "health.jsonl", start=first)
        closing.callback(lines.close)
    evaluations, by = run.evaluations(until=first), task.config.evaluation.best
    monitor = Monitor(
        task.checks(session.dataset),
        history=run.health(until=first),
        scored=[(at, in_brief(scores, by)) for at, scores in evaluations.items()],
        lines=lines,
    )
    check = CheckHook(session, monitor, log, first)
    if log is None:
        config = task.config
        elsewhere = (Elsewhere(config.log_every), Elsewhere(config.sample_every))
        return check, *elsewhere, ScoreHook(session, None, checkpoint, closing)
    origin = run.origin()
    forked_here = origin is not None and origin.iteration == first  # it is scored over there
    scorekeeper = Scorekeeper(
        functools.partial(task.evaluator, session.dataset),
        lines=Lines(run.directory / "evaluations.jsonl", start=first),
        log=log,
        best=run.best(),
        by=by,
        scored=first if forked_here else max(evaluations, default=None),
        tell=monitor.hear,
    )
    closing.callback(scorekeeper.close)
    return (
        check,
        LogHook(session, log, first),
        PreviewHook(session, log, shown=preview),
        ScoreHook(session, scorekeeper, checkpoint, closing),
    )


def _profile(session: Session, driver: Driver, first: int) -> Profile | None:
    """Ten iterations, from the tenth on where there are as many."""
    if not session.main:
        return None
    begin = first + _TRACED if session.task.config.iterations - first > _TRACED else first
    return Profile(begin, begin + _TRACED, session.run.directory / "profile")


def _first_states(
    session: Session, plan: Plan, checkpoints: Checkpoints
) -> tuple[int, TrainState, TrainState]:
    """Where to start, from a checkpoint or from the seed."""
    run, (d, g) = session.run, shapes(session.task)
    latest = checkpoints.latest()
    if latest is not None:
        return latest, *checkpoints.restore(latest, d, g)
    origin = run.origin()
    if origin is not None:
        return origin.iteration, *Run.open(origin.directory).states(origin.iteration, (d, g))
    d, g = jax.tree.map(np.asarray, initial_states(session.task))
    initial = plan.initial
    if initial is not None:
        trained = Run.open(initial.directory).states(initial.iteration)
        (d, g), words = transfer_both((d, g), trained, initial.directory)
        if session.main:
            print(f"beginning with the networks of {initial.directory}; {words}")
    return 0, d, g


def _announce(session: Session, log: Log, first: int) -> None:
    dataset, iterations = session.dataset, session.task.config.iterations
    kept = sum(stream.source.description.examples for stream in dataset.held_out)
    others = f" ({kept:,} more held out)" if kept else ""
    log.say(
        f"{session.task.data_name}: {dataset.description}{others} on {jax.device_count()} "
        f"{jax.default_backend().upper()} device(s), in {session.run.directory}"
    )
    for note in dataset.notes:
        log.say(note)
    if first >= iterations:
        log.say(f"it has been trained for {first:,} iterations already")
    elif first:
        log.say(f"going on from the checkpoint at iteration {first:,}")


def _roll_back(session: Session, failure: Exception) -> None:
    """Makes the last checkpoint of a healthy time the latest; 0 is the beginning."""
    run = session.run
    if session.main:
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
        run.roll_back(Rollback(checks[-1]["iteration"] if checks else 0, to, state))
        print(f"{failure}; going back to iteration {to:,}, at half the learning rates")
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("rolled back")
