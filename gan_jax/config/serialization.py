"""Configurations as JSON, and how two of them differ."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from gan_jax.config import migrations
from gan_jax.config.base import Config
from gan_jax.errors import InputError
from gan_jax.sections import Kind

T = TypeVar("T")


def to_dict(section: Any) -> dict[str, Any]:
    """Plain data, ready for `json.dumps`. A section that comes in kinds says which it is."""
    values = {
        field.name: _plain(getattr(section, field.name)) for field in dataclasses.fields(section)
    }
    if isinstance(section, Kind):
        return {section.selector: section.kind, **values}
    return values


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return dict(value) if isinstance(value, Mapping) else value


def to_json(section: Any) -> str:
    """Text of several lines, with a version at the head of a whole configuration."""
    values = to_dict(section)
    if isinstance(section, Config):
        values = {"version": migrations.VERSION, **values}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """The inverse of `to_dict`. Fields that are absent take their defaults.

    Raises:
        InputError: a field or a kind that `cls` does not have.
    """
    values = dict(values)
    if issubclass(cls, Kind):
        kind = values.pop(cls.selector, getattr(cls, "kind", None))
        cls = cls.of_kind(str(kind), where)
    kinds = typing.get_type_hints(cls)
    fields = {field.name for field in dataclasses.fields(typing.cast(Any, cls))}
    unknown = values.keys() - fields
    if unknown:
        name = where or cls.__name__
        raise InputError(f"{name} has no field {', '.join(sorted(unknown))}")
    prefix = f"{where}." if where else ""
    return cls(
        **{name: _parse(kinds[name], value, prefix + name) for name, value in values.items()}
    )


def from_json(cls: type[T], text: str) -> T:
    """The inverse of `to_json`. Configurations of earlier versions are migrated.

    Raises:
        InputError: as `from_dict`, or a version that is not known yet.
    """
    values = json.loads(text)
    if issubclass(cls, Config):
        values = migrations.migrate(values)
    return from_dict(cls, values)


def _parse(kind: Any, value: Any, where: str) -> Any:
    if isinstance(kind, types.UnionType):
        kind = next((k for k in kind.__args__ if dataclasses.is_dataclass(k)), None)
    if isinstance(value, dict) and dataclasses.is_dataclass(kind):
        return from_dict(typing.cast(Any, kind), value, where)
    return _as_tuples(value)


def _as_tuples(value: Any) -> Any:
    """Lists, and lists in them, as tuples, which configurations are made of."""
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested plain data by dotted names: `{"data.resolution": 32, …}`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def differences(old: Config, new: Config) -> list[str]:
    """Fields that change the training and differ, as `field: old → new`."""
    before, after = flatten(to_dict(old)), flatten(to_dict(new))
    free = _free(type(new)) - ({"check_every"} if new.balance else set())
    return [
        f"{name}: {before.get(name)} → {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
        and name not in free
        and name.partition(".")[0] not in free
    ]


def _free(cls: Any, prefix: str = "") -> set[str]:
    """The dotted names of fields that do not change what is trained."""
    names, kinds = set(), typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.metadata.get("free"):
            names.add(prefix + field.name)
        elif dataclasses.is_dataclass(kinds[field.name]):
            names |= _free(kinds[field.name], f"{prefix}{field.name}.")
    return names
