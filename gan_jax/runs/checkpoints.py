"""Checkpoints: the two train states, kept by Orbax."""

import functools
import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import serialization, traverse_util
from orbax.checkpoint import utils as ocp_utils

from gan_jax.errors import InputError
from gan_jax.state import AVERAGED, TrainState

_Path = tuple[str, ...]


class Checkpoints:
    """The checkpoints in one directory, by iteration.

    Saving is asynchronous: states are copied to the host before `save` returns, so they may be
    donated at once. A checkpoint appears under its name when it is whole, so one that a killed
    process left unfinished is never seen.

    Of all checkpoints the `keep_last` latest stay, and those at multiples of `keep_every`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        keep_last: int | None = None,
        keep_every: int | None = None,
        read_only: bool = False,
    ):
        self.directory = directory.resolve()
        if read_only:
            # It warns of what was asked for.
            logging.getLogger("absl").addFilter(_says_more_than_read_only)
            options = ocp.CheckpointManagerOptions(
                read_only=True, create=False, save_interval_steps=0
            )
        else:
            options = ocp.CheckpointManagerOptions(
                max_to_keep=keep_last, keep_period=keep_every, cleanup_tmp_directories=True
            )
        self._manager = ocp.CheckpointManager(
            self.directory, options=options, item_handlers=ocp.StandardCheckpointHandler()
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def latest(self) -> int | None:
        """The iteration of the latest one, if there is any."""
        return self._manager.latest_step()

    def all(self) -> list[int]:
        """The iterations of all of them, in order."""
        return sorted(self._manager.all_steps())

    def save(self, iteration: int, d: TrainState, g: TrainState) -> None:
        """Starts saving; every process calls this with its replica of the states."""
        tree = _as_tree(d, g)
        if jax.process_count() > 1:
            tree = jax.tree.map(ocp_utils.fully_replicated_host_local_array_to_global_array, tree)
        else:
            # Of arrays on devices Orbax has every replica write a part, which it has to cut out
            # first.
            tree = jax.device_get(tree)
        self._manager.save(iteration, args=ocp.args.StandardSave(tree))

    def restore(
        self, iteration: int, d: TrainState, g: TrainState
    ) -> tuple[TrainState, TrainState]:
        """The states saved at `iteration`, as host arrays. `d` and `g` give their structure; their
        leaves may be abstract.

        Raises:
            InputError: the checkpoint holds other leaves: those of another architecture or
                optimiser.
        """
        like = _as_tree(d, g)
        host = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
        saved = _leaves(self._manager.item_metadata(iteration).tree)
        later = {
            path: _removed(host, path)
            for path in _leaves(host).keys() - saved.keys()
            if path[:3] == _STATISTICS or path[-2:] == _LABEL_BIAS
        }
        _check_same_leaves(saved, _leaves(host), self.directory / str(iteration))
        tree: Any = self._manager.restore(iteration, args=ocp.args.StandardRestore(host))
        for path, zeros in later.items():
            # Before statistics were averaged, those in training were sampled with.
            live = (*path[:2], *path[3:])
            _put(tree, path, _at(tree, live).copy() if path[:3] == _STATISTICS else zeros)
        restored: Any = tuple(
            serialization.from_state_dict(state, tree[name]) for state, name in ((d, "d"), (g, "g"))
        )
        return restored

    def wait(self) -> None:
        """Until what is being saved is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits until what is being saved is on disk."""
        self.wait()
        self._manager.close()


def _says_more_than_read_only(record: logging.LogRecord) -> bool:
    return "Given directory is read only" not in record.getMessage()


def _as_tree(d: TrainState, g: TrainState) -> dict[str, Any]:
    """Nested dicts with string keys: what is on disk does not depend on optax's classes."""
    return {"d": serialization.to_state_dict(d), "g": serialization.to_state_dict(g)}


_STATISTICS = ("g", "collections", AVERAGED)
_LABEL_BIAS = ("mapping", "label_bias")
"""Leaves that checkpoints of 0.1.0 lack. With a bias of 0, StyleGAN2's embedding of labels is what
it was."""


def _leaves(tree: dict[str, Any]) -> dict[_Path, Any]:
    flat: dict[_Path, Any] = traverse_util.flatten_dict(tree)
    return {path: leaf for path, leaf in flat.items() if leaf is not None}


def _at(tree: dict[str, Any], path: _Path) -> Any:
    return functools.reduce(lambda node, name: node[name], path, tree)


def _removed(tree: dict[str, Any], path: _Path) -> Any:
    """The leaf that was there. Nothing stays that held only this."""
    leaf = _at(tree, path[:-1]).pop(path[-1])
    while path := path[:-1]:
        if not _at(tree, path):
            _at(tree, path[:-1]).pop(path[-1])
    return leaf


def _put(tree: dict[str, Any], path: _Path, leaf: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = leaf


def _check_same_leaves(saved: dict[_Path, Any], like: dict[_Path, Any], where: Path) -> None:
    def shape(leaves: dict[_Path, Any], path: _Path) -> Any:
        return tuple(leaves[path].shape) if path in leaves else "absent"

    for path in sorted(saved.keys() | like.keys()):
        there, here = shape(saved, path), shape(like, path)
        if there != here:
            raise InputError(
                f"the checkpoint {where} is of another architecture: {'/'.join(path)} is {there} "
                f"there and {here} here"
            )
