"""Arrays kept in the user's cache, so that they are decoded or computed once.

They lie in `decoded` under `gan_jax.paths.cache_root()`. Deleting them loses nothing. Where nothing
can be written, nothing is kept.
"""

import contextlib
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import paths


def directory() -> Path:
    """The folder that the arrays lie in."""
    return paths.cache_root() / "decoded"


def load(key: str) -> dict[str, np.ndarray] | None:
    """The arrays stored under `key`, or None."""
    try:
        with np.load(directory() / f"{key}.npz") as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        return None


def store(key: str, **arrays: Any) -> None:
    """Keeps arrays under `key`; whole or not at all, also when several processes do so."""
    path = directory() / f"{key}.npz"
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        partial.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
