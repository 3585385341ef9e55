"""Sources of real examples, one kind a module.

A new kind is a new module here that defines a `Kind`; nothing else names it.
"""

from gan_jax.data.sources.base import (
    Description,
    Examples,
    Lazy,
    Source,
    gather,
    only,
    read_all,
    read_some,
)
from gan_jax.data.sources.kinds import Kind, Request
from gan_jax.discovery import discover
from gan_jax.errors import InputError

KINDS = discover(__name__, Kind)
"""All kinds of source, by name."""
USAGES = tuple(kind.usage for kind in KINDS.values())
"""How each is named."""


def find(source: str) -> tuple[Kind, str]:
    """The kind of source that `data.source` names, and what follows that name.

    Raises:
        InputError: there is no such kind.
    """
    name, _, argument = source.partition(":")
    kind = KINDS.get(name)
    if kind is None or bool(argument) != bool(kind.argument):
        raise InputError(f"unknown data.source {source!r}: one of {', '.join(USAGES)}")
    return kind, argument


def check_splits(source: str) -> None:
    """Checks that there are splits to choose from.

    Raises:
        InputError: this source has none.
    """
    if not find(source)[0].has_splits:
        *have, last = (kind.usage for kind in KINDS.values() if kind.has_splits)
        raise InputError(f"only {', '.join(have)} and {last} have splits: {source} has none")


__all__ = [
    "KINDS",
    "USAGES",
    "Description",
    "Examples",
    "Kind",
    "Lazy",
    "Request",
    "Source",
    "check_splits",
    "find",
    "gather",
    "only",
    "read_all",
    "read_some",
]
