"""The kernel distance between two sets of features: with Inception, the KID."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

from gan_jax.metrics._inputs import AnyArray, matrices


class KernelDistance(NamedTuple):
    """Over random subsets of the examples."""

    mean: float
    std: float


def _kernel(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def _squared_mmd(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n d"]) -> float:
    """The unbiased estimate: a point is not compared with itself."""
    n = len(x)
    within = [k.sum() - np.trace(k) for k in (_kernel(x, x), _kernel(y, y))]
    return sum(within) / (n * (n - 1)) - 2 * _kernel(x, y).mean()


def kernel_distance(
    real: Num[AnyArray, "n d"],
    fake: Num[AnyArray, "m d"],
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> KernelDistance:
    """The squared maximum mean discrepancy under the kernel (x·y/d + 1)³, in float64.

    The mean and standard deviation are over `subsets` pairs of random subsets, each of
    `subset_size` different examples, or as many as the smaller set has. The estimate is unbiased,
    so it is about 0 for samples of one distribution, and then as often negative as positive.

    Source: Bińkowski et al., "Demystifying MMD GANs", 2018, §4.

    Raises:
        ValueError: for fewer than two examples on a side, subsets of fewer than two, no subsets,
            numbers that are not finite, or sides of different widths.
    """
    real, fake = matrices(real, fake, minimum=2)
    size = min(subset_size, len(real), len(fake))
    if subsets < 1 or size < 2:
        raise ValueError(f"{subsets} subsets of {size}: this needs 1 of 2 at least")
    rng = np.random.default_rng(seed)

    def draw(features):
        chosen = rng.choice(len(features), size, replace=False)
        return features[chosen].astype(np.float64)

    estimates = [_squared_mmd(draw(real), draw(fake)) for _ in range(subsets)]
    return KernelDistance(float(np.mean(estimates)), float(np.std(estimates)))
