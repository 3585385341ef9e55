"""Feature extractors: what turns pictures into the vectors that metrics compare.

A score is comparable only with scores by the same extractor, so each has a name, and scores are
printed with it.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, UInt8

SIDE = 16  # pixels
COMPONENTS = 64


class Outputs(NamedTuple):
    """What an extractor makes of `n` examples."""

    features: Float[np.ndarray, "n d"]
    logits: Float[np.ndarray, "n k"] | None
    """Of its classes, if it is a classifier."""


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A function from examples to features, under the name that scores carry.

    >>> features, logits = extractor(pictures)  # uint8 [n, h, w, c], or float points [n, f]
    """

    name: str
    apply: Callable[[Array], tuple[Array, Array | None]]
    """Traceable: uint8 pictures [b, h, w, c] (or points [b, f]) to features [b, d] and logits
    [b, k] or None. Float pictures are taken as they come, from 0 to 255, for what has to be
    differentiated or measured below one step of quantisation."""

    batch_size: int = 256
    """How many examples it takes at a time."""
    version: str = ""
    """Tells extractors of one name apart: what was computed with one is kept for it alone."""

    @functools.cached_property
    def _jitted(self):
        # Weights in a Partial are arguments of the compiled function, not constants in it.
        apply = self.apply
        if not isinstance(apply, jax.tree_util.Partial):
            apply = jax.tree_util.Partial(apply)
        return functools.partial(jax.jit(lambda apply, x: apply(x)), apply)

    def __call__(self, examples: UInt8[Array, "n h w c"] | Float[Array, "n f"]) -> Outputs:
        """Features of any number of examples."""
        n = len(examples)
        batch_size = min(self.batch_size, n)
        parts = []
        for start in range(0, n, batch_size):
            batch = np.asarray(examples[start : start + batch_size])
            short = batch_size - len(batch)  # one shape, one compilation
            parts.append(self._jitted(np.pad(batch, ((0, short), *[(0, 0)] * (batch.ndim - 1)))))
        features, logits = zip(*parts, strict=True)
        whole = np.concatenate([np.asarray(part) for part in features])[:n]
        if logits[0] is None:
            return Outputs(whole, None)
        return Outputs(whole, np.concatenate([np.asarray(part) for part in logits])[:n])


def digest(weights: PyTree) -> str:
    """A version for an extractor with these weights."""
    hashed = hashlib.sha256()
    for leaf in jax.tree.leaves(weights):
        hashed.update(np.asarray(leaf).tobytes())
    return hashed.hexdigest()[:16]


def points() -> Extractor:
    """Points are their own features."""
    return Extractor("points", lambda x: (x.astype(jnp.float32), None))


def by_channel(classifier: Extractor) -> Extractor:
    """A classifier of grey pictures on each channel of coloured ones [n, h, w, 3]: its features
    side by side, and logits of all combinations of three classes, the red one first."""

    def apply(pictures: Array) -> tuple[Array, Array]:
        features, logits = zip(
            *(classifier.apply(pictures[..., i : i + 1]) for i in range(3)), strict=True
        )
        red, green, blue = (jax.nn.log_softmax(x) for x in logits)
        together = red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]
        return jnp.concatenate(features, axis=-1), together.reshape(len(pictures), -1)

    return dataclasses.replace(classifier, apply=apply)


def pixels(real: UInt8[np.ndarray, "n h w c"]) -> Extractor:
    """The first 64 principal components of these real pictures' pixels, averaged down to 16×16 if
    they are larger. It knows of shapes and colours, and nothing of what is shown; it needs neither
    labels nor a download.
    """
    flat = np.asarray(_shrunk(jnp.asarray(real))).reshape(len(real), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, directions = np.linalg.eigh((flat - mean).T @ (flat - mean))  # ascending
    basis = jnp.asarray(directions[:, ::-1][:, :COMPONENTS], jnp.float32)
    mean = jnp.asarray(mean, jnp.float32)

    def apply(pictures: Array) -> tuple[Array, None]:
        return (_shrunk(pictures).reshape(len(pictures), -1) - mean) @ basis, None

    version = hashlib.sha256(real.tobytes()).hexdigest()[:16]
    return Extractor(f"pixels-pca{basis.shape[1]}", apply, version=version)


def _shrunk(pictures: Array) -> Float[Array, "n h w c"]:
    """Pictures from 0 to 1, at most 16 pixels wide."""
    x = pictures.astype(jnp.float32) / 255
    n, h, w, c = x.shape
    if h <= SIDE:
        return x
    return jax.image.resize(x, (n, SIDE, SIDE * w // h, c), "linear", antialias=True)
