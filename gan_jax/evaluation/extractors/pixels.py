"""The principal components of pixels as features: see `gan_jax.metrics.pixels`."""

import hashlib

import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Num, UInt8

from gan_jax.data.sources import read_some
from gan_jax.evaluation.extractors.base import Extractor
from gan_jax.evaluation.extractors.kinds import Kind, Request
from gan_jax.metrics import principal_components
from gan_jax.metrics.pixels import Components

BASIS = 2048
"""Real images whose principal components are features."""


def pixels(real: UInt8[np.ndarray, "n h w c"]) -> Extractor:
    """The principal components of these real images' pixels."""
    components = principal_components(real)
    version = hashlib.sha256(real.tobytes()).hexdigest()[:16]
    name = f"pixels-pca{components.basis.shape[1]}"
    return Extractor(name, Partial(_apply, components), version=version)


def _apply(
    components: Components, images: Num[Array, "b h w c"] | Num[np.ndarray, "b h w c"]
) -> tuple[Float[Array, "b d"], None]:
    return components(images), None


def _make(request: Request) -> Extractor:
    chosen, _ = read_some(request.source, BASIS)
    return pixels(chosen)


PIXELS = Kind("pixels", "principal components", _make, place=10)
