"""How a kind of source is declared, and what its examples are made of."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Integer, Num

from gan_jax.data import images
from gan_jax.data.sources.base import Description, Example, Examples, Lazy, Source, digest
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

    @property
    def side(self) -> int:
        """The median of the shorter sides, in pixels."""
        return int(np.median([min(size) for size in self.sizes]))

    @property
    def is_square(self) -> bool:
        """Whether all images are."""
        return all(h == w for h, w in self.sizes)


def in_memory(
    request: Request,
    real: Num[np.ndarray, "n ..."],
    label: Integer[np.ndarray, " n"] | None,
    num_classes: int | None,
    fingerprint: str | None = None,
    class_names: tuple[str, ...] | None = None,
) -> Examples:
    """A source from arrays, whose images are brought to the form asked for.

    Raises:
        InputError: images that are not square, or neither grey nor RGB.
    """
    form = request.form
    if real.ndim == 4 and real.shape[3] not in (1, 3):
        raise InputError(f"images of {real.shape[3]} channels: 1 (grey) or 3 (RGB) are supported")
    if real.ndim == 4 and (form.resolution is not None or form.channels is not None):
        real = np.stack([images.refit(image, form) for image in real])
    if real.ndim == 4 and real.shape[1] != real.shape[2]:
        raise InputError(f"images of {real.shape[2]}×{real.shape[1]} pixels: set data.resolution")
    label = None if label is None else label.astype(np.int32)
    if fingerprint is None:
        fingerprint = digest(real, *([] if label is None else [label]))
    description = Description(real.shape[1:], num_classes, len(real), fingerprint, class_names)
    return Examples(description, real, label)


def lazy(
    request: Request,
    read: Callable[[int], Example],
    examples: int,
    *,
    fingerprint: str,
    version: str,
    classes: Sequence[str] | None = None,
    labels: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> Lazy:
    """A source whose images are read when asked for, and must all have the shape of the first one
    that can be read.

    Raises:
        InputError: that one is not square, or none can be read.
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
    if shape[0] != shape[1]:
        raise InputError(f"images of {shape[1]}×{shape[0]} pixels: set data.resolution")

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
    )
    version = digest(version, options)
    return Lazy(description, read_checked, version, labels=labels, notes=notes)
