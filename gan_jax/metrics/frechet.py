"""The Fréchet distance between Gaussians fitted to two sets of features: with Inception, the FID.

All of it is in float64 on the host: the distance is a small difference of large traces.
"""

import dataclasses
import warnings

import numpy as np
from jaxtyping import Float, Num

from gan_jax.metrics._inputs import AnyArray, matrices

ENOUGH = 2048
"""The width of Inception's features: fewer examples than that leave the covariance singular."""

_ROWS = 4096  # converted to float64 at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Gaussian:
    """All that the Fréchet distance wants to know of a set of features."""

    mean: Float[np.ndarray, " d"]
    covariance: Float[np.ndarray, "d d"]
    """Over N − 1."""
    count: int
    """Of the examples it was fitted to, N."""


def fit(features: Num[AnyArray, "n d"]) -> Gaussian:
    """The mean and covariance (over N − 1) of features, in float64.

    Raises:
        ValueError: for fewer than two examples, or numbers that are not finite.
    """
    (features,) = matrices(features, minimum=2)
    count, width = features.shape
    mean = features.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((width, width))
    for start in range(0, count, _ROWS):
        centered = features[start : start + _ROWS] - mean
        scatter += centered.T @ centered
    return Gaussian(mean, scatter / (count - 1), count)


def _factor(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """F with F Fᵀ = covariance. It exists for singular ones too."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def frechet_distance(
    real: Num[AnyArray, "n d"] | Gaussian,
    fake: Num[AnyArray, "m d"] | Gaussian,
    *,
    warn: bool = True,
) -> float:
    """‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) ≥ 0, of features or of Gaussians fitted before.

    It is the square of the Fréchet (2-Wasserstein) distance, as the FID is. The trace of the root
    is the sum of the singular values of F₁ᵀF₂, where Σ = F Fᵀ: no complex numbers arise, nothing is
    added to the diagonal, and a singular covariance costs no accuracy.

    With a `UserWarning`, unless `warn` is false, when either side has fewer than 2,048 examples:
    the FID is biased upwards, and more so the fewer the examples.

    Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium", 2017, eq. 6, after Dowson & Landau, "The Fréchet Distance between Multivariate
    Normal Distributions", 1982.

    Raises:
        ValueError: as `fit`, or if the two sides differ in width.
    """
    a, b = (side if isinstance(side, Gaussian) else fit(side) for side in (real, fake))
    if a.mean.shape != b.mean.shape:
        raise ValueError(
            f"features of different widths cannot be compared: {len(a.mean)} and {len(b.mean)}"
        )
    if warn and min(a.count, b.count) < ENOUGH:
        warnings.warn(
            f"a Fréchet distance of {a.count:,} and {b.count:,} examples is biased upwards: "
            f"use at least {ENOUGH:,} of each",
            UserWarning,
            stacklevel=2,
        )
    product = _factor(a.covariance).T @ _factor(b.covariance)
    root_trace = np.linalg.svd(product, compute_uv=False).sum()
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    squared = np.sum(np.square(a.mean - b.mean)) + traces - 2 * root_trace
    return max(0.0, float(squared))
