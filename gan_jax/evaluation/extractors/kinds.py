"""Which extractors there are.

Each file of this folder that defines a `Kind` adds one: nothing else keeps a list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gan_jax.data import Description, Source
from gan_jax.discovery import discover
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors.base import Extractor, Logits, points


@dataclass(frozen=True)
class Request:
    """What an extractor is made for."""

    source: Source
    """The real examples, which are images."""
    dataset: str
    """What they are called: digits, stacked_mnist, tfds:NAME, folder:PATH or npz:PATH."""
    weights: Path | None = None
    """A file of weights, instead of those published."""


@dataclass(frozen=True)
class Kind:
    """Extractors of one kind."""

    name: str
    """By which it is asked for."""
    help: str
    """In a few words, what it is."""
    make: Callable[[Request], Extractor]
    logits: Logits = "none"
    """What the logits of such an extractor are of."""
    maps: bool = False
    """Whether such an extractor has feature maps, for a perceptual distance."""
    needs: Callable[[Description], str] = lambda data: ""
    """What it needs and these data do not have, in words; empty if it is for them."""
    place: int = 1000
    """Where it comes in a list of them."""


def kinds() -> dict[str, Kind]:
    """All there are, by name."""
    return discover("gan_jax.evaluation.extractors", Kind)


def find(name: str) -> Kind:
    """
    Raises:
        InputError: there is none of this name.
    """
    if name not in kinds():
        raise InputError(f"there is no extractor {name!r}: one of {', '.join(kinds())}")
    return kinds()[name]


def check(name: str, data: Description) -> None:
    """
    Raises:
        InputError: there is no extractor of this name, or it is not for these data.
    """
    if needs := find(name).needs(data):
        raise InputError(f"the extractor {name} needs {needs}: set --evaluation.extractor pixels")


def logits_of(name: str, data: Description) -> Logits:
    """What the logits of this kind of extractor are of: points have none.

    Raises:
        InputError: there is none of this name.
    """
    return find(name).logits if len(data.shape) == 3 else "none"


def make_extractor(
    name: str, source: Source, *, dataset: str, weights: Path | None = None
) -> Extractor:
    """The extractor of this name for these data, by default with the published weights, where it
    has any, which are downloaded on first use. Points are their own features.

    Raises:
        InputError: there is none of this name, it is not for these data, or its weights cannot be
            loaded.
    """
    if len(source.description.shape) == 1:
        return points()
    return find(name).make(Request(source, dataset, weights))
