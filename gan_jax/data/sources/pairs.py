"""Pairs of images that belong together: an input and its target."""

import dataclasses
from pathlib import Path

import numpy as np

from gan_jax.data import images
from gan_jax.data.scanning import Scan, of_split, scan
from gan_jax.data.sources.base import Example, Lazy
from gan_jax.data.sources.kinds import Kind, Request, lazy
from gan_jax.errors import InputError


def load(request: Request) -> Lazy:
    """Every example holds both images, the channels of the input before those of the target.

    They stand side by side in each file, the input on the left; or in two folders, under equal
    names: those of the inputs are in the one whose name comes first, as of `input` and `target`, or
    `a` and `b`. The images are RGB, unless one channel is asked for.
    """
    found, notes = of_split(scan(Path(request.argument).expanduser()), request.split)
    path, tops = found.folder, sorted(set(found.tops))
    form = dataclasses.replace(request.form, channels=request.form.channels or 3)
    if len(tops) == 2 and "" not in tops:
        files = _matched(*(found.within(top) for top in tops))

        def read(index: int) -> Example:
            first, second = (images.read(file, form) for file in files[index])
            return _together(first, second, files[index][0]), None

    else:
        files = [(file,) for file in found.files]
        whole = dataclasses.replace(form, resolution=None)

        def read(index: int) -> Example:
            (file,) = files[index]
            both = images.read(file, whole)
            width = both.shape[1]
            if width % 2:
                raise InputError(
                    f"{file} is {width} pixels wide: two images side by side have an even width"
                )
            left = images.refit(both[:, : width // 2], form)
            right = images.refit(both[:, width // 2 :], form)
            return _together(left, right, file), None

    stats = [f.stat() for pair in files for f in pair]
    names = [str(f.relative_to(path)) for pair in files for f in pair]
    sized = [(name, s.st_size) for name, s in zip(names, stats, strict=True)]
    version = f"pairs {path.resolve()}{sized}{[s.st_mtime_ns for s in stats]}"
    return lazy(
        request,
        read,
        len(files),
        fingerprint=f"pairs {sized}",
        version=f"{version}{images.VERSION}",
        notes=(*notes, *found.notes),
    )


def _matched(inputs: Scan, targets: Scan) -> list[tuple[Path, ...]]:
    """Files of equal names, whatever their suffixes.

    Raises:
        InputError: one has no partner, or two have one.
    """
    both: list[dict[str, Path]] = []
    for found in (inputs, targets):
        named: dict[str, Path] = {}
        for file in found.files:
            other = named.setdefault(str(file.relative_to(found.folder).with_suffix("")), file)
            if other != file:
                raise InputError(f"{other} and {file} have one name: which is of the pair?")
        both.append(named)
    alone = sorted(both[0].keys() ^ both[1].keys())
    if alone:
        holds = inputs if alone[0] in both[0] else targets
        raise InputError(
            f"{inputs.folder} and {targets.folder} hold pairs by name, {len(both[0])} and "
            f"{len(both[1])} images, and {alone[0]} is in {holds.folder} alone"
        )
    return [(file, both[1][name]) for name, file in sorted(both[0].items())]


def _together(first: np.ndarray, second: np.ndarray, file: Path) -> np.ndarray:
    if first.shape != second.shape:
        raise InputError(
            f"the images of the pair {file} differ: {first.shape} and {second.shape}; set "
            "data.resolution"
        )
    return np.concatenate([first, second], axis=-1)


PAIRS = Kind(
    "pairs",
    "inputs and targets, side by side in each file or in two folders, for restoration",
    load,
    argument="PATH",
    has_splits=True,
)
