"""Scores a generator while it trains, and knows the best."""

import functools
import itertools

from gan_jax.data import Source
from gan_jax.logs import Lines, Log
from gan_jax.metrics.evaluation import Evaluator, better, make_extractor
from gan_jax.runs import Best, Run
from gan_jax.state import TrainState


class Scorekeeper:
    """The evaluations of a run that goes on from iteration `start`."""

    def __init__(self, run: Run, source: Source, log: Log, *, start: int):
        self._run, self._source, self._log = run, source, log
        self._best = run.best()
        self._lines = Lines(run.directory / "evaluations.jsonl", start=start)

    @functools.cached_property
    def _evaluate(self) -> Evaluator:
        """Made at the first evaluation: it reads the data, and may train a classifier."""
        config = self._run.config
        settings = config.evaluation
        return Evaluator(
            config,
            self._source,
            settings.metrics,
            extractor=make_extractor(settings.extractor, config.data, self._source),
            split=config.data.split,
            samples=settings.samples,
        )

    def __call__(self, iteration: int, g: TrainState) -> Best | None:
        """Writes down what `g` scores, and returns it if it is better than all before."""
        scores = self._evaluate(g)
        for conventions, group in itertools.groupby(scores, lambda score: score.conventions):
            values = {score.name: score.value for score in group}
            self._lines.write(iteration, conventions=conventions, scores=values)
            for name, value in values.items():
                self._log.scalar(f"{name}[{conventions}]", iteration, value)
        wanted = (self._run.config.evaluation.best or scores[0].name).lower()
        score = next(score for score in scores if score.name.lower() == wanted)
        self._log.say(f"iteration {iteration:,}: {score}")
        best = self._best
        comparable = best is not None and best.name == score.name
        comparable = comparable and best.conventions == score.conventions
        if not better(score.name, score.value, best.value if comparable else None):
            return None
        self._best = Best(iteration, score.name, score.conventions, score.value)
        return self._best

    def close(self) -> None:
        self._lines.close()
