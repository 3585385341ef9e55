"""Scores a generator while it trains, and knows the best."""

import functools
from collections.abc import Callable, Sequence

from gan_jax.evaluation.best import Best, by_conventions, deciding, improved, in_brief
from gan_jax.evaluation.evaluator import Scorer
from gan_jax.evaluation.metric import Score
from gan_jax.health.diagnosis import Scored
from gan_jax.runs.logs import Lines, Log
from gan_jax.state import TrainState


class Scorekeeper:
    """The evaluations of a run.

    `make_evaluator` is called at the first of them: it reads the data, and may train a classifier.
    `best` is the best checkpoint so far, and `by` the name of the score that decides, if not the
    first. `scored` is the iteration of the last evaluation, if there was one. Who wants to know of
    further ones is told by `tell`.
    """

    def __init__(
        self,
        make_evaluator: Callable[[], Scorer],
        *,
        lines: Lines,
        log: Log,
        best: Best | None = None,
        by: str | None = None,
        scored: int | None = None,
        tell: Callable[[int, Scored | None], None] = lambda iteration, scored: None,
    ):
        self._make_evaluator = make_evaluator
        self._lines, self._log, self._best, self._by = lines, log, best, by
        self.scored, self._tell = scored, tell

    @functools.cached_property
    def _evaluate(self) -> Scorer:
        return self._make_evaluator()

    def score(self, g: TrainState) -> list[Score]:
        """What `g` scores."""
        with self._log.phase("scoring"):
            return self._evaluate(g)

    def improved(self, iteration: int, scores: Sequence[Score]) -> Best | None:
        """The checkpoint of this iteration, if it is better than all before."""
        found = improved(self._best, iteration, deciding(scores, self._by))
        self._best = found or self._best
        return found

    def record(self, iteration: int, scores: Sequence[Score]) -> None:
        """Writes scores down: once all that follows from them is done."""
        for conventions, values in by_conventions(scores):
            self._lines.write(iteration, conventions=conventions, scores=values)
            for name, value in values.items():
                self._log.scalar(f"{name}[{conventions}]", iteration, value)
        self.scored = iteration
        self._log.say(f"iteration {iteration:,}: {deciding(scores, self._by)}")
        self._tell(iteration, in_brief(scores, self._by))

    def close(self) -> None:
        self._lines.close()
