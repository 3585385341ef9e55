"""Feature extractors: what turns images into the vectors that metrics compare.

A score is comparable only with scores by the same extractor, so each has a name, and scores are
printed with it.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Num, PyTree

from gan_jax.errors import InputError

Logits = Literal["none", "classes", "other"]
"""What an extractor's logits are of, beside features: nothing; the classes of the data; others."""


class Outputs(NamedTuple):
    """What an extractor makes of `n` examples."""

    features: Float[np.ndarray, "n d"]
    logits: Float[np.ndarray, "n k"] | None
    """Of its classes, if it is a classifier."""


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A function from examples to features, under the name that scores carry.

    >>> features, logits = extractor(images)  # uint8 [n, h, w, c], or float points [n, f]
    """

    name: str
    apply: Callable[[Array], tuple[Array, Array | None]]
    """Traceable: uint8 images [b, h, w, c] (or points [b, f]) to features [b, d] and logits
    [b, k] or None. Float images are taken as they come, from 0 to 255, for what has to be
    differentiated or measured below one step of quantisation."""

    batch_size: int = 256
    """How many examples it takes at a time."""
    most: int = 50_000
    """How many real examples it is to make features of: one that takes long, of fewer."""
    maps: Callable[[Array], tuple[Array, ...]] | None = None
    """Traceable: images [b, h, w, c] from 0 to 255 to feature maps [b, _, _, _] of several layers,
    which a perceptual distance takes; None, if it has none."""
    version: str = ""
    """Tells extractors of one name apart: what was computed with one is kept for it alone."""
    logits: Logits = "none"

    def __call__(self, examples: Num[np.ndarray | Array, "n ..."]) -> Outputs:
        """Features of any number of examples."""
        apply = as_argument(self.apply)
        n = len(examples)
        batch_size = min(self.batch_size, n)
        parts = []
        for start in range(0, n, batch_size):
            batch = np.asarray(examples[start : start + batch_size])
            short = batch_size - len(batch)  # one shape, one compilation
            padded = np.pad(batch, ((0, short), *[(0, 0)] * (batch.ndim - 1)))
            parts.append(_apply(apply, padded))
        features, logits = zip(*parts, strict=True)
        whole = np.concatenate([np.asarray(part) for part in features])[:n]
        if logits[0] is None:
            return Outputs(whole, None)
        return Outputs(whole, np.concatenate([np.asarray(part) for part in logits])[:n])


def as_argument(function: Callable[..., Any]) -> Partial:
    """A function that compiled ones take: weights in a `Partial` are arguments of theirs then, not
    constants in them."""
    return function if isinstance(function, Partial) else Partial(function)


@jax.jit
def _apply(apply: Partial, x: Array) -> tuple[Array, Array | None]:
    return apply(x)


def digest(weights: PyTree) -> str:
    """A version for an extractor with these weights."""
    hashed = hashlib.sha256()
    for leaf in jax.tree.leaves(weights):
        hashed.update(np.asarray(leaf).tobytes())
    return hashed.hexdigest()[:16]


def opaque(images: Num[Array | np.ndarray, "b h w c"], network: str) -> Float[Array, "b h w _"]:
    """Images of 1, 3 or 4 channels from 0 to 255 as those of 1 or 3 from 0 to 1, in float32. What
    is transparent is seen on white.

    Raises:
        InputError: images of another number of channels, which `network` does not take.
    """
    channels = images.shape[-1]
    if channels not in (1, 3, 4):
        raise InputError(f"{network} takes images of 1, 3 or 4 channels, not {channels}")
    x = jnp.asarray(images).astype(jnp.float32) / 255
    return x[..., :3] * x[..., 3:] + 1 - x[..., 3:] if channels == 4 else x


def points() -> Extractor:
    """Points are their own features."""
    return Extractor("points", _points)


def _points(x: Array) -> tuple[Array, None]:
    return x.astype(jnp.float32), None


def by_channel(classifier: Extractor) -> Extractor:
    """A classifier of gray images on each channel of colored ones [n, h, w, 3]: its features side
    by side, and logits of all combinations of three classes, the red one first."""

    def apply(images: Array) -> tuple[Array, Array]:
        features, logits = zip(
            *(classifier.apply(images[..., i : i + 1]) for i in range(3)), strict=True
        )
        red, green, blue = (jax.nn.log_softmax(x) for x in logits)
        together = red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]
        return jnp.concatenate(features, axis=-1), together.reshape(len(images), -1)

    return dataclasses.replace(classifier, apply=apply)
