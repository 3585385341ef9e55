"""Is it any good? Is it done? What a run's scores and its diagnosis say to that, in words."""

import shlex
from typing import NamedTuple

import numpy as np

from gan_jax.evaluation.metric import higher_is_better, meaning
from gan_jax.report.curves import best
from gan_jax.report.history import Curve, History
from gan_jax.report.states import State
from gan_jax.runs import Run

_ENOUGH = 3
"""Scores in a row that are no better, after which it is no chance."""


class Point(NamedTuple):
    """A score at an iteration; NaN if it was not finite."""

    iteration: int
    value: float

    def __str__(self) -> str:
        return f"{self.value:.4g}" if np.isfinite(self.value) else "not finite"


class Standing(NamedTuple):
    """How a score went."""

    label: str
    """With its conventions: `FID[digits-cnn, train, 1.6k/2k]`."""
    first: Point
    best: Point
    last: Point
    since: int
    """How many scores came after the best one."""
    scores: int

    @property
    def name(self) -> str:
        """Without its conventions."""
        return self.label.partition("[")[0]

    @property
    def about(self) -> str:
        """What it says, and which way is better."""
        way = "Higher" if higher_is_better(self.name) else "Lower"
        return f"{meaning(self.name)} {way} is better.".strip()


class Advice(NamedTuple):
    """Whether a run is done."""

    words: str
    command: str
    """To go on with; empty if that is not what is advised."""


def standing(label: str, curve: Curve) -> Standing | None:
    """How a score went; None if it never was finite."""
    at = best(label, curve)
    if at is None:
        return None
    points = [Point(int(x), float(y)) for x, y in zip(curve.x, curve.y, strict=True)]
    since = len(points) - 1 - at
    return Standing(label, points[0], points[at], points[-1], since, len(points))


def chosen(run: Run, history: History) -> Standing | None:
    """The score that decides which checkpoint is the best: the one it was chosen by, or else the
    one that the configuration names, or else the first. None if there is none."""
    found = run.best()
    labels = [f"{found.name}[{found.conventions}]"] if found else []
    wanted = run.config.evaluation.best
    labels += [
        label
        for label in history.scores
        if wanted and label.partition("[")[0].lower() == wanted.lower()
    ]
    label = next((label for label in [*labels, *history.scores] if label in history.scores), None)
    return None if label is None else standing(label, history.scores[label])


def advise(run: Run, history: History, score: Standing | None, state: State | None) -> Advice:
    """Whether it is worth while to train on: of a run, how its score went, and its state at the
    last check."""
    at, length = max([history.iterations, *run.kept()]), run.config.iterations
    resume = f"gan-jax resume {shlex.quote(str(run.directory))}"
    if at < length:
        return Advice(f"Not yet: it is at iteration {at:,} of {length:,}.", resume)
    done = f"It has done all of its {length:,} iterations."
    if state is not None and state.shaded:
        return Advice(
            f"{done} Training on seldom mends what is diagnosed ({state.title}): see to that "
            f"first, and take the best checkpoint until then.",
            "",
        )
    longer = f"{resume} --iterations {2 * length}"
    if state is not None and state.name == "early":
        return Advice(f"{done} It had only begun by then: see its diagnosis.", longer)
    if score is None:
        return Advice(f"{done} It was not scored: only the samples can tell.", longer)
    if score.scores == 1:
        return Advice(f"{done} A single score tells no trend.", longer)
    if score.since == 0:
        return Advice(
            f"{done} Its last {score.name} is its best: it was still getting better, and may get "
            f"better yet if it trains on.",
            longer,
        )
    no_better = f"{score.since} score{'s' * (score.since > 1)} since"
    if score.since < _ENOUGH:
        return Advice(
            f"{done} Its best {score.name} was at iteration {score.best.iteration:,}, with "
            f"{no_better} that may be worse by chance: it may get better yet if it trains on.",
            longer,
        )
    return Advice(
        f"Yes. {done} Its best {score.name} was at iteration {score.best.iteration:,}, and "
        f"{no_better} were no better: more of the same is unlikely to help. Take the best "
        f"checkpoint (--checkpoint best).",
        "",
    )
