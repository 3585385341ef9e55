"""What sources of image files have in common, wherever these lie."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gan_jax.data import decoding, images, labels
from gan_jax.data.conditions import conditions_of, in_float32
from gan_jax.data.scanning import Scan, naturally, of_split
from gan_jax.data.sources.base import Example, Labels, Lazy, label_at
from gan_jax.data.sources.kinds import Kind, Looks, Request, lazy
from gan_jax.data.store import Store
from gan_jax.errors import InputError

_LOOKED_AT = 32
"""Images that are decoded to see how much of them is transparent."""
_TRANSPARENT = 0.1
"""The part of one that is more than a rounded corner."""


@dataclasses.dataclass(frozen=True)
class _Labelled:
    """Which images are labelled as what."""

    found: Scan
    """The images that have a label."""
    of: tuple[labels.Label, ...]
    """That of each image."""
    classes: tuple[str, ...] | None = None
    """What the classes are called, if labels are these."""
    numbers: tuple[str, ...] = ()
    """What the numbers of conditions are called, if labels are these."""
    notes: tuple[str, ...] = ()
    from_file: bool = False
    """Whether a file of labels says so, or else the folders that they are in."""

    def labels(self) -> Labels:
        """Of all images.

        Raises:
            InputError: numbers that float32 does not tell apart.
        """
        if self.classes is None:
            return in_float32(self.numbers, np.array(self.of, np.float64))
        place: dict[labels.Label, int] = {name: i for i, name in enumerate(self.classes)}
        return np.array([place[name] for name in self.of], np.int32)

    @property
    def fingerprinted(self) -> list[str]:
        """What changes when they do, besides the paths of the images."""
        of = [str(label) for label in self.of] if self.from_file else []
        return [*(self.classes or self.numbers), *of]


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
    """The images of a split, in the order of the store; if labels are asked for, with those that a
    file says, or else by the folders at the top."""
    whole = store.scan()
    found, notes = of_split(whole, request.split)
    beside = labels.beside([found.folder, whole.folder])
    found = found.reading(beside)
    given = _labelled(found, whole, beside, store, request) if request.conditional else None
    if given is not None:
        found, notes = given.found, (*notes, *given.notes)
    path, files = found.folder, found.files

    headers = _headers(store, files, request.skip_bad_images)
    channels = request.form.channels or _common_channels(files, headers)
    form = dataclasses.replace(request.form, channels=channels)
    of = None if given is None else given.labels()
    told = None
    if given is not None and of is not None and given.classes is None:
        told = conditions_of(given.numbers, of)

    def read(index: int) -> Example:
        image = images.read(store.open(files[index]), form)
        return image, label_at(of, index)

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
        classes=None if given is None else given.classes,
        labels=of,
        conditions=told,
        notes=(*notes, *_notes(found, headers, form)),
    )


def look(request: Request, store: Store) -> Looks:
    """From the headers of all images."""
    whole = store.scan()
    found, _ = of_split(whole, request.split)
    read = zip(found.files, _headers(store, found.files, skip_bad_images=True), strict=True)
    headers = {file: header for file, header in read if header is not None}
    if not headers:
        raise InputError("none of the images can be read")
    beside = labels.beside([found.folder, whole.folder])
    told = None if beside is None else labels.read(beside, request.conditions)
    of = found.tops if told is None else told.of(found.files)
    counts = Counter(str(label) for label in of if label is not None)
    numbers = () if told is None else told.conditions
    if numbers or "" in counts:
        counts.clear()
    return Looks(
        tuple(h.size for h in headers.values()),
        len(headers),
        max(h.channels for h in headers.values()),
        tuple(counts.values()),
        tuple(counts),
        "folder" if beside is None else beside.name,
        numbers,
        _cut_out(store, headers),
    )


def _cut_out(store: Store, headers: Mapping[Path, decoding.Header]) -> float:
    """Of how many images so much is transparent: headers say of which it can be, and of these some
    from all over are decoded."""
    files = [file for file, header in headers.items() if header.transparent]
    places = np.linspace(0, len(files) - 1, min(_LOOKED_AT, len(files))).round().astype(int)
    form = images.Form(channels=4)
    seen = []
    for place in places:
        with contextlib.suppress(decoding.BadImageError):
            opacity = images.read(store.open(files[place]), form)[..., 3]
            seen.append(np.mean(opacity < 128) >= _TRANSPARENT)
    return float(np.mean(seen)) * len(files) / len(headers) if seen else 0.0


def _labelled(
    found: Scan, whole: Scan, beside: Path | None, store: Store, request: Request
) -> _Labelled | None:
    """None if a file says that there are no labels.

    Raises:
        InputError: an image is in no folder, or a file of labels has none for any image, or not the
            numbers that are asked for.
    """
    if beside is None:
        if request.conditions:
            raise InputError(
                f"data.conditions are columns of {labels.NAMES[0]}, and {found.folder} has none"
            )
        tops = found.tops
        if "" in tops:
            raise InputError(
                f"{request.labels_for} takes its classes from subfolders or {labels.NAMES[0]}, and "
                f"{found.files[tops.index('')]} is in none{request.without_labels}"
            )
        return _Labelled(found, tops, tuple(sorted({*tops}, key=naturally)))
    told = labels.read(beside, request.conditions)
    if told.given is None:
        return None
    of = told.of(found.files)
    labelled = [(f, label) for f, label in zip(found.files, of, strict=True) if label is not None]
    files, given = zip(*labelled, strict=True)
    rest = dataclasses.replace(found, files=files)
    notes = told.notes(found.files, (found if beside.parent == found.folder else whole).files)
    if told.conditions:
        return _Labelled(rest, given, None, told.conditions, notes, from_file=True)
    known = store.classes
    classes = known if known and {*given} <= {*known} else labels.in_order(given)
    return _Labelled(rest, given, classes, notes=notes, from_file=True)


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
