"""Arrays in NumPy's files."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

from gan_jax.data.conditions import chosen, conditions_of, in_float32
from gan_jax.data.scanning import naturally
from gan_jax.data.sources.base import Examples
from gan_jax.data.sources.kinds import Kind, Request, in_memory
from gan_jax.errors import InputError


def load(request: Request) -> Examples:
    """Arrays `images` (uint8 [N, H, W, C] or [N, H, W]) or `points` (numbers [N, features]), and
    `labels` if there are classes: N numbers or names, or [N, classes] with a 1 for each; or in
    place of these `conditions`, [N, k] numbers, and what these are called, `condition_names`. An
    array that is alone in its file, as in .npy ones, may be called anything."""
    path = Path(request.argument).expanduser()
    arrays = _read(path)
    if len(arrays) == 1 and not {"images", "points"} & arrays.keys():
        (alone,) = arrays.values()
        arrays = {"points" if alone.ndim == 2 else "images": alone}
    if "points" in arrays:
        real = _points(arrays["points"], path)
    elif "images" in arrays:
        real = _images(arrays["images"], path)
    else:
        raise InputError(f"{path} has neither 'images' nor 'points': only {', '.join(arrays)}")
    if "conditions" in arrays and ("labels" not in arrays or request.conditions):
        names, numbers = _conditions(arrays, len(real), request.conditions, path)
        told = conditions_of(names, numbers)
        return in_memory(request, real, numbers, None, conditions=told)
    if request.conditions:
        raise InputError(f"data.conditions are of the array 'conditions', and {path} has none")
    if "labels" not in arrays:
        return in_memory(request, real, None, None)
    labels, classes = _labels(arrays["labels"], len(real), path)
    return in_memory(request, real, labels, len(classes), class_names=classes)


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        found = np.load(path)
        if isinstance(found, np.ndarray):
            return {"": found}
        with found as file:
            return dict(file)
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _points(points: Shaped[np.ndarray, "..."], path: Path) -> Shaped[np.ndarray, "n features"]:
    if points.dtype.kind not in "iuf":
        raise InputError(f"the points in {path} are {points.dtype}, not numbers")
    if len(points.shape) != 2 or 0 in points.shape:
        raise InputError(f"the points in {path} have the shape {points.shape}, not (N, features)")
    points = points.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise InputError(
            f"{len(bad):,} of the {len(points):,} points in {path} are not finite, the first of "
            f"them points[{bad[0]}]: leave them out"
        )
    return points


def _images(images: Shaped[np.ndarray, "..."], path: Path) -> Shaped[np.ndarray, "n h w c"]:
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or 0 in images.shape:
        raise InputError(
            f"the images in {path} have the shape {images.shape}, not (N, height, width, channels)"
        )
    if images.dtype != np.uint8:
        raise InputError(
            f"the images in {path} are {images.dtype}, from {images.min():g} to {images.max():g}, "
            "and not uint8 from 0 to 255"
        )
    if images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        raise InputError(
            f"the images in {path} have the shape {images.shape}, with channels first: store "
            "np.moveaxis(images, 1, -1)"
        )
    return images


def _conditions(
    arrays: Mapping[str, np.ndarray], examples: int, wanted: Sequence[str], path: Path
) -> tuple[tuple[str, ...], Float[np.ndarray, "n k"]]:
    """What the numbers of conditions are called, and all of them."""
    numbers = arrays["conditions"]
    if numbers.ndim == 1:
        numbers = numbers[:, None]
    if numbers.dtype.kind not in "biuf" or numbers.ndim != 2 or len(numbers) != examples:
        raise InputError(
            f"the conditions in {path} are {numbers.dtype} of the shape {numbers.shape}, and not "
            f"numbers of the shape ({examples}, k)"
        )
    numbers = numbers.astype(np.float64)
    bad = np.flatnonzero(~(np.abs(numbers) <= np.finfo(np.float32).max).all(axis=1))
    if len(bad):
        raise InputError(f"the conditions in {path} are not all finite: conditions[{bad[0]}], say")
    columns = numbers.shape[1]
    names = tuple(map(str, arrays.get("condition_names", np.arange(columns)).tolist()))
    if len(names) != columns or len({*names}) != columns:
        raise InputError(f"the conditions in {path} are {columns}, and condition_names {names}")
    places = chosen(names, wanted, path)
    names = tuple(names[place] for place in places)
    return names, in_float32(names, numbers[:, places])


def _labels(
    labels: Shaped[np.ndarray, "..."], examples: int, path: Path
) -> tuple[Int[np.ndarray, " n"], tuple[str, ...]]:
    """Classes counted from 0, of those that occur, and what they are called."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == examples and labels.dtype.kind in "biuf":
        hot = labels == 1
        if not ((hot.sum(axis=1) == 1) & ((labels == 0) | hot).all(axis=1)).all():
            raise InputError(
                f"the labels in {path} have {labels.shape[1]} columns, and rows that are not one 1 "
                "among zeros: several classes at once are conditions, an array of that name"
            )
        labels = hot.argmax(axis=1)
    if labels.shape != (examples,):
        raise InputError(
            f"the labels in {path} have the shape {labels.shape}: there are {examples:,} examples"
        )
    if labels.dtype.kind == "f" and (labels == np.round(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuUS":
        raise InputError(
            f"the labels in {path} are {labels.dtype}, neither whole numbers nor names"
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    classes = sorted(set(labels.tolist()), key=naturally if labels.dtype.kind in "US" else None)
    place = {label: i for i, label in enumerate(classes)}
    numbers = np.array([place[label] for label in labels.tolist()], np.int32)
    return numbers, tuple(map(str, classes))


NPZ = Kind(
    "npz",
    "an array `images` or `points`, and `labels` or `conditions` if there are any",
    load,
    argument="PATH",
)
