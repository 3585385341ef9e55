"""Starting from networks that were trained on other data.

Source: Wang et al., "Transferring GANs: generating images from limited data", 2018.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util
from jaxtyping import PyTree

from gan_jax.state import OBJECTIVE, TrainState


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
    old, new = (traverse_util.flatten_dict(tree) for tree in (there, here))
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
