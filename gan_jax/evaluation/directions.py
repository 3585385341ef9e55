"""Scores of what makes images of images, beside those of its inputs as they are."""

from collections.abc import Mapping

import numpy as np

from gan_jax.evaluation.evaluator import Scorer
from gan_jax.evaluation.metric import Score
from gan_jax.state import TrainState


class Directions:
    """Scores each direction of a translator, beside what its inputs score as they are: to do
    nothing is the baseline.

    Of each score the mean over both directions comes first. What a score is of stands at the end of
    its conventions: `KID[winter-cnn, train, 866/123, a2b]`.

    Args:
        translated: Scores what each direction makes.
        unchanged: Scores, of the same directions, what to do nothing makes, and
        baseline: what this is called.
    """

    def __init__(
        self,
        translated: Mapping[str, Scorer],
        unchanged: Mapping[str, Scorer],
        baseline: str = "not translated",
    ):
        self._translated, self._unchanged, self._called = translated, unchanged, baseline

    def __call__(self, g: TrainState) -> list[Score]:
        """
        Raises:
            InputError: translations are not finite.
        """
        each = {direction: score(g) for direction, score in self._translated.items()}
        means = _means(each, "both ways") if len(each) > 1 else []
        return means + _named(each, "") + self._baseline(g)

    def _baseline(self, g: TrainState) -> list[Score]:
        if self._known is None:
            each = {direction: score(g) for direction, score in self._unchanged.items()}
            self._known = _named(each, self._called)
        return self._known

    _known: list[Score] | None = None


def _named(each: Mapping[str, list[Score]], what: str) -> list[Score]:
    return [
        score._replace(conventions=", ".join(filter(None, (score.conventions, said))))
        for direction, scores in each.items()
        for said in [f"{direction} {what}".strip()]
        for score in scores
    ]


def _means(each: Mapping[str, list[Score]], what: str) -> list[Score]:
    means = []
    for scores in zip(*each.values(), strict=True):
        extractor, split, *_ = scores[0].conventions.split(", ")
        value = float(np.mean([score.value for score in scores]))
        means.append(scores[0]._replace(value=value, conventions=f"{extractor}, {split}, {what}"))
    return means
