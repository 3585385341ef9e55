"""Starting from networks that were trained on other data.

Source: Wang et al., "Transferring GANs: generating images from limited data", 2018.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from jaxtyping import PyTree

from gan_jax.errors import InputError
from gan_jax.state import OBJECTIVE, TrainState

States = tuple[TrainState, TrainState]


def transfer_both(states: States, trained: States, where: str) -> tuple[States, str]:
    """Both states, `(d, g)`, with what those of the run in `where` have learned; and in words what
    they took. Shapes are enough (`jax.eval_shape`).

    Raises:
        InputError: one of them can take nothing.
    """
    taken: list[TrainState] = []
    total, fresh = 0, []
    for name, here, there in zip(("discriminator", "generator"), states, trained, strict=True):
        state, new = transfer(here, there)
        arrays: dict[str, Any] = dict(traverse_util.flatten_dict(here.params, sep="/"))
        # A bias of one number fits everywhere.
        if {array for array, value in arrays.items() if np.ndim(value) > 1} <= set(new):
            raise InputError(
                f"nothing of {where} fits the {name}: no kernel has the same name and shape"
            )
        taken.append(state)
        total += len(arrays)
        fresh += [f"{name} {array}" for array in new]
    words = f"taken: {total - len(fresh)} of {total} arrays"
    d, g = taken
    return (d, g), words + (f"; new: {', '.join(fresh)}" if fresh else "")


def transfer(state: TrainState, trained: TrainState) -> tuple[TrainState, list[str]]:
    """`state` with what `trained` has learned, and the names of the arrays that it could not take.

    Parameters, their moving average and the network's collections are taken over wherever an array
    of that name and shape exists; the optimiser and what the objective remembers start anew. A
    moving average with a ramp (`EMA.ramp_up`) soon forgets where it started, here as always.
    """
    taken, fresh = {}, []
    for name in ("params", "collections", "ema_params"):
        here, there = getattr(state, name), getattr(trained, name)
        if here is not None and there is not None:
            taken[name], missing = _graft(here, there)
            fresh += missing if name == "params" else []
    return state.replace(**taken), fresh


def _graft(here: Mapping[str, PyTree], there: Mapping[str, PyTree]) -> tuple[Any, list[str]]:
    old: dict[Any, Any] = traverse_util.flatten_dict(there)
    new: dict[Any, Any] = traverse_util.flatten_dict(here)
    fresh = []
    for path, value in new.items():
        if path[0] == OBJECTIVE:
            continue
        if path in old and _shapes(old[path]) == _shapes(value):
            new[path] = old[path]
        else:
            fresh.append("/".join(path))
    return traverse_util.unflatten_dict(new), fresh


def _shapes(leaf: PyTree) -> PyTree:
    """Of an array, or of several that a collection holds together."""
    return jax.tree.map(np.shape, leaf)
