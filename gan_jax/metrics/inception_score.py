"""The Inception score: are single samples classified surely, and all of them diversely?"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

from gan_jax.metrics._inputs import AnyArray, matrices


class InceptionScore(NamedTuple):
    """Over splits of the samples."""

    mean: float
    std: float


def _score(log_p: Float[np.ndarray, "n classes"]) -> float:
    """exp(mean over examples of KL(p(y|x) ‖ p(y)))."""
    log_marginal = np.logaddexp.reduce(log_p, axis=0) - np.log(len(log_p))
    divergences = np.sum(np.exp(log_p) * (log_p - log_marginal), axis=1)
    return float(np.exp(divergences.mean()))


def inception_score(logits: Num[AnyArray, "n classes"], *, splits: int = 10) -> InceptionScore:
    """exp E KL(p(y|x) ‖ p(y)) of a classifier's logits: from 1 to the number of classes.

    In float64, from log-probabilities. The mean and standard deviation are over `splits` parts of
    about n / `splits` consecutive examples each; p(y) is the mean within a part. So shuffle samples
    that come ordered by class.

    Source: Salimans et al., "Improved Techniques for Training GANs", 2016, §4.

    Raises:
        ValueError: for fewer examples than splits, no splits, or logits that are not finite.
    """
    if splits < 1:
        raise ValueError(f"{splits} splits: this needs 1 at least")
    (logits,) = matrices(logits, minimum=splits)
    logits = logits.astype(np.float64)
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    edges = [i * len(logits) // splits for i in range(splits + 1)]
    scores = [_score(log_p[a:b]) for a, b in itertools.pairwise(edges)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))
