"""What a package is given by its modules: a new one is found by its file being there."""

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import Protocol, TypeVar


class Placed(Protocol):
    """What can be discovered."""

    @property
    def name(self) -> str:
        """By which it is asked for."""
        ...

    @property
    def place(self) -> int:
        """Where it comes in a list of its kind."""
        ...


T = TypeVar("T", bound=Placed)


def modules(package: str) -> tuple[ModuleType, ...]:
    """All modules of a package, imported, in the order of their names."""
    return _modules(package, tuple(importlib.import_module(package).__path__))


def discover(package: str, kind: type[T]) -> dict[str, T]:
    """Every instance of `kind` at the top level of a module of a package, by its `name`, in the
    order of its `place`.

    Raises:
        ValueError: two have the same name.
    """
    found: dict[str, T] = {}
    for module in modules(package):
        for value in vars(module).values():
            if isinstance(value, kind) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"there are two of {kind.__name__} {value.name!r}")
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))


@functools.cache
def _modules(package: str, path: tuple[str, ...]) -> tuple[ModuleType, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    return tuple(importlib.import_module(f"{package}.{name}") for name in names)
