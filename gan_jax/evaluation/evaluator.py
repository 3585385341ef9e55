"""Scores of a generator against real examples, each with what it depends on.

A score compares only with scores of the same conventions: the extractor, the split of the data, and
how many examples of either kind. So it is never printed without them: `FID[digits-cnn, train,
1.6k/2k]`.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from gan_jax import figures
from gan_jax.data import Source
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors.base import Extractor
from gan_jax.evaluation.metric import Comparison, Score, Setting, check, metrics
from gan_jax.evaluation.real import RealExamples
from gan_jax.evaluation.subject import Subject
from gan_jax.state import TrainState


@runtime_checkable
class Scorer(Protocol):
    """What scores generators, in whatever way."""

    def __call__(self, g: TrainState) -> list[Score]:
        """The scores of one. The first of them decides which is the best, unless the configuration
        names another."""
        ...


class Evaluator:
    """Scores generators of one run against the examples of one split.

    >>> subject = from_latents(64)
    >>> evaluator = Evaluator(subject, source, ("fid", "kid"), extractor=inception.load())
    >>> for score in evaluator(g): print(score)

    Raises:
        InputError: a metric that these data or this model do not have.
    """

    def __init__(
        self,
        subject: Subject,
        source: Source,
        metrics: Sequence[str] = (),
        *,
        extractor: Extractor,
        split: str = "train",
        samples: int = 2000,
    ):
        self.images = len(source.description.shape) == 3
        setting = Setting(
            subject,
            images=self.images,
            logits=extractor.logits,
            maps=extractor.maps is not None,
            examples=min(samples, source.description.examples),
        )
        self.metrics = check(metrics, setting)
        self.subject, self.split, self.samples = subject, split, samples
        self.extractor, self.real = extractor, RealExamples(source, extractor)

    def __call__(self, g: TrainState) -> list[Score]:
        """Scores of the generator, in the order of the metrics.

        Raises:
            InputError: what it generates is not finite.
        """
        comparison = self._compare(g)
        scores = []
        for name in self.metrics:
            metric = metrics()[name]
            values, real, generated = metric.measure(comparison)
            where = f"{self.extractor.name}, {self.split}, {_thousands(real, generated)}"
            scores += [
                Score(score, float(value), where, score in metric.higher_is_better)
                for score, value in values.items()
            ]
        return scores

    def _compare(self, g: TrainState) -> Comparison:
        labels = self.real.labels_for(self.samples) if self.subject.conditional else None
        fake = np.asarray(self.subject.sample(g, self.samples, labels))
        fake = figures.to_uint8(fake) if self.images else fake
        if not np.isfinite(fake).all():
            raise InputError("the generator's samples are not finite")
        features, logits = self.extractor(fake)
        return Comparison(
            self.subject, self.real, self.extractor, g, fake, labels, features, logits
        )


def _thousands(real: int, generated: int) -> str:
    def short(n: int) -> str:
        return str(n) if n < 1000 else f"{n / 1000:.3g}k"

    return f"{short(real)}/{short(generated)}" if real else short(generated)
