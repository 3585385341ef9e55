"""Image files in a folder."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gan_jax.data import images
from gan_jax.data.sources.base import Example, Lazy
from gan_jax.data.sources.kinds import Kind, Request, lazy
from gan_jax.errors import InputError


def load(request: Request) -> Lazy:
    """All PNG and JPEG files at any depth, in the order of their names; if labels are asked for,
    the folders at the top are the classes."""
    path, labels_for = Path(request.argument), request.labels_for
    if not path.is_dir():
        raise InputError(f"there is no folder {path}")
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in images.SUFFIXES)
    if not files:
        raise InputError(f"there are no PNG or JPEG images in {path}")
    classes: list[str] = []
    if request.conditional:
        classes = sorted({f.relative_to(path).parts[0] for f in files if f.parent != path})
        loose = next((f for f in files if f.parent == path), None)
        if loose is not None or not classes:
            raise InputError(
                f"{labels_for} takes its classes from subfolders, and {loose or path} is in none"
                f"{request.without_labels}"
            )

    channels = request.form.channels or _common_channels(files, request.skip_bad_images)
    form = dataclasses.replace(request.form, channels=channels)
    labels = [classes.index(f.relative_to(path).parts[0]) for f in files] if classes else None

    def read(index: int) -> Example:
        return images.read(files[index], form), None if labels is None else labels[index]

    stats = [f.stat() for f in files]
    names = [(str(f.relative_to(path)), s.st_size) for f, s in zip(files, stats, strict=True)]
    version = f"{path.resolve()}{names}{[s.st_mtime_ns for s in stats]}{classes}"
    fingerprint = f"{names}{classes}"
    num_classes = len(classes) or None
    return lazy(request, read, len(files), num_classes, fingerprint=fingerprint, version=version)


def _common_channels(files: list[Path], skip_bad_images: bool) -> int:
    """The number of channels of all files whose header can be read."""

    def channels_of(file: Path) -> int | None:
        try:
            return images.channels_of(file)
        except images.BadImageError:
            if not skip_bad_images:
                raise
            return None

    with ThreadPoolExecutor() as pool:
        found = {c: f for f, c in zip(files, pool.map(channels_of, files), strict=True) if c}
    if not found:
        raise InputError("none of the images can be read")
    if len(found) > 1:
        raise InputError(
            f"images of mixed channels: {found[1]} is grey, {found[3]} is coloured; "
            "set data.channels to 1 or 3 to convert them"
        )
    return next(iter(found))


FOLDER = Kind("folder", "PNG and JPEG files; subfolders are classes", load, argument="PATH")
