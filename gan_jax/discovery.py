"""What a package is given by its modules: a new one is found by its file being there."""

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


def modules(package: str) -> tuple[ModuleType, ...]:
    """All modules of a package, imported, in the order of their names."""
    return _modules(package, tuple(importlib.import_module(package).__path__))


def discover(package: str, kind: type[T]) -> dict[str, T]:
    """Every instance of `kind` at the top level of a module of a package, by its `name`, in the
    order of its `place`, a number.

    Raises:
        ValueError: two have the same name.
    """
    values: list[Any] = [
        value
        for module in modules(package)
        for value in vars(module).values()
        if isinstance(value, kind)
    ]
    values.sort(key=lambda value: (value.place, value.name))
    found: dict[str, T] = {}
    for value in values:
        if found.setdefault(value.name, value) is not value:
            raise ValueError(f"there are two of {kind.__name__} {value.name!r}")
    return found


@functools.cache
def _modules(package: str, path: tuple[str, ...]) -> tuple[ModuleType, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    return tuple(importlib.import_module(f"{package}.{name}") for name in names)
