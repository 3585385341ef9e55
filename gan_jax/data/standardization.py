"""Points brought to unit scale, and back."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

_FAR = 30.0
"""How many times larger or smaller than 1 the spread of points, or how far their center from 0, may
be before networks learn badly."""


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Each feature less its `center`, over its `scale`. It is kept with the description of a run's
    data, so that samples are made without these at hand."""

    center: tuple[float, ...]
    scale: tuple[float, ...]

    def standardized(self, points: Any) -> Any:
        """Points [..., features] of the data, as networks see them."""
        return (points - self._array(self.center)) / self._array(self.scale)

    def restored(self, points: Any) -> Any:
        """Points as networks make them, as the data are."""
        return points * self._array(self.scale) + self._array(self.center)

    @staticmethod
    def _array(numbers: tuple[float, ...]) -> Float[np.ndarray, " features"]:
        return np.asarray(numbers, np.float32)


def scaling_of(points: Float[np.ndarray, "n features"]) -> Scaling:
    """By the mean and the standard deviation of each feature. They are rounded, since their last
    bits may differ from one machine to another. What does not vary keeps its scale."""
    mean, std = points.mean(axis=0, dtype=np.float64), points.std(axis=0, dtype=np.float64)
    scale = [float(f"{s:.6g}") if s > 0 else 1.0 for s in std]
    center = [round(m / s, 3) * s for m, s in zip(mean.tolist(), scale, strict=True)]
    return Scaling(tuple(float(f"{c:.12g}") for c in center), tuple(scale))


def far_from_unit_scale(points: Float[np.ndarray, "n features"]) -> str:
    """How far points are from what networks learn well, in words; empty if they are not."""
    mean, std = np.abs(points.mean(axis=0, dtype=np.float64)), points.std(axis=0, dtype=np.float64)
    spread = std[std > 0]
    if mean.max() <= _FAR and spread.max() <= _FAR and spread.min() >= 1 / _FAR:
        return ""
    return (
        f"means up to {mean.max():.3g}, standard deviations from {spread.min():.3g} to "
        f"{spread.max():.3g}"
    )
