"""Features of images that need no network: the principal components of their pixels.

They know of shapes and colors, and nothing of what is shown; they need neither labels nor a
download.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Num, UInt8

SIDE = 16  # pixels
COMPONENTS = 64


class Components(struct.PyTreeNode):
    """Maps images, uint8 or floats from 0 to 255, to their first principal components."""

    mean: Float[Array, " pixels"]
    basis: Float[Array, "pixels d"]

    def __call__(
        self, images: Num[Array, "b h w c"] | Num[np.ndarray, "b h w c"]
    ) -> Float[Array, "b d"]:
        return (_shrunk(images).reshape(len(images), -1) - self.mean) @ self.basis


def principal_components(real: UInt8[np.ndarray, "n h w c"]) -> Components:
    """The first 64 principal components (or as many as there are) of these real images' pixels,
    averaged down to 16×16 where they are larger."""
    flat = np.asarray(_shrunk(jnp.asarray(real))).reshape(len(real), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, directions = np.linalg.eigh((flat - mean).T @ (flat - mean))  # ascending
    basis = jnp.asarray(directions[:, ::-1][:, :COMPONENTS], jnp.float32)
    return Components(jnp.asarray(mean, jnp.float32), basis)


def _shrunk(images: Any) -> Any:
    """Images [n, h, w, c] from 0 to 1, at most 16 pixels high: arrays of the kind they were."""
    x = images.astype(jnp.float32) / 255
    n, h, w, c = x.shape
    if h <= SIDE:
        return x
    return jax.image.resize(x, (n, SIDE, SIDE * w // h, c), "linear", antialias=True)
