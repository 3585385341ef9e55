"""Image files in a folder."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gan_jax.data import decoding, images
from gan_jax.data.scanning import Scan, naturally, of_split, scan
from gan_jax.data.sources.base import Example, Lazy
from gan_jax.data.sources.kinds import Kind, Looks, Request, lazy
from gan_jax.errors import InputError


def load(request: Request) -> Lazy:
    """All images at any depth, in the order of their names; if labels are asked for, the folders at
    the top are the classes. If all of these are splits, as `train` and `test`, the images are those
    of one."""
    found, notes = of_split(scan(Path(request.argument).expanduser()), request.split)
    path, files = found.folder, found.files
    classes = _classes(found, request) if request.conditional else None
    labels = None if classes is None else np.array([classes.index(top) for top in found.tops])

    headers = _headers(files, request.skip_bad_images)
    channels = request.form.channels or _common_channels(files, headers)
    form = dataclasses.replace(request.form, channels=channels)

    def read(index: int) -> Example:
        return images.read(files[index], form), None if labels is None else int(labels[index])

    stats = [f.stat() for f in files]
    names = [(str(f.relative_to(path)), s.st_size) for f, s in zip(files, stats, strict=True)]
    version = f"{path.resolve()}{names}{[s.st_mtime_ns for s in stats]}{list(classes or [])}"
    return lazy(
        request,
        read,
        len(files),
        fingerprint=f"{names}{list(classes or [])}",
        version=f"{version}{images.VERSION}",
        classes=classes,
        labels=labels,
        notes=(*notes, *_notes(found, headers, form)),
    )


def look(request: Request) -> Looks:
    """From the headers of all images."""
    found, _ = of_split(scan(Path(request.argument).expanduser()), request.split)
    headers = [h for h in _headers(found.files, skip_bad_images=True) if h is not None]
    if not headers:
        raise InputError("none of the images can be read")
    tops = Counter(found.tops)
    return Looks(
        tuple(h.size for h in headers),
        len(headers),
        max(h.channels for h in headers),
        () if "" in tops else tuple(tops.values()),
    )


def _classes(found: Scan, request: Request) -> tuple[str, ...]:
    """
    Raises:
        InputError: an image is in no folder.
    """
    tops = found.tops
    if "" in tops:
        raise InputError(
            f"{request.labels_for} takes its classes from subfolders, and "
            f"{found.files[tops.index('')]} is in none{request.without_labels}"
        )
    return tuple(sorted(set(tops), key=naturally))


def _headers(files: Iterable[Path], skip_bad_images: bool) -> list[decoding.Header | None]:
    """Of all files; None where it cannot be read, if such images are skipped."""

    def header(file: Path) -> decoding.Header | None:
        try:
            return decoding.header(file)
        except decoding.BadImageError:
            if not skip_bad_images:
                raise
            return None

    with ThreadPoolExecutor() as pool:
        return list(pool.map(header, files))


def _common_channels(files: Sequence[Path], headers: Sequence[decoding.Header | None]) -> int:
    """
    Raises:
        InputError: some images are grey and some are colored, or no header could be read.
    """
    of = {h.channels: file for file, h in zip(files, headers, strict=True) if h is not None}
    if not of:
        raise InputError("none of the images can be read")
    if len(of) > 1:
        raise InputError(
            f"images of mixed channels: {of[1]} is grey, {of[3]} is coloured; "
            "set data.channels to 1 or 3 to convert them"
        )
    return next(iter(of))


def _notes(
    found: Scan, headers: Sequence[decoding.Header | None], form: images.Form
) -> tuple[str, ...]:
    notes = list(found.notes)
    transparent = sum(h is not None and h.transparent for h in headers)
    if transparent:
        color = "#{:02x}{:02x}{:02x}".format(*(form.background or images.WHITE))
        kept = form.channels == 4
        what = "kept (data.channels)" if kept else f"seen on {color} (data.background)"
        notes.append(f"{transparent:,} of {len(headers):,} images can be transparent: {what}")
    return tuple(notes)


FOLDER = Kind(
    "folder",
    "image files; subfolders are classes",
    load,
    argument="PATH",
    look=look,
    has_splits=True,
)
