"""Linear maps of colours, as matrices.

The luma of a colour is what it has along the luma axis (1, 1, 1) / √3; the rest is its chroma.

Source: Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020,
appendix B.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

Matrix = Float[Array, "3 3"]
Scalar = float | Float[Array, ""]

_LUMA = np.full((3, 3), 1 / 3)  # projects to the luma axis


def luma_flip(flip: bool | Bool[Array, ""]) -> Matrix:
    """Reflects the luma, and keeps the chroma, if told to."""
    return jnp.eye(3) - jnp.where(flip, 2.0, 0.0) * _LUMA


def hue_rotation(angle: Scalar) -> Matrix:
    """Rotates about the luma axis, by Rodrigues' formula."""
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return cos * jnp.eye(3) + sin * cross + (1 - cos) * _LUMA


def saturation(factor: Scalar) -> Matrix:
    """Scales the chroma, and keeps the luma."""
    return jnp.eye(3) + (factor - 1) * (np.eye(3) - _LUMA)
