"""Scores a generator while it trains, and knows the best."""

import functools
from collections.abc import Callable

from gan_jax.evaluation.best import Best, by_conventions, deciding, improved
from gan_jax.evaluation.evaluator import Scorer
from gan_jax.runs.logs import Lines, Log
from gan_jax.state import TrainState


class Scorekeeper:
    """The evaluations of a run.

    `make_evaluator` is called at the first of them: it reads the data, and may train a classifier.
    `best` is the best checkpoint so far, and `by` the name of the score that decides, if not the
    first.
    """

    def __init__(
        self,
        make_evaluator: Callable[[], Scorer],
        *,
        lines: Lines,
        log: Log,
        best: Best | None = None,
        by: str | None = None,
    ):
        self._make_evaluator = make_evaluator
        self._lines, self._log, self._best, self._by = lines, log, best, by

    @functools.cached_property
    def _evaluate(self) -> Scorer:
        return self._make_evaluator()

    def __call__(self, iteration: int, g: TrainState) -> Best | None:
        """Writes down what `g` scores, and returns it if it is better than all before."""
        with self._log.phase("scoring"):
            scores = self._evaluate(g)
        for conventions, values in by_conventions(scores):
            self._lines.write(iteration, conventions=conventions, scores=values)
            for name, value in values.items():
                self._log.scalar(f"{name}[{conventions}]", iteration, value)
        score = deciding(scores, self._by)
        self._log.say(f"iteration {iteration:,}: {score}")
        found = improved(self._best, iteration, score)
        self._best = found or self._best
        return found

    def close(self) -> None:
        self._lines.close()
