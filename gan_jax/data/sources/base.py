"""What a source of real examples is.

Every source gives its examples by index. Those that are decoded when asked for are `Lazy`; what is
small enough is read whole, once, into `Examples`.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from gan_jax.data import cache, images

Example = tuple[np.ndarray, int | None]
"""What was read, uint8 [h, w, c] or float32 [features], and its class."""


@dataclasses.dataclass(frozen=True)
class Description:
    """What a network and a later reader need to know of the data."""

    shape: tuple[int, ...]
    """Of one example: (height, width, channels), or (features,)."""
    num_classes: int | None
    """None if there are no labels."""
    examples: int
    fingerprint: str
    """Changes when the examples do."""

    def __str__(self) -> str:
        """As `1,618 examples of 8×8×1, 10 classes`."""
        classes = f", {self.num_classes} classes" if self.num_classes else ""
        return f"{self.examples:,} examples of {'×'.join(map(str, self.shape))}{classes}"


@runtime_checkable
class Source(Protocol):
    """Examples by index: uint8 images [h, w, c] or float32 points [features], with a label."""

    @property
    def description(self) -> Description:
        """What is read."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of an example."""
        ...

    @property
    def skipped(self) -> int:
        """How many examples could not be decoded and were left out."""
        ...

    @property
    def read(self) -> Callable[[int], Example]:
        """Reads one example. It raises `gan_jax.data.images.BadImageError` if that cannot be
        decoded."""
        ...


@dataclasses.dataclass(frozen=True)
class Examples:
    """A source that is in memory."""

    description: Description
    real: np.ndarray
    label: np.ndarray | None
    skipped: int = 0

    @property
    def dtype(self) -> np.dtype:
        return self.real.dtype

    def read(self, index: int) -> Example:
        return self.real[index], None if self.label is None else int(self.label[index])


@dataclasses.dataclass(frozen=True)
class Lazy:
    """A source whose examples are decoded when asked for."""

    description: Description
    read: Callable[[int], Example]
    version: str
    """Changes when what `read` gives may have changed: the key of the cache."""
    dtype: np.dtype = np.dtype(np.uint8)
    skipped: int = 0


def only(source: Source, indices: Int[np.ndarray, " n"]) -> Source:
    """The examples at these indices, in this order."""
    before = source.description
    fingerprint = digest(before.fingerprint, indices)
    description = dataclasses.replace(before, examples=len(indices), fingerprint=fingerprint)
    if isinstance(source, Examples):
        label = None if source.label is None else source.label[indices]
        return dataclasses.replace(
            source, description=description, real=source.real[indices], label=label
        )
    if not isinstance(source, Lazy):
        raise TypeError(f"a source is Examples or Lazy, not {type(source).__name__}")
    read = source.read
    return dataclasses.replace(
        source, description=description, read=lambda index: read(int(indices[index]))
    )


def read_all(source: Lazy) -> Examples:
    """Every example of a source, decoded by several threads, and kept in the user's cache."""
    description = source.description
    cached = cache.load(source.version)
    if cached is None:
        cached = {"real": np.empty((description.examples, *description.shape), source.dtype)}
        if description.num_classes is not None:
            cached["label"] = np.empty(description.examples, np.int32)

        def decode(index: int) -> None:
            cached["real"][index], label = source.read(index)
            if label is not None:
                cached["label"][index] = label

        with ThreadPoolExecutor() as pool:
            for _ in pool.map(decode, range(description.examples)):
                pass
        cache.store(source.version, **cached)
    return Examples(description, cached["real"], cached.get("label"), source.skipped)


def gather(
    source: Source, indices: Int[np.ndarray, " n"]
) -> tuple[np.ndarray, Int[np.ndarray, " n"] | None]:
    """The examples at these indices, and their labels, if it has any."""
    if isinstance(source, Examples):
        return source.real[indices], None if source.label is None else source.label[indices]
    read = [source.read(int(i)) for i in indices]
    labels = [label for _, label in read]
    return np.stack([x for x, _ in read]), None if labels[0] is None else np.array(labels, np.int32)


def read_some(source: Source, most: int) -> tuple[np.ndarray, Int[np.ndarray, " n"] | None]:
    """Up to `most` examples from all over a source, in random order, and their labels, if it has
    any. They are the same ones every time."""
    return gather(source, np.random.default_rng(0).permutation(source.description.examples)[:most])


def without_bad_images(source: Lazy) -> Lazy:
    """The examples that can be decoded. Each is tried once; which ones could is kept in the user's
    cache."""
    version = f"{source.version}-readable"
    cached = cache.load(version)
    if cached is None:

        def can_read(index: int) -> bool:
            try:
                source.read(index)
            except images.BadImageError:
                return False
            return True

        with ThreadPoolExecutor() as pool:
            good = list(pool.map(can_read, range(source.description.examples)))
        cached = {"indices": np.flatnonzero(good)}
        cache.store(version, **cached)
    indices = cached["indices"]
    skipped = source.description.examples - len(indices)
    if not skipped:
        return source
    description = dataclasses.replace(
        source.description,
        examples=len(indices),
        fingerprint=digest(source.description.fingerprint, indices),
    )
    return dataclasses.replace(
        source,
        description=description,
        read=lambda index: source.read(int(indices[index])),
        version=f"{version}-only",
        skipped=skipped,
    )


def digest(*parts: Any) -> str:
    """A fingerprint of arrays, by their bytes, and of all else, by its words."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part.tobytes() if isinstance(part, np.ndarray) else str(part).encode())
    return sha256.hexdigest()[:16]
