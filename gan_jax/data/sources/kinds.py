"""How a kind of source is declared, and what its examples are made of."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, Num

from gan_jax.data import images
from gan_jax.data.conditions import Conditions
from gan_jax.data.sources.base import (
    Description,
    Example,
    Examples,
    Labels,
    Lazy,
    Source,
    digest,
    known_labels,
)
from gan_jax.data.store import Store
from gan_jax.errors import InputError

MODEL = "a conditional model"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of a source. Each heeds what concerns it."""

    argument: str = ""
    """What follows its name: of `folder:PATH`, the path."""
    split: str = "train"
    form: images.Form = images.Form()
    """What its images are brought to."""
    seed: int = 0
    """The run's."""
    conditional: bool = False
    """Whether labels are needed."""
    conditions: tuple[str, ...] = ()
    """The numbers that are to be the labels, by name. None given: classes, or where there are none
    all numbers."""
    labels_for: str = MODEL
    """What needs them, in messages."""
    data_dir: str | None = None
    """Where TFDS datasets are prepared."""
    skip_bad_images: bool = False

    @property
    def without_labels(self) -> str:
        """How to do without labels, to end a message with."""
        unconditional = ", or train without classes: --objective.no-conditional"
        return unconditional if self.labels_for == MODEL else ""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of source, at the top level of a module of `gan_jax.data.sources`.

    What `load` is given, it may refuse by an `InputError`. It does not see to the choice of classes
    and the limit, nor to labels that are missing altogether.
    """

    name: str
    """What `data.source` is, or begins with."""
    help: str
    """What its examples are, in a line."""
    load: Callable[[Request], Source]
    argument: str | None = None
    """What has to follow its name after a colon: PATH."""
    look: Callable[[Request], "Looks"] | None = None
    """What it holds, without decoding much. None: what `load` says of it."""
    store: Callable[[Request], Store] | None = None
    """The image files that it reads, if it does."""
    has_splits: bool = False
    is_drawn: bool = False
    """Whether its examples are drawn by the run's seed."""

    @property
    def place(self) -> int:
        """Where it comes in a list of them: those that need nothing come first."""
        return int(self.argument is not None)

    @property
    def usage(self) -> str:
        """How it is named: `folder:PATH`."""
        return self.name if self.argument is None else f"{self.name}:{self.argument}"

    def looks(self, request: Request) -> "Looks":
        """What it holds, to choose by how to train on it."""
        if self.look is not None:
            return self.look(request)
        loaded = self.load(request)
        description, labels = loaded.description, known_labels(loaded)
        told = description.conditions
        counts = np.bincount([] if labels is None or told is not None else labels)
        classes = np.flatnonzero(counts).tolist()
        shape = description.shape
        return Looks(
            ((shape[0], shape[1]),) if len(shape) == 3 else (),
            description.examples,
            shape[-1],
            tuple(int(counts[c]) for c in classes),
            tuple(description.name_of(c) for c in classes),
            "label" if told is None else "conditions",
            () if told is None else told.names,
        )


_ALIKE, _MOST = 0.05, 0.9
"""Ratios of sides that differ by no more are one, if so many of the images have it."""


@dataclasses.dataclass(frozen=True)
class Looks:
    """What a source holds, before anything is chosen about it."""

    sizes: tuple[tuple[int, int], ...]
    """Height and width of images; of all, or of some from all over. Empty for points."""
    examples: int
    channels: int
    """3 if any is colored."""
    class_sizes: tuple[int, ...] = ()
    """How many examples each class has; empty if there are none, or it is not known."""
    class_names: tuple[str, ...] = ()
    """What these are called."""
    classes_by: str = "label"
    """What tells the classes apart."""
    conditions: tuple[str, ...] = ()
    """The numbers that each example has, by name, where they have no classes."""
    cut_out: float = 0.0
    """Share of the images of which a tenth or more is transparent, as it is of icons."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width that most images have, smaller or larger: of the shorter sides the
        median, in pixels, twice if the ratios of the sides differ."""
        side = np.median([min(size) for size in self.sizes])
        ratios = np.log([h / w for h, w in self.sizes])
        middle = np.median(ratios)
        common = np.mean(np.abs(ratios - middle) < _ALIKE) >= _MOST
        longer = side * np.exp(np.abs(middle)) if common else side
        size = round(float(side)), round(float(longer))
        return size if middle < 0 else (size[1], size[0])


def in_memory(
    request: Request,
    real: Num[np.ndarray, "n ..."],
    label: Integer[np.ndarray, " n"] | Float[np.ndarray, "n k"] | None,
    num_classes: int | None,
    fingerprint: str | None = None,
    class_names: tuple[str, ...] | None = None,
    conditions: Conditions | None = None,
) -> Examples:
    """A source from arrays, whose images are brought to the form asked for.

    Raises:
        InputError: images that are neither grey, RGB nor RGBA, or RGBA and it is not said whether
            to stay so.
    """
    form = request.form
    if real.ndim == 4 and real.shape[3] not in (1, 3, 4):
        raise InputError(f"images of {real.shape[3]} channels, not 1 (grey), 3 (RGB) or 4 (RGBA)")
    if real.ndim == 4 and real.shape[3] == 4 and form.channels is None:
        raise InputError(
            "images of 4 channels: set data.channels to 4 to keep what is transparent, or to 3 to "
            "see it on data.background"
        )
    if real.ndim == 4 and (form.resolution is not None or form.channels is not None):
        real = np.stack([images.refit(image, form) for image in real])
    if label is not None:
        label = label.astype(np.int32 if conditions is None else np.float32)
    if fingerprint is None:
        fingerprint = digest(real, *([] if label is None else [label]))
    description = Description(
        real.shape[1:], num_classes, len(real), fingerprint, class_names, conditions=conditions
    )
    return Examples(description, real, label)


def lazy(
    request: Request,
    read: Callable[[int], Example],
    examples: int,
    *,
    fingerprint: str,
    version: str,
    classes: Sequence[str] | None = None,
    labels: Labels | None = None,
    conditions: Conditions | None = None,
    notes: tuple[str, ...] = (),
) -> Lazy:
    """A source whose images are read when asked for, and must all have the shape of the first one
    that can be read.

    Raises:
        InputError: none can be read.
    """
    shape = None
    for i in range(examples):
        try:
            shape = read(i)[0].shape
            break
        except images.BadImageError:
            if not request.skip_bad_images:
                raise
    if shape is None:
        raise InputError("none of the images can be read")

    def read_checked(index: int) -> Example:
        image, label = read(index)
        if image.shape != shape:
            raise InputError(
                f"images of different shapes ({shape} and {image.shape}): set data.resolution, "
                "and data.channels if some are grey"
            )
        return image, label

    form = request.form
    options: tuple[Any, ...] = (form.resolution, form.fit, form.channels)
    if form.background is not None or form.white is not None:
        options = (*options, form.background, form.white)
    description = Description(
        shape,
        None if classes is None else len(classes),
        examples,
        digest(fingerprint, options),
        None if classes is None else tuple(classes),
        conditions=conditions,
    )
    version = digest(version, options)
    return Lazy(description, read_checked, version, labels=labels, notes=notes)
