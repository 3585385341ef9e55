"""Decoded data sets, kept in the user's cache directory so that they are decoded once.

They lie under `$GAN_JAX_CACHE`, by default `gan_jax` in `$XDG_CACHE_HOME` or `~/.cache`. Deleting
them loses nothing. Where nothing can be written, nothing is kept.
"""

import contextlib
import os
import zipfile
from pathlib import Path

import numpy as np

from gan_jax.paths import user_cache


def directory() -> Path:
    return user_cache() / "decoded"


def load(key: str) -> dict[str, np.ndarray] | None:
    """The arrays stored under `key`, or None."""
    try:
        with np.load(directory() / f"{key}.npz") as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        return None


def store(key: str, **arrays: np.ndarray) -> None:
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
