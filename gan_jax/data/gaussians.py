"""Mixtures of Gaussians in the plane, on which mode collapse can be counted.

Source: Lin et al., "PacGAN", 2018, §4.1, after Srivastava et al., "VEEGAN", 2017.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

RING_STD = 0.01
GRID_STD = 0.05


def ring_centers() -> Float[np.ndarray, "8 2"]:
    """Eight points at equal angles on the unit circle."""
    angles = 2 * np.pi * np.arange(8) / 8
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def grid_centers() -> Float[np.ndarray, "25 2"]:
    """Points at −4, −2, …, 4 along both axes."""
    axis = np.arange(-4, 5, 2, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


class Mixture(NamedTuple):
    """Equally likely modes, all of one standard deviation."""

    centers: Float[np.ndarray, "modes 2"]
    std: float


MIXTURES = {
    "ring": Mixture(ring_centers(), RING_STD),
    "grid": Mixture(grid_centers(), GRID_STD),
}
"""Those that there is a source of data for, by its name."""


def mixture(
    key: Key[Array, ""], n: int, centers: Float[np.ndarray, "modes 2"], std: float
) -> tuple[Float[Array, "{n} 2"], Int[Array, "{n}"]]:
    """Draws `n` points around `centers`, all equally likely, and which one each belongs to."""
    mode_key, noise_key = jax.random.split(key)
    mode = jax.random.randint(mode_key, (n,), 0, len(centers))
    return jnp.asarray(centers)[mode] + std * jax.random.normal(noise_key, (n, 2)), mode
