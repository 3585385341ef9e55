"""The section of a configuration that says what the real examples are, and their loading."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import ImageColor
from typing_extensions import Doc

from gan_jax.data import sources
from gan_jax.data.conditions import in_words
from gan_jax.data.images import FITS, Form
from gan_jax.data.sources import Description, Examples, Lazy, Request, Source
from gan_jax.data.sources.base import (
    known_labels,
    labels_of,
    noted,
    only,
    read_all,
    relabelled,
    without_bad_images,
)
from gan_jax.data.sources.kinds import MODEL, Looks
from gan_jax.data.standardization import far_from_unit_scale, scaling_of
from gan_jax.errors import InputError
from gan_jax.resolutions import Resolution, parse
from gan_jax.sections import Section, check_known, number

_NAMED = 12
"""Classes whose sizes are said."""


@dataclass(frozen=True)
class Data(Section):
    """What the real examples are."""

    source: Annotated[str, Doc(f"{', '.join(sources.USAGES[:-1])} or {sources.USAGES[-1]}.")] = (
        # Where data lie is no part of what they are: their fingerprint says whether they changed.
        dataclasses.field(default="digits", metadata={"free": True})
    )
    split: str = "train"
    """Which split, of a source that has some."""
    resolution: int | str | None = None
    """In pixels: 64 for 64×64, or 48x64 for a height of 48 and a width of 64. None: as they are, if
    all are equal."""
    fit: str = "crop"
    """How images get there. crop: scale until both sides are covered, cut the center. pad: scale
    down, if it is too large, and fill up around. stretch: scale each side by its own."""
    channels: int | None = None
    """1 to make every image grey, 3 to make it RGB, 4 to keep what is transparent, too. None: as
    they are, if they agree, without transparency."""
    flip: bool = False
    """Mirror half of the images left to right, at random, anew each time."""
    held_out: int | None = None
    """Examples kept from training, to see whether the discriminator knows the others by heart.
    None: a tenth, at most 512."""
    classes: tuple[int | str, ...] = ()
    """Only examples of these classes, by their names or numbers. None given: all."""
    limit: int | None = number(None, least=1)
    """Only so many of the examples, chosen at random (the same ones for every seed)."""
    budget_gib: float | None = number(None, least=0, metadata={"free": True})
    """Up to this, data live on the device, else they stream. None: ¼ of its memory, CPU: 2."""
    background: str | None = None
    """Color behind transparent pixels and around padded images, as white or #1e90ff. None: white
    behind, black around."""
    white: float | None = number(None, above=0)
    """The value that is white in images of more than 8 bits, as 4095. None: 65535 in those of 16
    bits, 1 in those of floats from 0 to 1; what is neither is refused."""
    standardize: bool = False
    """Bring each feature of points to mean 0 and standard deviation 1 for the networks. Samples and
    scores are of the scale of the data."""
    conditions: tuple[str, ...] = ()
    """Condition on these numbers in place of a class: columns of labels.csv. None given: on the
    class, or where there is none on all numbers."""

    def validate(self, where: str) -> None:
        super().validate(where)
        check_known(f"{where}.fit", self.fit, FITS)
        resolution(self.resolution, f"{where}.resolution")
        if self.channels not in (None, 1, 3, 4):
            kinds = "1 (grey), 3 (RGB) or 4 (RGBA)"
            raise InputError(f"{where}.channels is {kinds}, not {self.channels}")
        if self.conditions and self.classes:
            raise InputError(f"{where}.conditions are in place of classes: leave {where}.classes")
        if self.background is not None:
            color(self.background, f"{where}.background")
            if self.channels == 4:
                raise InputError(f"{where}.channels 4 keeps what is transparent: no background")

    @property
    def form(self) -> Form:
        """What images are brought to."""
        background = None if self.background is None else color(self.background, "data.background")
        sides = resolution(self.resolution, "data.resolution")
        return Form(sides, self.fit, self.channels, background, self.white)

    @property
    def is_drawn(self) -> bool:
        """Whether the examples are drawn by the run's seed."""
        return sources.find(self.source)[0].is_drawn


def resolution(value: int | str | None, where: str) -> Resolution | None:
    """
    Raises:
        InputError: it is none.
    """
    try:
        return None if value is None else parse(str(value))
    except ValueError as error:
        raise InputError(f"{where} {error}") from error


def color(name: str, where: str) -> tuple[int, int, int]:
    """From 0 to 255, of a color's name in CSS or its number.

    Raises:
        InputError: there is no such color.
    """
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError as error:
        raise InputError(f"{where} is a color, as white or #1e90ff, not {name!r}") from error


def look(source: str, *, data_dir: str | None = None, conditions: Sequence[str] = ()) -> Looks:
    """What is in a source, to choose by how to train on it, if `conditions` are what is wanted of
    its numbers.

    Raises:
        InputError: an unknown source, or one that is missing or empty.
    """
    kind, argument = sources.find(source)
    request = Request(argument=argument, data_dir=data_dir, conditions=tuple(conditions))
    return kind.looks(request)


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
        form=data.form,
        seed=seed,
        conditional=conditional,
        conditions=data.conditions,
        labels_for=labels_for,
        data_dir=data_dir,
        skip_bad_images=skip_bad_images,
    )
    source = kind.load(request)
    can = source.description.labelled if labels_for == MODEL else source.description.num_classes
    if conditional and not can:
        raise InputError(
            f"{labels_for} needs labels, and {data.source} has none{request.without_labels}"
        )
    if data.conditions and source.description.conditions is None:
        for_whom = "" if conditional else ", and only conditional models are told them"
        raise InputError(f"{data.source} gives no numbers to condition on{for_whom}")
    if isinstance(source, Lazy):
        if skip_bad_images:
            source = _with_occurring(without_bad_images(source))
        description = source.description
        nbytes = description.examples * np.prod(description.shape) * source.dtype.itemsize
        source = read_all(source) if nbytes <= budget_bytes else source
    if data.standardize and len(source.description.shape) != 1:
        raise InputError(f"{data.source} holds images, and --data.standardize is for points")
    source = _selected(source, data)
    note = _labels_in_words(source) if conditional else None
    return source if note is None else noted(source, note)


def check_variety(source: Source, name: str) -> None:
    """Checks that there is something to learn.

    Raises:
        InputError: there are fewer than two examples, or all are alike.
    """
    examples = source.description.examples
    if examples < 2:
        raise InputError(f"{name} gives {examples} examples to train on: it takes two at least")
    first, _ = source.read(0)
    if all((source.read(i)[0] == first).all() for i in range(1, examples)):
        raise InputError(f"all {examples:,} examples of {name} are alike")


def standardized(source: Examples, data: Data) -> Examples:
    """Points to train on, with the scaling that they are to have; with a warning, where they should
    have one."""
    if data.standardize:
        scaling = scaling_of(source.real)
        return dataclasses.replace(
            source, description=dataclasses.replace(source.description, scaling=scaling)
        )
    if far := far_from_unit_scale(source.real):
        note = (
            f"warning: the points are far from unit scale ({far}), where networks learn badly: "
            "--data.standardize brings them there, and samples back"
        )
        return noted(source, note)
    return source


def _labels_in_words(source: Source) -> str | None:
    """As `2 classes: cat 12, dog 9`, or `conditioned on age 3 to 90`; None where classes have no
    names, or labels are not known yet."""
    labels, description = known_labels(source), source.description
    if labels is not None and description.conditions is not None:
        return f"conditioned on {in_words(description.conditions.names, labels)}"
    if labels is None or description.class_names is None:
        return None
    counts = np.bincount(labels, minlength=len(description.class_names))
    named = [f"{name} {n:,}" for name, n in zip(description.class_names, counts, strict=True)]
    if len(named) > _NAMED:
        named = [*named[:_NAMED], f"and {len(named) - _NAMED} more"]
    return f"{len(counts)} classes: {', '.join(named)}"


def _selected(source: Source, data: Data) -> Source:
    """The examples of the classes wanted, and as many as wanted."""
    examples = source.description.examples
    if data.classes:
        chosen = [_class(name, source.description, data) for name in data.classes]
        source = only(source, np.flatnonzero(np.isin(labels_of(source), chosen)))
        source = relabelled(source, sorted(set(chosen)))
        examples = source.description.examples
    if data.limit is not None and data.limit < examples:
        chosen = np.random.default_rng(0).permutation(examples)[: data.limit]
        source = only(source, np.sort(chosen))
    return source


def _with_occurring(source: Lazy) -> Lazy:
    """The source without classes of which there is no example left."""
    if source.labels is None or source.description.num_classes is None:
        return source
    classes = np.unique(source.labels).tolist()
    return source if len(classes) == source.description.num_classes else relabelled(source, classes)


def _class(name: int | str, description: Description, data: Data) -> int:
    """
    Raises:
        InputError: there is no such class.
    """
    found = description.class_of(name)
    if found is None:
        raise InputError(f"data.classes {name}: {data.source} has {description.classes_in_words}")
    return found
