"""What the metrics take: matrices of features, one example a row."""

import jax
import numpy as np

AnyArray = jax.Array | np.ndarray


def matrices(*sets: AnyArray, minimum: int = 1) -> tuple[np.ndarray, ...]:
    """Each set as NumPy `[n, d]`: float64 stays what it is, everything else becomes float32.

    Raises:
        ValueError: if a set is no matrix, has fewer than `minimum` rows or holds a number that is
            not finite, or if the sets differ in their number of columns.
    """
    converted = []
    for features in map(np.asarray, sets):
        if features.ndim != 2:
            raise ValueError(f"features are matrices [n, d], not of shape {features.shape}")
        if len(features) < minimum:
            raise ValueError(f"{len(features)} examples are too few: this needs {minimum}")
        if features.dtype != np.float64:
            features = features.astype(np.float32, copy=False)
        if not np.isfinite(features).all():
            raise ValueError("features hold numbers that are not finite")
        converted.append(features)
    widths = {features.shape[1] for features in converted}
    if len(widths) > 1:
        raise ValueError(f"features of different widths cannot be compared: {sorted(widths)}")
    return tuple(converted)
