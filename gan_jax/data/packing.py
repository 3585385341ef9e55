"""What a source gives, packed into records."""

import contextlib
import dataclasses
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from gan_jax.data import labels, records, sources
from gan_jax.data.files import Stored
from gan_jax.data.records import Named, Packed
from gan_jax.data.scanning import Scan
from gan_jax.data.sources import Request, Source
from gan_jax.data.sources.base import labels_of
from gan_jax.data.store import Store
from gan_jax.errors import InputError


def pack(
    source: str, out: Path, *, data_dir: str | None = None, skip_bad_images: bool = False
) -> Packed:
    """Packs all images of a source, and their labels, into the empty folder `out`.

    Image files are kept byte for byte, and those of all splits; the images of other sources become
    PNG files, which lose nothing.

    Raises:
        BadImageError: an image cannot be decoded, and such images are not skipped.
        InputError: an unknown source, or one that is missing, or holds no images; `out` is not
            empty.
    """
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty: name a new folder")
    kind, argument = sources.find(source)
    request = Request(argument, data_dir=data_dir, skip_bad_images=skip_bad_images)
    with _whole(out) as folder:
        if kind.store is not None:
            _pack_files(kind.store(request), folder, source, skip_bad_images)
        else:
            looks = kind.looks(request)
            labelled = bool(looks.class_sizes or looks.conditions)
            found = kind.load(dataclasses.replace(request, conditional=labelled))
            if found.description.examples < looks.examples:
                raise InputError(f"some images of {source} have no label: pack its parts apart")
            _pack_arrays(found, folder, source)
    return records.read(out)


@contextlib.contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` if nothing is raised, and else is gone."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as partial:
        folder = Path(partial) / out.name
        folder.mkdir()
        yield folder
        folder.replace(out.resolve())


def _pack_files(store: Store, out: Path, made_of: str, skip_bad_images: bool) -> None:
    found = store.scan()
    named = (Named(f.relative_to(found.folder).as_posix(), store.open(f)) for f in found.files)
    records.write(
        named, out, made_of=made_of, classes=store.classes, skip_bad_images=skip_bad_images
    )
    for path in _beside(found):
        copy = out / path.relative_to(found.folder)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)


def _beside(found: Scan) -> list[Path]:
    """The files of labels, also those of splits."""
    folders = [found.folder, *(found.folder / top for top in sorted({*found.tops} - {""}))]
    paths = [labels.beside([folder]) for folder in folders]
    return [path for path in paths if path is not None]


def _pack_arrays(source: Source, out: Path, made_of: str) -> None:
    description = source.description
    if len(description.shape) != 3 or description.shape[2] not in (1, 3):
        shape = "×".join(map(str, description.shape))
        raise InputError(f"{made_of} has examples of {shape}: only images can be packed")
    names = [f"{i:08d}.png" for i in range(description.examples)]
    classes = None
    if description.conditions is not None:
        given = (tuple(map(float, numbers)) for numbers in labels_of(source))
        labels.write(out, dict(zip(names, given, strict=True)), description.conditions.names)
    elif description.num_classes is not None:
        classes = [description.name_of(label) for label in range(description.num_classes)]
        given = (classes[label] for label in labels_of(source))
        labels.write(out, dict(zip(names, given, strict=True)))
    records.write(_as_png(source, names), out, made_of=made_of, classes=classes)


def _as_png(source: Source, names: list[str]) -> Iterator[Named]:
    for index, name in enumerate(names):
        image = source.read(index)[0]
        content = io.BytesIO()
        Image.fromarray(np.squeeze(image, 2) if image.shape[2] == 1 else image).save(content, "PNG")
        yield Named(name, Stored(name, content.getvalue()))
