"""What a batch needs to know to be one device's part of a larger batch.

The pure functions of this library take an `axis_name`: None when the batch is whole, otherwise the
name of the `pmap`, `shard_map` or `vmap` axis over whose members it is spread. Members hold equal
parts, in the order of their index, so that example `j` of member `i` is example `i·b + j` of the
whole: its *global index*, which keys every random draw made for it.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, Key, PyTree

T = TypeVar("T", bound=PyTree)


def varying(tree: T, axis_name: str | None) -> T:
    """`tree` marked as differing between the members of the axis.

    Compute a gradient from marked states, then average it. Without the mark, `shard_map` (in its
    default mode) sums the gradient over the devices by itself while `pmap` does not. Under
    `vmap(axis_name=…)` there is nothing to mark.
    """
    if axis_name is None or axis_name not in jax.sharding.get_abstract_mesh().axis_names:
        return tree
    return jax.tree.map(lambda x: lax.pcast(x, axis_name, to="varying"), tree)


def check_named(states: PyTree, batch: PyTree, axis_name: str | None) -> None:
    """
    Raises:
        ValueError: no `axis_name`, where members of an axis have parts of a batch: each would train
            by its own part, and what should stay equal would drift apart without a sign of it.
    """
    if axis_name is not None:
        return
    for axis in jax.sharding.get_abstract_mesh().manual_axes:
        # Of a `pmap`, or a `shard_map` that checks nothing, it is not known what varies over it.
        known = axis in _varies(lax.axis_index(axis))
        apart = not known or _varies(batch) & {axis} - _varies(states)
        if apart and lax.axis_size(axis) > 1:
            raise ValueError(
                "within pmap or shard_map the members' parts of a batch are parts of one only if "
                "the axis is named: pass its name, as in pmap(lambda …: d_step(…, axis_name='i'), "
                "axis_name='i'). Members that are to train apart belong under vmap, or under "
                "a shard_map that checks what varies"
            )


def _varies(tree: PyTree) -> set[str]:
    """The axes over which something in a tree is known to vary."""
    return set().union(
        *(jax.typeof(leaf).manual_axis_type.varying for leaf in jax.tree.leaves(tree))
    )


def mean(tree: T, axis_name: str | None) -> T:
    """The average of every floating-point leaf over the axis; other leaves as they are."""
    if axis_name is None:
        return tree
    return jax.tree.map(
        lambda x: lax.pmean(x, axis_name) if jnp.issubdtype(x.dtype, jnp.inexact) else x, tree
    )


def gather(x: Array, axis_name: str | None) -> Array:
    """`x` [b, …] of all members in order of their global index: [b · members, …]."""
    return x if axis_name is None else lax.all_gather(x, axis_name, tiled=True)


def size(axis_name: str | None) -> int:
    """The number of members of the axis."""
    return 1 if axis_name is None else lax.axis_size(axis_name)


def example_indices(n: int, axis_name: str | None) -> Int[Array, " n"]:
    """Global indices of the `n` examples held here."""
    first = 0 if axis_name is None else lax.axis_index(axis_name) * n
    return first + jnp.arange(n)


def per_example(
    draw: Callable[[Key[Array, ""]], T], key: Key[Array, ""], n: int, axis_name: str | None
) -> T:
    """`draw(key)` for each of the `n` examples held here, stacked: leaves [n, …].

    Each example's key is `fold_in(key, global index)`, so the draws do not depend on how the batch
    is spread over devices.
    """
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(example_indices(n, axis_name))
    return jax.vmap(draw)(keys)
