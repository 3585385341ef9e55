"""Labels in a file beside the images: `labels.csv`, or the `dataset.json` of StyleGAN's tools."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gan_jax.data.decoding import SUFFIXES
from gan_jax.data.scanning import naturally
from gan_jax.errors import InputError

_FILE_HEADS = ("file", "filename", "file_name", "image", "path")
_CLASS_HEADS = ("label", "class", "category")
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Labels:
    """What a file says."""

    path: Path
    classes: Mapping[str, str] | None
    """The class of each image, by its path from the folder that this file is in. None: there are
    none."""

    def of(self, images: Sequence[Path]) -> tuple[str | None, ...]:
        """The class of each of these images; None where there is none.

        Raises:
            InputError: none of them has one, though there are labels.
        """
        if self.classes is None:
            return (None,) * len(images)
        classes = self.classes
        names = [self._name(image) for image in images]
        found = tuple(classes.get(name) for name in names)
        if not any(c is not None for c in found):
            first = next(iter(classes), None)
            has = f", but {first}, say" if first is not None else ""
            raise InputError(f"{self.path} has no label for {names[0]}, nor any other image{has}")
        return found

    def notes(self, images: Sequence[Path], all_images: Iterable[Path]) -> tuple[str, ...]:
        """That they are taken, for some of all images, and what they do not fit."""
        notes = [f"labels are those of {self.path.name}"]
        without = [str(f) for f, name in zip(images, self.of(images), strict=True) if name is None]
        if without:
            notes.append(f"left out where classes are asked for: {_some(without)}, without a label")
        names = {self._name(image) for image in all_images}
        alone = [name for name in self.classes or {} if name not in names]
        if alone:
            notes.append(f"labels without an image: {_some(alone)}")
        return tuple(notes)

    def _name(self, image: Path) -> str:
        return image.relative_to(self.path.parent).as_posix()


def beside(folders: Iterable[Path]) -> Path | None:
    """The file of labels in the first of these folders that has one."""
    for folder in folders:
        for name in NAMES:
            if (folder / name).is_file():
                return folder / name
    return None


def read(path: Path) -> Labels:
    """The labels in a file.

    Raises:
        InputError: it cannot be understood, or labels an image twice.
    """
    try:
        text = path.read_text("utf-8-sig")
        pairs = _READERS[path.name](text)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"cannot read the labels in {path}: {error}") from error
    if pairs is None:
        return Labels(path, None)
    classes: dict[str, str] = {}
    for file, label in pairs:
        if label and classes.setdefault(file, label) != label:
            raise InputError(f"{path} labels {file} twice: {classes[file]} and {label}")
    return Labels(path, classes)


def write(folder: Path, classes: Mapping[str, str]) -> None:
    """A file of labels that `read` reads."""
    with (folder / NAMES[0]).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([_FILE_HEADS[0], _CLASS_HEADS[0]])
        table.writerows(classes.items())


def in_order(classes: Iterable[str]) -> tuple[str, ...]:
    """Each once: in natural order, or that of numbers, if all are."""
    distinct = set(classes)
    try:
        numbers = {name: float(name) for name in distinct}
    except ValueError:
        numbers = {}
    if numbers and all(map(math.isfinite, numbers.values())):
        return tuple(sorted(distinct, key=lambda name: (numbers[name], name)))
    return tuple(sorted(distinct, key=naturally))


def _of_csv(text: str) -> list[tuple[str, str]]:
    """The columns of files and classes, by their heads, or the first and the second."""
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    rows = [
        row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)
    ]
    if not rows or len(rows[0]) < 2:
        raise ValueError("it takes two columns, as file,label")
    heads = [cell.strip().casefold() for cell in rows[0]]
    file, label = _column(heads, _FILE_HEADS), _column(heads, _CLASS_HEADS)
    file = 0 if file is None else file
    if label is None:
        if len(heads) > 2:
            others = ", ".join(head for i, head in enumerate(rows[0]) if i != file)
            raise ValueError(f"which of {others} is the class? Call it label")
        label = 1 - file
    if PurePosixPath(heads[file]).suffix not in SUFFIXES:
        rows = rows[1:]
    short = next((row for row in rows if len(row) <= max(file, label)), None)
    if short is not None:
        raise ValueError(f"there is a line with {delimiter.join(short)!r} alone")
    return [(_path(row[file]), _name(row[label])) for row in rows]


def _column(heads: Sequence[str], known: Sequence[str]) -> int | None:
    return next((i for i, head in enumerate(heads) if head in known), None)


def _of_json(text: str) -> list[tuple[str, str]] | None:
    labels = json.loads(text)["labels"]
    if labels is None:
        return None
    if any(isinstance(label, list | dict | bool) or label is None for _, label in labels):
        raise ValueError("labels are not numbers or names, one for each image")
    return [(_path(file), _name(str(label))) for file, label in labels]


def _path(text: str) -> str:
    """As the image's path is written here."""
    return PurePosixPath(text.strip().replace("\\", "/")).as_posix()


def _name(text: str) -> str:
    """Of a class: of numbers that are whole, without a point, as 3 for 3.0."""
    whole, _, fraction = text.strip().partition(".")
    is_whole = whole.lstrip("-").isdecimal() and fraction and not fraction.strip("0")
    return whole if is_whole else text.strip()


_READERS: dict[str, Callable[[str], list[tuple[str, str]] | None]] = {
    "labels.csv": _of_csv,
    "dataset.json": _of_json,
}
NAMES = tuple(_READERS)
"""What these files are called."""


def _some(names: Sequence[str]) -> str:
    """How many, and one of them."""
    return names[0] if len(names) == 1 else f"{len(names):,}, as {names[0]}"
