"""Sources of real examples, by name.

`load` gives a `Source`: examples by index, read when asked for. What is small enough is then read
whole, once, into `Examples`; see `gan_jax.data.feed`.
"""

import dataclasses
import hashlib
import logging
import math
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, runtime_checkable

import jax
import numpy as np

from gan_jax.config import Data
from gan_jax.data import cache, gaussians, pictures
from gan_jax.errors import InputError

MIXTURES = ("ring", "grid")
NAMES = ("digits", *MIXTURES, "stacked_mnist", "tfds:NAME", "folder:PATH", "npz:PATH")
MIXTURE_POINTS = 100_000
STACKS = 128_000

_MODEL = "a conditional model"
_DATA_STREAM = 0x6D6978  # apart from the stream that trains on these points


@dataclasses.dataclass(frozen=True)
class Description:
    """What a network and a later reader need to know of the data."""

    shape: tuple[int, ...]
    """Of one example: (height, width, channels), or (features,)."""
    num_classes: int | None
    """None if there are no labels."""
    examples: int
    fingerprint: str
    """Changes when the examples do."""


@runtime_checkable
class Source(Protocol):
    """Examples by index: uint8 pictures [h, w, c] or float32 points [features], with a label."""

    description: Description
    dtype: np.dtype
    skipped: int

    def read(self, index: int) -> tuple[np.ndarray, int | None]:
        """One example and its class.

        Raises:
            BadPictureError: it cannot be decoded.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Examples:
    """A source that is in memory."""

    description: Description
    real: np.ndarray
    label: np.ndarray | None
    skipped: int = 0
    """Examples that could not be decoded and were left out."""

    @property
    def dtype(self) -> np.dtype:
        return self.real.dtype

    def read(self, index: int) -> tuple[np.ndarray, int | None]:
        return self.real[index], None if self.label is None else int(self.label[index])


@dataclasses.dataclass(frozen=True)
class Lazy:
    """A source whose examples are decoded when asked for."""

    description: Description
    read: Callable[[int], tuple[np.ndarray, int | None]]
    version: str
    """Changes when what `read` gives may have changed: the key of the cache."""
    dtype: np.dtype = np.dtype(np.uint8)
    skipped: int = 0
    """Examples that could not be decoded and were left out."""


def load(
    data: Data,
    *,
    seed: int = 0,
    conditional: bool = False,
    labels_for: str = _MODEL,
    data_dir: str | None = None,
    skip_bad_images: bool = False,
    budget_bytes: float = 2 * 2**30,
) -> Source:
    """The source that `data` names; as `Examples` if it takes no more than `budget_bytes`.

    If `conditional`, it needs labels; `labels_for` says in messages what needs them.

    Raises:
        InputError: an unknown source, one that is missing or empty, labels that are missing, or
            pictures that cannot be read or do not agree.
    """
    name, _, argument = data.source.partition(":")
    if name == "digits":
        source: Source = _digits(data)
    elif name in MIXTURES:
        source = _mixture(data, name, seed)
    elif name == "stacked_mnist":
        source = _stacked_mnist(data, data_dir)
    elif name == "tfds" and argument:
        source = _tfds(data, argument, data_dir)
    elif name == "folder" and argument:
        source = _folder(data, Path(argument), conditional, labels_for, skip_bad_images)
    elif name == "npz" and argument:
        source = _npz(data, Path(argument))
    else:
        raise InputError(f"unknown data.source {data.source!r}: one of {', '.join(NAMES)}")
    if data.split != Data.split:
        check_splits(data.source)

    if conditional and source.description.num_classes is None:
        raise InputError(f"{labels_for} needs labels, and {data.source} has none{_or(labels_for)}")
    if isinstance(source, Lazy):
        if skip_bad_images:
            source = _without_bad_ones(source)
        description = source.description
        nbytes = description.examples * np.prod(description.shape) * source.dtype.itemsize
        source = read_all(source) if nbytes <= budget_bytes else source
    return _selected(source, data)


def _or(labels_for: str) -> str:
    """What else can be done without labels."""
    unconditional = ", or train without classes: --objective.no-conditional"
    return unconditional if labels_for == _MODEL else ""


def check_splits(source: str) -> None:
    """
    Raises:
        InputError: this source has no splits.
    """
    if source.partition(":")[0] not in ("tfds", "stacked_mnist"):
        raise InputError(f"only TFDS datasets have splits: {source} has none")


def _selected(source: Source, data: Data) -> Source:
    """The examples of the classes wanted, and as many as wanted."""
    examples = source.description.examples
    if data.classes:
        num_classes = source.description.num_classes
        if num_classes is None or not all(0 <= c < num_classes for c in data.classes):
            has = "no classes" if num_classes is None else f"classes 0 to {num_classes - 1}"
            raise InputError(f"data.classes {data.classes}: {data.source} has {has}")
        labels = (
            source.label
            if isinstance(source, Examples)
            else [source.read(i)[1] for i in range(examples)]
        )
        source = only(source, np.flatnonzero(np.isin(labels, data.classes)))
        examples = source.description.examples
    if data.limit is not None and data.limit < examples:
        chosen = np.random.default_rng(0).permutation(examples)[: data.limit]
        source = only(source, np.sort(chosen))
    return source


def only(source: Source, indices: np.ndarray) -> Source:
    """The examples at these indices, in this order."""
    before = source.description
    fingerprint = _digest(before.fingerprint, indices)
    description = dataclasses.replace(before, examples=len(indices), fingerprint=fingerprint)
    if isinstance(source, Examples):
        label = None if source.label is None else source.label[indices]
        return dataclasses.replace(
            source, description=description, real=source.real[indices], label=label
        )
    return dataclasses.replace(
        source, description=description, read=lambda index: source.read(int(indices[index]))
    )


def read_all(source: Lazy) -> Examples:
    """Every example of a source, decoded by several threads, and kept in the user's cache."""
    description = source.description
    cached = cache.load(source.version)
    if cached is None:
        cached = {"real": np.empty((description.examples, *description.shape), source.dtype)}
        if description.num_classes is not None:
            cached["label"] = np.empty(description.examples, np.int32)

        def decode(index: int) -> None:
            cached["real"][index], label = source.read(index)
            if label is not None:
                cached["label"][index] = label

        with ThreadPoolExecutor() as pool:
            for _ in pool.map(decode, range(description.examples)):
                pass
        cache.store(source.version, **cached)
    return Examples(description, cached["real"], cached.get("label"), source.skipped)


def read_some(source: Source, most: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Up to `most` examples from all over a source, in random order, and their labels, if it has
    any. The same ones every time."""
    chosen = np.random.default_rng(0).permutation(source.description.examples)[:most]
    read = [source.read(int(i)) for i in chosen]
    labels = [label for _, label in read]
    return np.stack([x for x, _ in read]), None if labels[0] is None else np.array(labels, np.int32)


def _without_bad_ones(source: Lazy) -> Lazy:
    """The examples that can be decoded. Each is tried once; which ones could is kept in the user's
    cache."""
    version = f"{source.version}-readable"
    cached = cache.load(version)
    if cached is None:

        def can_read(index: int) -> bool:
            try:
                source.read(index)
            except pictures.BadPictureError:
                return False
            return True

        with ThreadPoolExecutor() as pool:
            good = list(pool.map(can_read, range(source.description.examples)))
        cached = {"indices": np.flatnonzero(good)}
        cache.store(version, **cached)
    indices = cached["indices"]
    skipped = source.description.examples - len(indices)
    if not skipped:
        return source
    description = dataclasses.replace(
        source.description,
        examples=len(indices),
        fingerprint=_digest(source.description.fingerprint, indices),
    )
    return dataclasses.replace(
        source,
        description=description,
        read=lambda index: source.read(int(indices[index])),
        version=f"{version}-only",
        skipped=skipped,
    )


def _digest(*parts) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else str(part).encode())
    return digest.hexdigest()[:16]


def _in_memory(
    data: Data,
    real: np.ndarray,
    label: np.ndarray | None,
    num_classes: int | None,
    fingerprint: str | None = None,
) -> Examples:
    if real.ndim == 4 and real.shape[3] not in (1, 3):
        raise InputError(f"images of {real.shape[3]} channels: 1 (grey) or 3 (RGB) are supported")
    if real.ndim == 4 and (data.resolution is not None or data.channels is not None):
        real = np.stack([pictures.refit(i, data.resolution, data.fit, data.channels) for i in real])
    if real.ndim == 4 and real.shape[1] != real.shape[2]:
        raise InputError(f"images of {real.shape[2]}×{real.shape[1]} pixels: set data.resolution")
    label = None if label is None else label.astype(np.int32)
    if fingerprint is None:
        fingerprint = _digest(real, *([] if label is None else [label]))
    return Examples(Description(real.shape[1:], num_classes, len(real), fingerprint), real, label)


def _lazy(
    data: Data,
    read: Callable[[int], tuple[np.ndarray, int | None]],
    examples: int,
    num_classes: int | None,
    fingerprint: str,
    version: str,
    skip_bad_images: bool,
) -> Lazy:
    """A lazy source whose pictures must all have the shape of the first readable one."""
    shape = None
    for i in range(examples):
        try:
            shape = read(i)[0].shape
            break
        except pictures.BadPictureError:
            if not skip_bad_images:
                raise
    if shape is None:
        raise InputError("none of the images can be read")
    if shape[0] != shape[1]:
        raise InputError(f"images of {shape[1]}×{shape[0]} pixels: set data.resolution")

    def read_checked(index: int) -> tuple[np.ndarray, int | None]:
        image, label = read(index)
        if image.shape != shape:
            raise InputError(
                f"images of different shapes ({shape} and {image.shape}): set data.resolution, "
                "and data.channels if some are grey"
            )
        return image, label

    options = (data.resolution, data.fit, data.channels)
    description = Description(shape, num_classes, examples, _digest(fingerprint, options))
    return Lazy(description, read_checked, _digest(version, options))


def _digits(data: Data) -> Examples:
    """The 1,797 handwritten digits of 8×8 pixels that ship with scikit-learn."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    return _in_memory(data, images, digits.target, 10)


def _mixture(data: Data, name: str, seed: int) -> Examples:
    centers, std = {
        "ring": (gaussians.ring_centers(), gaussians.RING_STD),
        "grid": (gaussians.grid_centers(), gaussians.GRID_STD),
    }[name]
    key = jax.random.fold_in(jax.random.key(seed), _DATA_STREAM)
    points, mode = gaussians.mixture(key, MIXTURE_POINTS, centers, std)
    # Not of the numbers: their last bits may differ from one kind of device to another.
    fingerprint = _digest(name, seed, std, MIXTURE_POINTS)
    return _in_memory(data, np.asarray(points), np.asarray(mode), len(centers), fingerprint)


def _stacked_mnist(data: Data, data_dir: str | None) -> Examples:
    """STACKS pictures, each of three random digits of MNIST as red, green and blue. The class is
    the number that they spell, red digit first.

    Source: Metz et al., "Unrolled Generative Adversarial Networks", 2017, §3.3.1; as many as in Lin
    et al., "PacGAN", 2018.
    """
    plain = dataclasses.replace(data, source="tfds:mnist", channels=1, classes=(), limit=None)
    mnist = load(plain, data_dir=data_dir, budget_bytes=math.inf)
    rng = np.random.default_rng(0)
    digits = rng.integers(mnist.description.examples, size=(STACKS, 3))
    real = np.concatenate([mnist.real[digits[:, i]] for i in range(3)], axis=-1)
    label = mnist.label[digits] @ np.array([100, 10, 1])
    fingerprint = _digest(mnist.description.fingerprint, digits)
    as_they_are = dataclasses.replace(data, resolution=None, channels=None)
    return _in_memory(as_they_are, real, label, 1000, fingerprint)


def red_digits(stacks: Examples) -> Examples:
    """The first digit of each stack, with its own class."""
    before = stacks.description
    shape = (*before.shape[:2], 1)
    description = Description(shape, 10, before.examples, _digest(before.fingerprint, "red"))
    return Examples(description, stacks.real[..., :1], stacks.label // 100)


def _tfds(data: Data, name: str, data_dir: str | None) -> Source:
    import tensorflow_datasets as tfds

    # It recommends OpenCV, whose absence costs a little time once, at every start.
    logging.getLogger("absl").addFilter(lambda record: "OpenCV" not in record.getMessage())
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        records = builder.as_data_source(split=data.split)
    except tfds.core.DatasetNotFoundError as error:
        raise InputError(f"TFDS has no dataset {name!r}") from error
    except (ValueError, AssertionError, OSError, NotImplementedError) as error:
        splits = list(builder.info.splits) if "builder" in locals() else []
        if splits and data.split not in splits:
            raise InputError(
                f"TFDS dataset {name!r} has no split {data.split!r}: one of {', '.join(splits)}"
            ) from error
        where = f", data_dir={data_dir!r}" if data_dir else ""
        raise InputError(
            f"TFDS dataset {name!r} is not prepared as array_record in "
            f"{data_dir or 'the default data directory'}: point --data-dir at it, or prepare it "
            f"(needs pip install 'gan-jax[prepare]') with: python -c \"import tensorflow_datasets "
            f"as tfds; tfds.builder('{name}'{where}, file_format='array_record')"
            '.download_and_prepare()"'
        ) from error
    features = builder.info.features
    if "image" not in features:
        raise InputError(f"TFDS dataset {name!r} has no 'image': only {', '.join(features)}")
    label = features["label"] if "label" in features else None  # noqa: SIM401 - it has no get
    num_classes = getattr(label, "num_classes", None)

    def read(index: int) -> tuple[np.ndarray, int | None]:
        record = records[index]
        image = pictures.refit(record["image"], data.resolution, data.fit, data.channels)
        return image, None if num_classes is None else int(record["label"])

    fingerprint = f"{builder.info.full_name}/{data.split}/{len(records)}"
    version = f"{builder.data_path}/{fingerprint}"
    return _lazy(data, read, len(records), num_classes, fingerprint, version, False)


def _folder(
    data: Data, path: Path, conditional: bool, labels_for: str, skip_bad_images: bool
) -> Source:
    if not path.is_dir():
        raise InputError(f"there is no folder {path}")
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in pictures.SUFFIXES)
    if not files:
        raise InputError(f"there are no PNG or JPEG images in {path}")
    classes: list[str] = []
    if conditional:
        classes = sorted({f.relative_to(path).parts[0] for f in files if f.parent != path})
        loose = next((f for f in files if f.parent == path), None)
        if loose is not None or not classes:
            raise InputError(
                f"{labels_for} takes its classes from subfolders, and {loose or path} is in none"
                f"{_or(labels_for)}"
            )

    channels = data.channels or _common_channels(files, skip_bad_images)
    labels = [classes.index(f.relative_to(path).parts[0]) for f in files] if classes else None

    def read(index: int) -> tuple[np.ndarray, int | None]:
        image = pictures.read(files[index], channels, data.resolution, data.fit)
        return image, None if labels is None else labels[index]

    stats = [f.stat() for f in files]
    names = [(str(f.relative_to(path)), s.st_size) for f, s in zip(files, stats, strict=True)]
    version = f"{path.resolve()}{names}{[s.st_mtime_ns for s in stats]}{classes}"
    return _lazy(
        data, read, len(files), len(classes) or None, f"{names}{classes}", version, skip_bad_images
    )


def _common_channels(files: list[Path], skip_bad_images: bool) -> int:
    """The number of channels of all files whose header can be read."""

    def channels_of(file: Path) -> int | None:
        try:
            return pictures.channels_of(file)
        except pictures.BadPictureError:
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


def _npz(data: Data, path: Path) -> Examples:
    """Arrays `images` (uint8 [N, H, W, C] or [N, H, W]) or `points` (float [N, features]), and
    `labels` (integers [N]) if there are classes."""
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
    return _in_memory(data, real, label, None if label is None else int(label.max()) + 1)
