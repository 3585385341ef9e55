"""Nearest neighbours in feature space, and the metrics made of them.

A set of features stands for its distribution as the union of balls around its points, each
reaching to the point's k-th nearest neighbour in the set. A point is not its own neighbour, and a
ball does not contain its rim (distances are compared by <), as in the `prdc` package.

Distances are computed in float32 on the device, a block of rows at a time. Up to `FEW` dimensions
they are sums of squared differences, exact to rounding. Above, they are ‖a‖² + ‖b‖² − 2a·b of
centred features, at full float32 precision on every device and clamped at 0: the square is off by
up to about 10⁻⁶ · (‖a‖² + ‖b‖²). That is nothing beside the distances between different
images, but makes those between near-duplicates meaningless; `nearest`, which is used to find
them, therefore measures again, by differences.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from gan_jax.metrics._inputs import AnyArray, matrices

FEW = 16
"""The most dimensions in which differences are taken one by one: points, not images."""

_BLOCK = 2**24  # distances in memory at a time: 64 MiB


class PrecisionRecall(NamedTuple):
    """Kynkäänniemi et al., 2019: quality and diversity, both between 0 and 1."""

    precision: float
    """The fraction of fake points within a ball of a real one."""
    recall: float
    """The fraction of real points within a ball of a fake one."""


class DensityCoverage(NamedTuple):
    """Naeem et al., 2020: the same, robust to outliers, for these have large balls."""

    density: float
    """In how many balls of real points a fake one lies, on average, over k. It may exceed 1."""
    coverage: float
    """The fraction of real points whose ball holds a fake one."""


def _centered(queries: AnyArray, references: AnyArray, minimum: int) -> tuple[Array, Array]:
    """Both in float32, shifted by the references' mean, which changes no distance."""
    queries, references = matrices(queries, references, minimum=minimum)
    mean = references.mean(axis=0, dtype=np.float64)
    q, r = (jnp.asarray(x - mean.astype(x.dtype), jnp.float32) for x in (queries, references))
    return q, r


def _squared_distances(
    queries: Float[Array, "n d"], references: Float[Array, "m d"]
) -> Float[Array, "n m"]:
    if queries.shape[1] <= FEW:
        columns = zip(queries.T, references.T, strict=True)
        total: Any = sum(jnp.square(q[:, None] - r) for q, r in columns)
        return total
    # The default precision on GPUs and TPUs has about 3 digits.
    products = jnp.matmul(queries, references.T, precision=jax.lax.Precision.HIGHEST)
    squared_norms = [jnp.sum(jnp.square(x), axis=1) for x in (queries, references)]
    return jnp.maximum(squared_norms[0][:, None] + squared_norms[1] - 2 * products, 0.0)


def _by_rows(
    reduce: Callable[[Float[Array, "rows m"], Int[Array, " rows"]], Array],
    queries: Float[Array, "n d"],
    references: Float[Array, "m d"],
) -> Array:
    """`reduce(squared distances, row numbers)` of blocks of queries, one after the other: [n]."""
    n, width = queries.shape
    rows = max(1, min(n, _BLOCK // len(references)))
    blocks = jnp.pad(queries, ((0, -n % rows), (0, 0))).reshape(-1, rows, width)
    numbers = jnp.arange(blocks.shape[0] * rows).reshape(-1, rows)
    results = jax.lax.map(
        lambda block: reduce(_squared_distances(block[0], references), block[1]), (blocks, numbers)
    )
    return results.reshape(-1)[:n]


def _without_self(
    squared: Float[Array, "rows m"], numbers: Int[Array, " rows"]
) -> Float[Array, "rows m"]:
    return jnp.where(numbers[:, None] == jnp.arange(squared.shape[1]), jnp.inf, squared)


@functools.partial(jax.jit, static_argnames="k")
def _squared_radii(points: Float[Array, "n d"], *, k: int) -> Float[Array, " n"]:
    """To the k-th nearest other point."""

    def kth(squared, numbers):
        squared = _without_self(squared, numbers)
        for _ in range(k - 1):  # on CPUs, some 15 times faster than `top_k` for a few of thousands
            nearest = jnp.argmin(squared, axis=1, keepdims=True)
            squared = jnp.where(jnp.arange(squared.shape[1]) == nearest, jnp.inf, squared)
        return jnp.min(squared, axis=1)

    return _by_rows(kth, points, points)


@jax.jit
def _balls(
    points: Float[Array, "n d"], centers: Float[Array, "m d"], squared_radii: Float[Array, " m"]
) -> Int[Array, " n"]:
    """In how many of the balls each point lies."""
    return _by_rows(lambda squared, _: jnp.sum(squared < squared_radii, axis=1), points, centers)


@jax.jit
def _covered(
    centers: Float[Array, "n d"], squared_radii: Float[Array, " n"], points: Float[Array, "m d"]
) -> Bool[Array, " n"]:
    """Which of the balls hold any of the points."""
    return _by_rows(lambda squared, _: jnp.min(squared, axis=1), centers, points) < squared_radii


def _mean(values: Array) -> float:
    return float(np.asarray(values).mean(dtype=np.float64))


def precision_recall(
    real: Num[AnyArray, "n d"], fake: Num[AnyArray, "m d"], *, k: int = 3
) -> PrecisionRecall:
    """Whether fake points lie among the real ones, and real points among the fake ones.

    Use as many of both: each depends on how densely its balls are sown.

    Source: Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative
    Models", 2019, §2 (k = 3).

    Raises:
        ValueError: for k < 1, k or fewer examples on a side, numbers that are not finite, or sides
            of different widths.
    """
    fake, real = _centered(fake, real, minimum=_more_than(k))
    return PrecisionRecall(
        precision=_mean(_balls(fake, real, _squared_radii(real, k=k)) > 0),
        recall=_mean(_balls(real, fake, _squared_radii(fake, k=k)) > 0),
    )


def density_coverage(
    real: Num[AnyArray, "n d"], fake: Num[AnyArray, "m d"], *, k: int = 5
) -> DensityCoverage:
    """How densely fake points lie among the real ones, and how many of these have one nearby.

    Source: Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", 2020,
    §3 (k = 5).

    Raises:
        ValueError: for k < 1, k or fewer examples on a side, numbers that are not finite, or sides
            of different widths.
    """
    fake, real = _centered(fake, real, minimum=_more_than(k))
    squared_radii = _squared_radii(real, k=k)
    return DensityCoverage(
        density=_mean(_balls(fake, real, squared_radii)) / k,
        coverage=_mean(_covered(real, squared_radii, fake)),
    )


def _more_than(k: int) -> int:
    if k < 1:
        raise ValueError(f"k counts neighbours from 1, and is {k}")
    return k + 1


@functools.partial(jax.jit, static_argnames="exclude_self")
def _nearest(queries, references, *, exclude_self):
    def index(squared, numbers):
        squared = _without_self(squared, numbers) if exclude_self else squared
        return jnp.argmin(squared, axis=1)

    indices = _by_rows(index, queries, references)
    return jnp.linalg.norm(queries - references[indices], axis=1), indices


def nearest(
    queries: Num[AnyArray, "n d"],
    references: Num[AnyArray, "m d"],
    *,
    exclude_self: bool = False,
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """The Euclidean distance from each query to the nearest reference, and the latter's index.

    With `exclude_self`, queries and references are one set, and each of its points looks for
    another: 0 then means a duplicate. Above `FEW` dimensions, references about equally near
    (see the top of this file) may be taken for each other; the distance is that of the one named.

    Raises:
        ValueError: for empty sets, or with `exclude_self` for sets of different sizes or of one
            point; for numbers that are not finite, or sets of different widths.
    """
    if exclude_self and len(queries) != len(references):
        raise ValueError(
            "exclude_self takes one set twice, and not two of "
            f"{len(queries)} and {len(references)} points"
        )
    q, r = _centered(queries, references, minimum=2 if exclude_self else 1)
    distances, indices = _nearest(q, r, exclude_self=exclude_self)
    return np.asarray(distances), np.asarray(indices)
