"""Which checkpoint is the best so far."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gan_jax.evaluation.metric import Score, better, higher_is_better
from gan_jax.health.diagnosis import Scored


class Best(NamedTuple):
    """The best checkpoint of a run, and its score."""

    iteration: int
    name: str
    conventions: str
    value: float


def deciding(scores: Sequence[Score], name: str | None) -> Score:
    """The score of this name, in upper or lower case; without one, the first."""
    wanted = (name or scores[0].name).lower()
    return next(score for score in scores if score.name.lower() == wanted)


def improved(best: Best | None, iteration: int, score: Score) -> Best | None:
    """The checkpoint with this score, if it is better than the best one so far, or that one's score
    cannot be compared with it; else None. A score that is not finite is never better."""
    than = None
    if best is not None and (best.name, best.conventions) == (score.name, score.conventions):
        than = best.value
    if not better(score.name, score.value, than):
        return None
    return Best(iteration, score.name, score.conventions, score.value)


def in_brief(scores: Sequence[Score], name: str | None) -> Scored | None:
    """What a diagnosis wants to know of one evaluation, whose deciding score has this name; None,
    if it has no such score: one that was interrupted, or of a time when others were asked for."""
    if name is not None and name.lower() not in {score.name.lower() for score in scores}:
        return None
    score = deciding(scores, name)
    covered = [s.value for s in scores if s.name in COVERED]
    value = -score.value if higher_is_better(score.name) else score.value
    name = f"{score.name}[{score.conventions}]"
    return Scored(name, value, max(covered, default=float("nan")))


COVERED = ("recall", "coverage")
"""Scores that are the share of what real examples do."""


def by_conventions(scores: Sequence[Score]) -> Iterator[tuple[str, dict[str, float]]]:
    """Values by name, of scores in a row that have the same conventions."""
    for conventions, group in itertools.groupby(scores, lambda score: score.conventions):
        yield conventions, {score.name: score.value for score in group}
