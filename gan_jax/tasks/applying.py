"""What tasks have in common whose generators make images of images."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from gan_jax.state import TrainState

CHECKED = 128
"""Images of each kind at every check: making them costs more than judging them."""
BATCH = 16
"""Images made at a time."""


def floats(images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n h w c"]:
    """From 0 … 255 to [−1, 1]."""
    return images.astype(np.float32) / 127.5 - 1


@functools.partial(jax.jit, static_argnames="domain")
def make(g: TrainState, images: Array, domain: str | None = None) -> Array:
    """What a generator's moving average makes of a batch of images; of several generators, that of
    a `domain`."""
    options: dict[str, Any] = {} if domain is None else {"domain": domain}
    g = g.averaged()
    return g.apply(g.params, images, train=False, **options)[0]


def make_all(
    function: Callable[[Any], Array], images: Float[np.ndarray, "n h w c"]
) -> Float[np.ndarray, "n h2 w2 d"]:
    """What a function of batches makes of any number of images, on the host."""
    parts = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    return np.concatenate([np.asarray(function(jnp.asarray(part))) for part in parts])
