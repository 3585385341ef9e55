"""Counting modes: of mixtures whose centres are known, and of labelled data such as Stacked-MNIST.

Divergences are between histograms over modes, in nats, by plugging in the frequencies (0 log 0 is
0, nothing is smoothed), as the published figures are. With about as many modes as samples that
estimate is too high, so compare only at the same number of samples.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer, Num

from gan_jax.metrics._inputs import AnyArray, matrices


class ModeScores(NamedTuple):
    """How samples spread over the modes of a mixture."""

    covered: int
    """Modes that at least one high-quality sample belongs to."""
    modes: int
    """All there are."""
    high_quality: float
    """The fraction of samples close to a centre."""
    kl_fake_real: float
    """KL(fake ‖ real), the "reverse" one of the literature: finite if modes are missing."""
    kl_real_fake: float
    """KL(real ‖ fake): infinite if a mode is missing."""


class ClassScores(NamedTuple):
    """How samples spread over classes."""

    covered: int
    """Classes with at least `minimum` samples."""
    modes: int
    """All there are."""
    kl_fake_real: float
    """KL(fake ‖ real): infinite if samples are of a class that real data do not have."""
    kl_real_fake: float
    """KL(real ‖ fake): infinite if samples miss a class that real data have."""


def _kl(p: Float[np.ndarray, " modes"], q: Float[np.ndarray, " modes"]) -> float:
    """KL(p ‖ q) in nats. Infinite where q is 0 and p is not."""
    seen = p > 0
    if np.any(q[seen] == 0):
        return float("inf")
    return float(np.sum(p[seen] * np.log(p[seen] / q[seen])))


def mixture_modes(
    points: Num[AnyArray, "n d"],
    centers: Num[AnyArray, "modes d"],
    std: float,
    *,
    within: float = 3.0,
) -> ModeScores:
    """Scores of points from a mixture of Gaussians, all equally likely, of one standard deviation.

    A point belongs to the mode whose centre is nearest. It is of high quality if the centre is at
    most `within` · `std` away. Divergences count all points, of whatever quality. Of a perfect
    generator's points in the plane 1 − exp(−9/2) = 98.9 % are of high quality, not all.

    Source: Lin et al., "PacGAN", 2018, §4.1, after Srivastava et al., "VEEGAN", 2017, §4.1.

    Raises:
        ValueError: for no points or centres, widths that differ, numbers that are not finite, or
            `std` or `within` not positive.
    """
    points, centers = (x.astype(np.float64) for x in matrices(points, centers))
    if std <= 0 or within <= 0:
        raise ValueError(f"std and within are positive, and are {std} and {within}")
    distances = np.linalg.norm(points[:, None] - centers, axis=-1)
    mode = distances.argmin(axis=1)
    good = distances.min(axis=1) <= within * std
    fake = np.bincount(mode, minlength=len(centers)) / len(points)
    real = np.full(len(centers), 1 / len(centers))
    return ModeScores(
        covered=len(np.unique(mode[good])),
        modes=len(centers),
        high_quality=float(good.mean()),
        kl_fake_real=_kl(fake, real),
        kl_real_fake=_kl(real, fake),
    )


def _counts(labels: Integer[AnyArray, " n"], num_classes: int) -> Int[np.ndarray, " modes"]:
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or len(labels) == 0:
        raise ValueError(f"labels are integers [n], not {labels.dtype} of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"labels are from 0 to {num_classes - 1}, and not all of these are")
    return np.bincount(labels, minlength=num_classes)


def class_modes(
    fake_labels: Integer[AnyArray, " n"],
    num_classes: int,
    *,
    real_labels: Integer[AnyArray, " m"] | None = None,
    minimum: int = 1,
) -> ClassScores:
    """Scores of samples by the classes that a classifier assigns them to.

    A class is covered if at least `minimum` samples are of it. Divergences are against the
    distribution of `real_labels`, or the uniform one without.

    Source: Metz et al., "Unrolled Generative Adversarial Networks", 2017, §3.3; with 26,000 samples
    of Stacked-MNIST's 1,000 classes in Lin et al., "PacGAN", 2018, §4.2.

    Raises:
        ValueError: for no labels, labels that are not integers from 0 to `num_classes` − 1, or
            `minimum` below 1.
    """
    if minimum < 1:
        raise ValueError(f"a class is covered by 1 sample at least, not {minimum}")
    fake = _counts(fake_labels, num_classes)
    real = np.ones(num_classes) if real_labels is None else _counts(real_labels, num_classes)
    p_fake, p_real = fake / fake.sum(), real / real.sum()
    return ClassScores(
        covered=int(np.sum(fake >= minimum)),
        modes=num_classes,
        kl_fake_real=_kl(p_fake, p_real),
        kl_real_fake=_kl(p_real, p_fake),
    )
