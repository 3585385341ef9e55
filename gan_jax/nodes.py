"""Pytrees whose structure tells what they are."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar, dataclass_transform

import jax
from flax import struct
from jax.tree_util import GetAttrKey

T = TypeVar("T", bound="Node")


@dataclass_transform(frozen_default=True, field_specifiers=(struct.field,))
@dataclasses.dataclass(frozen=True)
class Node:
    """A frozen dataclass that is a pytree, as `flax.struct.PyTreeNode` is: its fields are its
    children, but for those declared `flax.struct.field(pytree_node=False)`, which are static.

    What may stand in another's place (an objective, a penalty, an augmentation) is a `Node`. Of
    flax's pytrees, two of different classes with as many children and equal static fields have
    structures that compare equal: with what `jax.tree_util.register_dataclass` has registered,
    jaxlib (0.10 and 0.12) compares nothing else. It is left to the structures' hashes whether
    `jax.jit` tells them apart. Of 300 pairs, each under a `jit` of its own, 4 were confused: what
    had been compiled for the one ran on the other, without a word.
    """

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True)(cls)
        of_tree, static = [], []
        for field in dataclasses.fields(cls):
            (of_tree if field.metadata.get("pytree_node", True) else static).append(field.name)

        def flatten(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            return tuple(getattr(node, k) for k in of_tree), tuple(getattr(node, k) for k in static)

        def flatten_with_keys(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            children, values = flatten(node)
            return tuple(zip(map(GetAttrKey, of_tree), children, strict=True)), values

        def unflatten(values: tuple[Any, ...], children: Iterable[Any]) -> Any:
            # Children may be anything here, so that nothing is checked, as it is in __init__.
            node = object.__new__(cls)
            for name, value in zip((*of_tree, *static), (*children, *values), strict=True):
                object.__setattr__(node, name, value)
            return node

        jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)

    def replace(self: T, **updates: Any) -> T:
        """The same with other values of these fields."""
        return dataclasses.replace(self, **updates)
