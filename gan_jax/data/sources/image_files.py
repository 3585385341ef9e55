"""What sources of image files have in common, wherever these lie."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gan_jax.data import decoding, images, labels
from gan_jax.data.scanning import Scan, naturally, of_split
from gan_jax.data.sources.base import Example, Lazy
from gan_jax.data.sources.kinds import Kind, Looks, Request, lazy
from gan_jax.data.store import Store
from gan_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class _Classes:
    """Which images are of which class."""

    found: Scan
    """The images that have one."""
    names: tuple[str, ...]
    of: tuple[str, ...]
    """The class of each image."""
    notes: tuple[str, ...] = ()
    from_file: bool = False
    """Whether a file of labels says so, or else the folders that they are in."""

    @property
    def numbers(self) -> np.ndarray:
        """Of the classes of all images."""
        place = {name: i for i, name in enumerate(self.names)}
        return np.array([place[name] for name in self.of], np.int32)

    @property
    def fingerprinted(self) -> list[str]:
        """What changes when they do, besides the paths of the images."""
        return [*self.names, *(self.of if self.from_file else ())]


def kind(name: str, help: str, store: Callable[[Request], Store]) -> Kind:
    """A kind of source that reads what lies in a store."""
    return Kind(
        name,
        help,
        lambda request: load(request, store(request)),
        argument="PATH",
        look=lambda request: look(request, store(request)),
        store=store,
        has_splits=True,
    )


def load(request: Request, store: Store) -> Lazy:
    """The images of a split, in the order of the store; if labels are asked for, with the classes
    that a file of labels says, or else those of the folders at the top."""
    whole = store.scan()
    found, notes = of_split(whole, request.split)
    beside = labels.beside([found.folder, whole.folder])
    found = found.reading(beside)
    given = _classes(found, whole, beside, store, request) if request.conditional else None
    if given is not None:
        found, notes = given.found, (*notes, *given.notes)
    path, files = found.folder, found.files

    headers = _headers(store, files, request.skip_bad_images)
    channels = request.form.channels or _common_channels(files, headers)
    form = dataclasses.replace(request.form, channels=channels)
    numbers = None if given is None else given.numbers

    def read(index: int) -> Example:
        image = images.read(store.open(files[index]), form)
        return image, None if numbers is None else int(numbers[index])

    stamps = store.stamps(files)
    names = [(str(f.relative_to(path)), size) for f, (size, _) in zip(files, stamps, strict=True)]
    labelled = [] if given is None else given.fingerprinted
    version = f"{path.resolve()}{names}{[time for _, time in stamps]}{labelled}"
    return lazy(
        request,
        read,
        len(files),
        fingerprint=f"{names}{labelled}",
        version=f"{version}{images.VERSION}",
        classes=None if given is None else given.names,
        labels=numbers,
        notes=(*notes, *_notes(found, headers, form)),
    )


def look(request: Request, store: Store) -> Looks:
    """From the headers of all images."""
    whole = store.scan()
    found, _ = of_split(whole, request.split)
    headers = [h for h in _headers(store, found.files, skip_bad_images=True) if h is not None]
    if not headers:
        raise InputError("none of the images can be read")
    beside = labels.beside([found.folder, whole.folder])
    of = found.tops if beside is None else labels.read(beside).of(found.files)
    counts = Counter(name for name in of if name is not None)
    return Looks(
        tuple(h.size for h in headers),
        len(headers),
        max(h.channels for h in headers),
        () if "" in counts else tuple(counts.values()),
        () if "" in counts else tuple(counts),
        "folder" if beside is None else beside.name,
    )


def _classes(
    found: Scan, whole: Scan, beside: Path | None, store: Store, request: Request
) -> _Classes | None:
    """None if a file says that there are none.

    Raises:
        InputError: an image is in no folder, or a file of labels has none for any image.
    """
    if beside is None:
        tops = found.tops
        if "" in tops:
            raise InputError(
                f"{request.labels_for} takes its classes from subfolders or {labels.NAMES[0]}, and "
                f"{found.files[tops.index('')]} is in none{request.without_labels}"
            )
        return _Classes(found, tuple(sorted({*tops}, key=naturally)), tops)
    told = labels.read(beside)
    if told.classes is None:
        return None
    of = told.of(found.files)
    labelled = [(f, name) for f, name in zip(found.files, of, strict=True) if name is not None]
    files, given = zip(*labelled, strict=True)
    rest = dataclasses.replace(found, files=files)
    notes = told.notes(found.files, (found if beside.parent == found.folder else whole).files)
    known = store.classes
    names = known if known and {*given} <= {*known} else labels.in_order(given)
    return _Classes(rest, names, given, notes, from_file=True)


def _headers(
    store: Store, files: Iterable[Path], skip_bad_images: bool
) -> list[decoding.Header | None]:
    """Of all files; None where it cannot be read, if such images are skipped."""

    def header(file: Path) -> decoding.Header | None:
        try:
            return store.header(file)
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
