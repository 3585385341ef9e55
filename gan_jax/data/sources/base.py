"""What a source of real examples is.

Every source gives its examples by index. Those that are decoded when asked for are `Lazy`; what is
small enough is read whole, once, into `Examples`.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from gan_jax.data import cache, images
from gan_jax.data.conditions import Conditions
from gan_jax.data.mixture import Mixture
from gan_jax.data.standardization import Scaling

S = TypeVar("S", bound="Source")
Labels = Int[np.ndarray, " n"] | Float[np.ndarray, "n k"]
"""Of examples: their classes, as int32, or the numbers of their conditions, as float32."""
Example = tuple[np.ndarray, int | Float[np.ndarray, " k"] | None]
"""What was read, uint8 [h, w, c] or float32 [features], and its label: its class, or the numbers of
its condition."""


@dataclasses.dataclass(frozen=True)
class Description:
    """What a network and a later reader need to know of the data."""

    shape: tuple[int, ...]
    """Of one example: (height, width, channels), or (features,)."""
    num_classes: int | None
    """None if there are no classes."""
    examples: int
    fingerprint: str
    """Changes when the examples do."""
    class_names: tuple[str, ...] | None = dataclasses.field(default=None, compare=False)
    """What the classes are called in the data. None: by their numbers."""
    scaling: Scaling | None = None
    """By which points are brought to unit scale for the networks. None: they are as they are."""
    conditions: Conditions | None = None
    """The numbers that examples have in place of a class."""

    @property
    def labelled(self) -> bool:
        """Whether examples have labels: classes or conditions."""
        return self.num_classes is not None or self.conditions is not None

    @property
    def label(self) -> str:
        """What labels are called in a batch."""
        return "label" if self.conditions is None else "condition"

    def labels(self, *shape: int) -> np.ndarray:
        """Room for the labels of so many examples."""
        if self.conditions is None:
            return np.zeros(shape, np.int32)
        return np.zeros((*shape, len(self.conditions.names)), np.float32)

    def name_of(self, label: int) -> str:
        """What a class is called."""
        return str(label) if self.class_names is None else self.class_names[label]

    def class_of(self, name: int | str) -> int | None:
        """The class that is called so, or else has this number; None if there is none."""
        number = int(name) if str(name).isdecimal() else None
        if self.class_names is not None and str(name) in self.class_names:
            return self.class_names.index(str(name))
        return number if number is not None and number < (self.num_classes or 0) else None

    @property
    def classes_in_words(self) -> str:
        """Which classes there are."""
        if not self.num_classes:
            return "no classes"
        if self.class_names is None:
            return f"the classes 0 to {self.num_classes - 1}"
        names = self.class_names
        return f"the classes {', '.join(names if len(names) <= 20 else (*names[:20], '…'))}"

    def __str__(self) -> str:
        """As `1,618 examples of 8×8×1, 10 classes`."""
        labels = f", {self.num_classes} classes" if self.num_classes else ""
        if self.conditions is not None:
            labels = f", conditioned on {', '.join(self.conditions.names)}"
        return f"{self.examples:,} examples of {'×'.join(map(str, self.shape))}{labels}"


def label_at(labels: Labels | None, index: int) -> int | Float[np.ndarray, " k"] | None:
    """That of one example, out of all."""
    if labels is None:
        return None
    return int(labels[index]) if labels.ndim == 1 else labels[index]


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
    def notes(self) -> tuple[str, ...]:
        """What there is to say about how the data were taken, each in a line."""
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
    notes: tuple[str, ...] = ()
    mixture: Mixture | None = None
    """What it is of, if of several sources."""

    @property
    def dtype(self) -> np.dtype:
        return self.real.dtype

    def read(self, index: int) -> Example:
        return self.real[index], label_at(self.label, index)


@dataclasses.dataclass(frozen=True)
class Lazy:
    """A source whose examples are decoded when asked for."""

    description: Description
    read: Callable[[int], Example]
    version: str
    """Changes when what `read` gives may have changed: the key of the cache."""
    dtype: np.dtype = np.dtype(np.uint8)
    labels: Labels | None = None
    """Of all examples, where they are known without decoding these."""
    notes: tuple[str, ...] = ()
    mixture: Mixture | None = None
    """What it is of, if of several sources."""


def only(source: S, indices: Int[np.ndarray, " n"]) -> S:
    """The examples at these indices, in this order."""
    before = source.description
    fingerprint = digest(before.fingerprint, indices)
    description = dataclasses.replace(before, examples=len(indices), fingerprint=fingerprint)
    labels = known_labels(source)
    labels = None if labels is None else labels[indices]
    mixture = mixture_of(source)
    if mixture is not None:
        source = _replace(source, mixture=mixture.only(indices))
    if isinstance(source, Examples):
        return _replace(source, description=description, real=source.real[indices], label=labels)
    read = source.read

    def read_chosen(index: int) -> Example:
        return read(int(indices[index]))

    return _replace(source, description=description, read=read_chosen, labels=labels)


def _replace(source: S, **changes: Any) -> S:
    if not isinstance(source, Examples | Lazy):
        raise TypeError(f"a source is Examples or Lazy, not {type(source).__name__}")
    return cast(Any, dataclasses.replace(source, **changes))


def noted(source: S, note: str) -> S:
    """The source, with something more to say about it, first."""
    return _replace(source, notes=(note, *source.notes))


def mixture_of(source: Source) -> Mixture | None:
    """Of which sources it is, if of several."""
    return getattr(source, "mixture", None)


def known_labels(source: Source) -> Labels | None:
    """The labels of all examples, where they are known without decoding these."""
    return source.label if isinstance(source, Examples) else getattr(source, "labels", None)


def labels_of(source: Source) -> Labels:
    """The labels of all examples of a source that has some."""
    known = known_labels(source)
    if known is not None:
        return known
    description = source.description
    labels = description.labels(description.examples)
    for i in range(len(labels)):
        labels[i] = source.read(i)[1]
    return labels


def relabelled(source: S, classes: Sequence[int]) -> S:
    """The source whose classes are these of its own alone, counted from 0. It has no others."""
    place = {old: new for new, old in enumerate(classes)}
    names = source.description.class_names
    called = tuple(str(c) if names is None else names[c] for c in classes)
    description = dataclasses.replace(
        source.description, num_classes=len(classes), class_names=called
    )
    labels = np.array([place[int(c)] for c in labels_of(source)], np.int32)
    if isinstance(source, Examples):
        return _replace(source, description=description, label=labels)
    read = source.read

    def read_relabelled(index: int) -> Example:
        return read(index)[0], int(labels[index])

    return _replace(source, description=description, read=read_relabelled, labels=labels)


def read_all(source: Lazy) -> Examples:
    """Every example of a source, decoded by several threads, and kept in the user's cache."""
    description = source.description
    cached = cache.load(source.version)
    if cached is None:
        cached = {"real": np.empty((description.examples, *description.shape), source.dtype)}
        if description.labelled:
            cached["label"] = description.labels(description.examples)

        def decode(index: int) -> None:
            cached["real"][index], label = source.read(index)
            if label is not None:
                cached["label"][index] = label

        with ThreadPoolExecutor() as pool:
            for _ in pool.map(decode, range(description.examples)):
                pass
        cache.store(source.version, **cached)
    return Examples(description, cached["real"], cached.get("label"), source.notes, source.mixture)


def gather(source: Source, indices: Int[np.ndarray, " n"]) -> tuple[np.ndarray, Labels | None]:
    """The examples at these indices, and their labels, if it has any."""
    if isinstance(source, Examples):
        return source.real[indices], None if source.label is None else source.label[indices]
    read = [source.read(int(i)) for i in indices]
    real = np.stack([x for x, _ in read])
    if read[0][1] is None:
        return real, None
    labels = source.description.labels(len(read))
    for i, (_, label) in enumerate(read):
        labels[i] = label
    return real, labels


def read_some(source: Source, most: int) -> tuple[np.ndarray, Labels | None]:
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
    bad = source.description.examples - len(indices)
    if not bad:
        return source
    note = f"left out: {bad:,} that cannot be read"
    rest = noted(only(source, indices), note)
    return dataclasses.replace(rest, version=f"{source.version}-only")


def digest(*parts: Any) -> str:
    """A fingerprint of arrays, by their bytes, and of all else, by its words."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part.tobytes() if isinstance(part, np.ndarray) else str(part).encode())
    return sha256.hexdigest()[:16]
