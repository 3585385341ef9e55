"""Checkpoints: the two train states, kept by Orbax."""

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
        saved = self._manager.item_metadata(iteration).tree
        statistics: Any = {}
        if AVERAGED not in saved["g"]["collections"]:
            statistics = like["g"]["collections"].pop(AVERAGED, {})
        _check_same_leaves(_shapes(saved), _shapes(like), self.directory / str(iteration))
        host = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
        tree = self._manager.restore(iteration, args=ocp.args.StandardRestore(host))
        if statistics:
            # Saved before statistics were averaged: those in training were sampled with.
            live = tree["g"]["collections"]
            live[AVERAGED] = jax.tree.map(np.copy, {name: live[name] for name in statistics})
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


def _shapes(tree: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    flat: dict[str, Any] = traverse_util.flatten_dict(tree, sep="/")
    return {name: tuple(leaf.shape) for name, leaf in flat.items() if leaf is not None}


def _check_same_leaves(
    saved: dict[str, tuple[int, ...]], like: dict[str, tuple[int, ...]], path: Path
) -> None:
    for name in sorted(saved.keys() | like.keys()):
        there, here = saved.get(name, "absent"), like.get(name, "absent")
        if there != here:
            raise InputError(
                f"the checkpoint {path} is of another architecture: {name} is {there} there and "
                f"{here} here"
            )
