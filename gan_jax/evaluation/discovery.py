"""What there is of a kind: everything of it that the modules of a package define."""

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


def discover(package: ModuleType, kind: type[T]) -> dict[str, T]:
    """Every instance of `kind` at the top level of a module of `package`, by its `name`, in the
    order of its `place`, a number.

    Raises:
        ValueError: two have the same name.
    """
    return dict(_discover(package.__name__, tuple(package.__path__), kind))


@functools.cache
def _discover(package: str, path: tuple[str, ...], kind: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in sorted(pkgutil.iter_modules(path), key=lambda module: module.name):
        for value in vars(importlib.import_module(f"{package}.{module.name}")).values():
            if isinstance(value, kind) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"there are two of {kind.__name__} {value.name!r}")
    return dict(sorted(found.items(), key=lambda item: (item[1].place, item[0])))
