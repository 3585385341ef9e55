"""Mixtures of Gaussians in the plane, on which mode collapse can be counted.

Source: Lin et al., "PacGAN", 2018, §4.1, after Srivastava et al., "VEEGAN", 2017.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

RING_STD = 0.01
GRID_STD = 0.05


def ring_centers() -> np.ndarray:
    """Eight points at equal angles on the unit circle: [8, 2]."""
    angles = 2 * np.pi * np.arange(8) / 8
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def grid_centers() -> np.ndarray:
    """Points at −4, −2, …, 4 along both axes: [25, 2]."""
    axis = np.arange(-4, 5, 2, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def mixture(
    key: Key[Array, ""], n: int, centers: Float[np.ndarray, "modes 2"], std: float
) -> tuple[Float[Array, "n 2"], Int[Array, " n"]]:
    """`n` points around `centers`, all equally likely, and which one each belongs to."""
    mode_key, noise_key = jax.random.split(key)
    mode = jax.random.randint(mode_key, (n,), 0, len(centers))
    return jnp.asarray(centers)[mode] + std * jax.random.normal(noise_key, (n, 2)), mode
