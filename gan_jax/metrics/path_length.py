"""Perceptual path length: how abruptly images change as their latents move."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Float, Integer

from gan_jax.metrics._inputs import AnyArray

Labels = Integer[AnyArray, " n"] | Float[AnyArray, "n k"]
"""Classes, or the numbers of conditions."""


def _slerp(
    start: Float[np.ndarray, "n z"], end: Float[np.ndarray, "n z"], t: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n z"]:
    """Points on the great circles between directions, lengths included, one for each t."""
    lengths = np.linalg.norm(start, axis=1) * np.linalg.norm(end, axis=1)
    cosine = np.sum(start * end, axis=1) / lengths
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    straight = np.sin(angle) < 1e-4  # the same or opposite directions span no circle
    safe = np.where(straight, 1.0, angle)
    a = np.where(straight, 1 - t, np.sin((1 - t) * safe) / np.sin(safe))
    b = np.where(straight, t, np.sin(t * safe) / np.sin(safe))
    return a[:, None] * start + b[:, None] * end


def perceptual_path_length(
    generate: Callable[[Float[AnyArray, "b z"], Labels | None], Array],
    features: Callable[[Array], Float[Array, "b d"]],
    *,
    latent_dim: int,
    n: int = 1000,
    epsilon: float = 1e-4,
    seed: int = 0,
    labels: Labels | None = None,
    batch_size: int = 100,
    discard: tuple[float, float] = (0.01, 0.99),
) -> float:
    """E ‖F(G(z(t))) − F(G(z(t + ε)))‖² / ε², over great circles z between random latents.

    Latents are standard normal, keep their lengths along the way, and t ~ U(0, 1): the full path.
    `generate(z, label)` gives images in [−1, 1], or points, from `z` float32 and one of `labels`
    for each, a class or a condition (None without); `features` maps them to vectors, whose squared
    Euclidean distance is taken, so scale them as the distance wants. It must *not* quantise them as
    other metrics do: two images a step of ε apart are the same in uint8. Outside the quantiles
    `discard` distances are dropped, as in the published code; (0, 1) keeps all.

    The steps are as small as float32 can bear. Latents are interpolated in float64 and rounded
    last, and distances are taken in float64, which leaves the rounding of G and F: relative errors
    r of the features add about 2 r² ‖F‖² / ε², negligible at r = 10⁻⁷ and ruinous in bfloat16 or
    TensorFloat-32. There, use float32 in full, or a larger `epsilon`.

    Source: Karras et al., "A Style-Based Generator Architecture for GANs", 2019, §4.1. Their
    latents are normalised to unit length, by the generator; numbers depend on the features, and
    compare between generators only for the same ones.

    Raises:
        ValueError: if `n`, `latent_dim`, `batch_size` or `epsilon` is not positive, if there are
            not `n` labels, or if the quantiles are not 0 ≤ low < high ≤ 1.
    """
    if min(n, latent_dim, batch_size, epsilon) <= 0:
        raise ValueError("n, latent_dim, batch_size and epsilon are positive")
    if labels is not None and len(labels) != n:
        raise ValueError(f"{n} paths need as many labels, not {len(labels)}")
    low, high = discard
    if not 0 <= low < high <= 1:
        raise ValueError(f"discard is a low and a high quantile, not {discard}")

    rng = np.random.default_rng(seed)
    start, end = rng.normal(size=(2, n, latent_dim))
    t = rng.uniform(size=n)
    here = _slerp(start, end, t).astype(np.float32)
    there = _slerp(start, end, t + epsilon).astype(np.float32)
    squared = []
    for first in range(0, n, batch_size):
        # The last batch repeats latents to be as long as the others: one shape, one compilation.
        chosen = np.arange(first, first + min(batch_size, n)) % n
        label = None if labels is None else np.asarray(labels)[chosen]
        a, b = (np.asarray(features(generate(z[chosen], label)), np.float64) for z in (here, there))
        squared.append(np.sum(np.square(a - b), axis=1))
    lengths = np.concatenate(squared)[:n] / epsilon**2
    bottom = np.quantile(lengths, low, method="lower")
    top = np.quantile(lengths, high, method="higher")
    return float(lengths[(bottom <= lengths) & (lengths <= top)].mean())
