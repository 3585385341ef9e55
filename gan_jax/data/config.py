"""The section of a configuration that says what the real examples are, and their loading."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from typing_extensions import Doc

from gan_jax.data import sources
from gan_jax.data.images import FITS, Form
from gan_jax.data.sources import Examples, Lazy, Request, Source
from gan_jax.data.sources.base import only, read_all, without_bad_images
from gan_jax.data.sources.kinds import MODEL
from gan_jax.errors import InputError
from gan_jax.sections import Section, check_known, number


@dataclass(frozen=True)
class Data(Section):
    """What the real examples are."""

    source: Annotated[str, Doc(f"{', '.join(sources.USAGES[:-1])} or {sources.USAGES[-1]}.")] = (
        "digits"
    )
    split: str = "train"
    """Which split, of a source that has some."""
    resolution: int | None = number(None, least=1)
    """Side of the square images in pixels. None: as they are, if square and all equal."""
    fit: str = "crop"
    """How images get there. crop: scale the shorter side, cut the centre. pad: black around."""
    channels: int | None = None
    """1 to make every image grey, 3 to make it RGB. None: as they are, if they agree."""
    flip: bool = False
    """Mirror half of the images left to right, at random, anew each time."""
    held_out: int | None = None
    """Examples kept from training, to see whether the discriminator knows the others by heart.
    None: a tenth, at most 512."""
    classes: tuple[int, ...] = ()
    """Only examples of these classes. None given: all."""
    limit: int | None = number(None, least=1)
    """Only so many of the examples, chosen at random (the same ones for every seed)."""
    budget_gib: float | None = number(None, least=0, metadata={"free": True})
    """Up to this, data live on the device, else they stream. None: ¼ of its memory, CPU: 2."""

    def validate(self, where: str) -> None:
        super().validate(where)
        check_known(f"{where}.fit", self.fit, FITS)
        if self.channels not in (None, 1, 3):
            raise InputError(f"{where}.channels is 1 (grey) or 3 (RGB), not {self.channels}")

    @property
    def is_drawn(self) -> bool:
        """Whether the examples are drawn by the run's seed."""
        return sources.find(self.source)[0].is_drawn


def within(budget_gib: float | None, budget_bytes: float) -> float:
    """How many bytes may be read whole: as configured, if anything may."""
    return budget_bytes if budget_gib is None or not budget_bytes else budget_gib * 2**30


def load(
    data: Data,
    *,
    seed: int = 0,
    conditional: bool = False,
    labels_for: str = MODEL,
    data_dir: str | None = None,
    skip_bad_images: bool = False,
    budget_bytes: int | float = 2 * 2**30,
) -> Source:
    """The examples that `data` names; as `Examples` if they take no more than `budget_bytes`.

    If `conditional`, they need labels; `labels_for` says in messages what needs them.

    Raises:
        InputError: an unknown source, one that is missing or empty, labels that are missing, or
            images that cannot be read or do not agree.
    """
    kind, argument = sources.find(data.source)
    if data.split != Data.split:
        sources.check_splits(data.source)
    request = Request(
        argument=argument,
        split=data.split,
        form=Form(data.resolution, data.fit, data.channels),
        seed=seed,
        conditional=conditional,
        labels_for=labels_for,
        data_dir=data_dir,
        skip_bad_images=skip_bad_images,
    )
    source = kind.load(request)
    if conditional and source.description.num_classes is None:
        raise InputError(
            f"{labels_for} needs labels, and {data.source} has none{request.without_labels}"
        )
    if isinstance(source, Lazy):
        if skip_bad_images:
            source = without_bad_images(source)
        description = source.description
        nbytes = description.examples * np.prod(description.shape) * source.dtype.itemsize
        source = read_all(source) if nbytes <= budget_bytes else source
    return _selected(source, data)


def _selected(source: Source, data: Data) -> Source:
    """The examples of the classes wanted, and as many as wanted."""
    examples = source.description.examples
    if data.classes:
        num_classes = source.description.num_classes
        if num_classes is None or not all(0 <= c < num_classes for c in data.classes):
            has = "no classes" if num_classes is None else f"classes 0 to {num_classes - 1}"
            raise InputError(f"data.classes {data.classes}: {data.source} has {has}")
        labels = source.label if isinstance(source, Examples) else None
        if labels is None:
            labels = np.array([source.read(i)[1] for i in range(examples)])
        source = only(source, np.flatnonzero(np.isin(labels, data.classes)))
        examples = source.description.examples
    if data.limit is not None and data.limit < examples:
        chosen = np.random.default_rng(0).permutation(examples)[: data.limit]
        source = only(source, np.sort(chosen))
    return source
