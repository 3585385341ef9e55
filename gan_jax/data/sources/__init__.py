"""Sources of real examples, one kind a module.

A new kind is a new module here with a list `KINDS`; nothing else names it.
"""

import importlib
import pkgutil

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
from gan_jax.errors import InputError


def _declared() -> dict[str, Kind]:
    names = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(name) for name in names]
    kinds = [kind for module in modules for kind in getattr(module, "KINDS", ())]
    kinds.sort(key=lambda kind: kind.argument is not None)
    return {kind.name: kind for kind in kinds}


KINDS = _declared()
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
        have = " and ".join(kind.usage for kind in KINDS.values() if kind.has_splits)
        raise InputError(f"only {have} have splits: {source} has none")


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
