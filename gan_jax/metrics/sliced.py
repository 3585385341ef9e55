"""The sliced Wasserstein distance: transport costs along random lines."""

import numpy as np
from jaxtyping import Num

from gan_jax.metrics._inputs import AnyArray, matrices

_DIRECTIONS = 64  # projected and sorted at a time


def sliced_wasserstein(
    real: Num[AnyArray, "n d"],
    fake: Num[AnyArray, "m d"],
    *,
    projections: int = 512,
    seed: int = 0,
) -> float:
    """The mean over random unit directions of the 1-Wasserstein distance between projections.

    In the units of the features. Along a line that distance is the area between both quantile
    functions, which are steps of widths 1/n and 1/m, so it is exact for any n and m. Pass
    images as flattened pixels or as features. It is the 1-Wasserstein convention (Karras et al.),
    without their Laplacian pyramid of patches; others take the 2-Wasserstein distance.

    Source: Rabin et al., "Wasserstein Barycenter and its Application to Texture Mixing", 2011;
    Karras et al., "Progressive Growing of GANs", 2018, §5.

    Raises:
        ValueError: for empty sets, no projections, numbers that are not finite, or sides of
            different widths.
    """
    real, fake = matrices(real, fake)
    if projections < 1:
        raise ValueError(f"{projections} projections: this needs 1 at least")
    n, m = len(real), len(fake)
    # Where either quantile function steps, in units of 1/(n·m): whole numbers, so nothing rounds.
    edges = np.union1d(m * np.arange(n + 1), n * np.arange(m + 1))
    starts, widths = edges[:-1], np.diff(edges) / (n * m)

    directions = np.random.default_rng(seed).normal(size=(projections, real.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    total = 0.0
    for start in range(0, projections, _DIRECTIONS):
        part = directions[start : start + _DIRECTIONS]
        r, f = (np.sort(part.astype(x.dtype) @ x.T, axis=1) for x in (real, fake))
        gaps = np.abs(r[:, starts // m].astype(np.float64) - f[:, starts // n])
        total += float(np.sum(gaps @ widths))
    return total / projections
