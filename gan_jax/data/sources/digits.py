"""The handwritten digits that ship with scikit-learn."""

from typing import Any

import numpy as np

from gan_jax.data.sources.base import Examples
from gan_jax.data.sources.kinds import Kind, Request, in_memory


def load(request: Request) -> Examples:
    """All 1,797 images of 8×8 pixels."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    return in_memory(request, images, digits.target, 10)


DIGITS = Kind("digits", "1,797 handwritten digits of 8×8 pixels, from scikit-learn", load)
