"""Arrays in a NumPy archive."""

import zipfile
from pathlib import Path

import numpy as np

from gan_jax.data.sources.base import Examples
from gan_jax.data.sources.kinds import Kind, Request, in_memory
from gan_jax.errors import InputError


def load(request: Request) -> Examples:
    """Arrays `images` (uint8 [N, H, W, C] or [N, H, W]) or `points` (float [N, features]), and
    `labels` (integers [N]) if there are classes."""
    path = Path(request.argument)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if "points" in arrays:
        if arrays["points"].dtype.kind not in "iuf":
            raise InputError(f"the points in {path} are {arrays['points'].dtype}, not numbers")
        real = arrays["points"].astype(np.float32)
    elif "images" in arrays:
        real = arrays["images"]
        if real.dtype != np.uint8:
            raise InputError(f"the images in {path} are {real.dtype}, not uint8")
        real = real[..., None] if real.ndim == 3 else real
    else:
        raise InputError(f"{path} has neither 'images' nor 'points': only {', '.join(arrays)}")
    if len(real) == 0 or real.ndim != (2 if "points" in arrays else 4):
        raise InputError(f"{path} holds an array of shape {real.shape}, not a batch of examples")
    label = arrays.get("labels")
    if label is not None and (
        label.shape != real.shape[:1] or label.dtype.kind not in "iu" or label.min() < 0
    ):
        raise InputError(f"the labels in {path} are not one class from 0 up for each example")
    return in_memory(request, real, label, None if label is None else int(label.max()) + 1)


NPZ = Kind(
    "npz", "an array `images` or `points`, and `labels` if there are any", load, argument="PATH"
)
