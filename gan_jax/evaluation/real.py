"""The real examples that generators are scored against."""

import functools

import numpy as np
from jaxtyping import Float, Shaped

from gan_jax.data import Examples, Source, cache
from gan_jax.data.sources import read_some
from gan_jax.data.sources.base import Labels
from gan_jax.evaluation.extractors.base import Extractor
from gan_jax.metrics.frechet import Gaussian, fit

MOST = 50_000
"""Real examples that generators are scored against; an extractor may take fewer."""
NEIGHBORS = 10_000
"""Real examples whose features are kept, and neighbors looked for among."""


class RealExamples:
    """Some of the examples of a source, and their features by one extractor."""

    def __init__(self, source: Source, extractor: Extractor):
        self._source, self._extractor = source, extractor
        self.examples, self.labels = read_some(source, MOST)

    examples: Shaped[np.ndarray, "n ..."]
    """Images as uint8, or points; up to 50,000."""
    labels: Labels | None

    @property
    def num_classes(self) -> int | None:
        return self._source.description.num_classes

    @property
    def gaussian(self) -> Gaussian:
        """Fitted to the features of as many as the extractor takes."""
        return self._known[0]

    @property
    def features(self) -> Float[np.ndarray, "m d"]:
        """Of the first 10,000."""
        return self._known[1]

    @property
    def every_label(self) -> Labels | None:
        """Of more examples, where those of all are in memory."""
        return self._source.label if isinstance(self._source, Examples) else self.labels

    def labels_for(self, n: int) -> Labels:
        """Labels for `n` other examples, as often as these have them."""
        assert self.labels is not None
        return self.labels[np.arange(n) % len(self.labels)]

    @functools.cached_property
    def _known(self) -> tuple[Gaussian, Float[np.ndarray, "m d"]]:
        """Computed once for these data and this extractor, and kept in the user's cache."""
        extractor, fingerprint = self._extractor, self._source.description.fingerprint
        key = f"features/{extractor.name}-{extractor.version}-{fingerprint}"
        kept = cache.load(key)
        if kept is None:
            features = extractor(self.examples[: extractor.most]).features
            gaussian = fit(features)
            kept = {
                "mean": gaussian.mean,
                "covariance": gaussian.covariance,
                "count": np.asarray(gaussian.count),
                "features": features[:NEIGHBORS],
            }
            cache.store(key, **kept)
        return Gaussian(kept["mean"], kept["covariance"], int(kept["count"])), kept["features"]
