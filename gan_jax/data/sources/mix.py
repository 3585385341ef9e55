"""Several sources as one."""

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.data import labels, sources
from gan_jax.data.conditions import conditions_of
from gan_jax.data.mixture import Mixture
from gan_jax.data.sources.base import (
    Description,
    Example,
    Examples,
    Lazy,
    Source,
    digest,
    known_labels,
    label_at,
    labels_of,
)
from gan_jax.data.sources.kinds import Kind, Looks, Request
from gan_jax.errors import InputError

_WEIGHT = re.compile(r"(.*)=(\d+\.?\d*|\.\d+)")


class _Part(NamedTuple):
    name: str
    """What the source is called."""
    kind: Kind
    argument: str
    weight: float | None

    def of(self, request: Request) -> Request:
        """What is asked of this one."""
        return dataclasses.replace(request, argument=self.argument)


def load(request: Request) -> Source:
    """The examples of all sources. Classes are united by their names. With weights, as in
    `mix:folder:a=3,folder:b=1`, an epoch of as many examples as there are takes three quarters of
    them from `folder:a`; without, each once."""
    parts = _parts(request.argument, request.split)
    found = [part.kind.load(part.of(request)) for part in parts]
    told = found[0].description.conditions
    if told is not None:  # others may have them in another order, or more, and are read anew
        request = dataclasses.replace(request, conditions=told.names)
        found = [
            source if _numbers_of(source) == told.names else part.kind.load(part.of(request))
            for part, source in zip(parts, found, strict=True)
        ]
    names = [part.name for part in parts]
    shape, dtype = found[0].description.shape, found[0].dtype
    for name, source in zip(names, found, strict=True):
        if source.description.shape != shape or source.dtype != dtype:
            one, other = ("×".join(map(str, s.description.shape)) for s in (found[0], source))
            raise InputError(
                f"{names[0]} and {name} differ, {one} and {other}: set data.resolution, and "
                "data.channels if some are grey"
            )
    numbers = _common_numbers(found)
    classes = None if numbers else _united(found, names, request)
    mixture = _mixture(found, parts)
    return _together(found, names, classes, numbers, mixture)


def _together(
    found: Sequence[Source],
    names: Sequence[str],
    classes: tuple[str, ...] | None,
    numbers: tuple[str, ...],
    mixture: Mixture,
) -> Source:
    maps = [_places(source.description, classes or ()) for source in found]
    known = [known_labels(source) for source in found]
    label = told = None
    if numbers:
        label = np.concatenate([labels_of(source) for source in found])
        told = conditions_of(numbers, label)
    if classes is not None and all(numbers is not None for numbers in known):
        pairs = zip(maps, known, strict=True)
        label = np.concatenate([to[own] for to, own in pairs]).astype(np.int32)
    description = Description(
        found[0].description.shape,
        None if classes is None else len(classes),
        sum(mixture.counts),
        digest("mix", *(s.description.fingerprint for s in found), classes, mixture.shares),
        classes,
        conditions=told,
    )
    notes = tuple(
        f"{name}: {note}" for name, s in zip(names, found, strict=True) for note in s.notes
    )
    in_memory = [source for source in found if isinstance(source, Examples)]
    if len(in_memory) == len(found):
        real = np.concatenate([source.real for source in in_memory])
        return Examples(description, real, label, notes, mixture)
    ends = np.cumsum(mixture.counts)

    def read(index: int) -> Example:
        part = int(np.searchsorted(ends, index, side="right"))
        image, own = found[part].read(index - mixture.offsets[part])
        if label is not None:
            return image, label_at(label, index)
        return image, None if classes is None or own is None else int(maps[part][own])

    versions = [s.version if isinstance(s, Lazy) else s.description.fingerprint for s in found]
    return Lazy(
        description,
        read,
        digest("mix", *versions, classes),
        dtype=found[0].dtype,
        labels=label,
        notes=notes,
        mixture=mixture,
    )


def _mixture(found: Sequence[Source], parts: Sequence[_Part]) -> Mixture:
    """
    Raises:
        InputError: so little of one is wanted that nothing is drawn from it.
    """
    counts = tuple(source.description.examples for source in found)
    weights = [part.weight for part in parts if part.weight is not None]
    if not weights:
        return Mixture(counts, None)
    mixture = Mixture(counts, tuple(weight / sum(weights) for weight in weights))
    for part, drawn in zip(parts, mixture.divided(sum(counts), mixture.shares), strict=True):
        if not drawn:
            raise InputError(f"of {part.name} nothing is drawn: its weight is too small")
    return mixture


def _common_numbers(found: Sequence[Source]) -> tuple[str, ...]:
    """The names of the numbers that all sources are conditioned on; none unless these agree."""
    names = {_numbers_of(source) for source in found}
    return names.pop() if len(names) == 1 else ()


def _numbers_of(source: Source) -> tuple[str, ...]:
    told = source.description.conditions
    return () if told is None else told.names


def _united(
    found: Sequence[Source], names: Sequence[str], request: Request
) -> tuple[str, ...] | None:
    """The names of all classes, in the order that all sources have, or else the natural one; None
    unless all have classes.

    Raises:
        InputError: labels are asked for, and one has none.
    """
    each = []
    for name, source in zip(names, found, strict=True):
        description = source.description
        if description.num_classes is None:
            if request.conditional and description.conditions is not None:
                raise InputError(
                    f"{name} is conditioned on {', '.join(description.conditions.names)}, and "
                    "others are not: name numbers that all of them have (data.conditions)"
                )
            if request.conditional:
                raise InputError(
                    f"{request.labels_for} needs labels, and {name} has none"
                    f"{request.without_labels}"
                )
            return None
        each.append(tuple(description.name_of(i) for i in range(description.num_classes)))
    if len({*each}) == 1:
        return each[0]
    return labels.in_order(name for classes in each for name in classes)


def _places(description: Description, classes: Sequence[str]) -> np.ndarray:
    """The number that each class of a source has among all."""
    if not classes:
        return np.array([], np.int32)
    own = range(description.num_classes or 0)
    return np.array([classes.index(description.name_of(i)) for i in own], np.int32)


def look(request: Request) -> Looks:
    """What all of them hold together."""
    parts = _parts(request.argument, request.split)
    looks = [part.kind.looks(part.of(request)) for part in parts]
    sizes: Counter[str] = Counter()
    for one in looks:
        sizes.update(dict(zip(one.class_names, one.class_sizes, strict=True)))
    if not all(one.class_sizes for one in looks):
        sizes.clear()
    numbers = looks[0].conditions
    if any(not {*numbers} <= {*one.conditions} for one in looks):
        numbers = ()
    return Looks(
        tuple(size for one in looks for size in one.sizes),
        sum(one.examples for one in looks),
        max(one.channels for one in looks),
        tuple(sizes.values()),
        tuple(sizes),
        " and ".join(sorted({one.classes_by for one in looks})),
        numbers,
        float(np.average([one.cut_out for one in looks], weights=[one.examples for one in looks])),
    )


def _parts(argument: str, split: str) -> list[_Part]:
    """
    Raises:
        InputError: an unknown source, or one that cannot be mixed; a weight that is none, or some
            without one.
    """
    kinds = "|".join(sources.KINDS)
    parts = []
    for text in re.split(rf",(?=(?:{kinds})(?:[:=,]|$))", argument):
        weighted = _WEIGHT.fullmatch(text)
        name, weight = weighted.groups() if weighted else (text, None)
        kind, its_argument = sources.find(name)
        if kind is MIX or kind.is_drawn:
            raise InputError(f"{name} cannot be mixed with other sources")
        if split != Request.split:
            sources.check_splits(name)
        parts.append(_Part(name, kind, its_argument, None if weight is None else float(weight)))
    given = [part.weight for part in parts if part.weight is not None]
    if given and (len(given) < len(parts) or 0 in given):
        raise InputError(
            f"mix:{argument} needs a weight above 0 for each source, as {parts[0].name}=1, or none"
        )
    return parts


MIX = Kind(
    "mix",
    "several sources as one, as mix:folder:a=3,folder:b=1: three of four examples are of folder:a",
    load,
    argument="SOURCE=WEIGHT,…",
    look=look,
    has_splits=True,
)
