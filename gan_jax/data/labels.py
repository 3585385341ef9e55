"""Labels in a file beside the images: `labels.csv`, or the `dataset.json` of StyleGAN's tools."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gan_jax.data import conditions
from gan_jax.data.decoding import SUFFIXES
from gan_jax.data.scanning import naturally
from gan_jax.errors import InputError

_FILE_HEADS = ("file", "filename", "file_name", "image", "path")
_CLASS_HEADS = ("label", "class", "category")
_DELIMITERS = ",;\t"

Label = str | tuple[float, ...]
"""The name of a class, or the numbers of a condition."""


@dataclass(frozen=True)
class Labels:
    """What a file says."""

    path: Path
    given: Mapping[str, Label] | None
    """That of each image, by its path from the folder that this file is in. None: there are
    none."""
    conditions: tuple[str, ...] = ()
    """What the numbers are called; empty if labels are classes."""

    def of(self, images: Sequence[Path]) -> tuple[Label | None, ...]:
        """The label of each of these images; None where there is none.

        Raises:
            InputError: none of them has one, though there are labels.
        """
        if self.given is None:
            return (None,) * len(images)
        given = self.given
        names = [self._name(image) for image in images]
        found = tuple(given.get(name) for name in names)
        if not any(label is not None for label in found):
            first = next(iter(given), None)
            has = f", but {first}, say" if first is not None else ""
            raise InputError(f"{self.path} has no label for {names[0]}, nor any other image{has}")
        return found

    def notes(self, images: Sequence[Path], all_images: Iterable[Path]) -> tuple[str, ...]:
        """That they are taken, for some of all images, and what they do not fit."""
        notes = [f"labels are those of {self.path.name}"]
        without = [str(f) for f, name in zip(images, self.of(images), strict=True) if name is None]
        if without:
            notes.append(f"left out where labels are asked for: {_some(without)}, without a label")
        names = {self._name(image) for image in all_images}
        alone = [name for name in self.given or {} if name not in names]
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


def read(path: Path, wanted: Sequence[str] = ()) -> Labels:
    """The labels in a file: the numbers of these names, or if none are given the class of each
    image, or if it has none all of its numbers.

    Raises:
        InputError: it cannot be understood, labels an image twice, or has no such numbers.
    """
    try:
        table = _READERS[path.name](path.read_text("utf-8-sig"))
        if table is None:
            return Labels(path, None)
        as_numbers = bool(wanted) or table.holds_numbers()
        places = (
            conditions.chosen(table.names, wanted, path) if as_numbers else [table.class_column]
        )
        pairs = [(file, [row[place] for place in places]) for file, row in table.rows]
        labels = {}
        for file, cells in pairs:
            if all(cells):
                label = tuple(map(_number, cells)) if as_numbers else _name(cells[0])
                if labels.setdefault(file, label) != label:
                    one, other = labels[file], label
                    raise InputError(f"{path} labels {file} twice: {one} and {other}")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"cannot read the labels in {path}: {error}") from error
    return Labels(path, labels, tuple(table.names[p] for p in places) if as_numbers else ())


def write(folder: Path, labels: Mapping[str, Label], conditions: Sequence[str] = ()) -> None:
    """A file of labels that `read` reads."""
    if conditions:  # a column alone would be taken for a class
        pairs = [[name, list(label)] for name, label in labels.items()]
        text = json.dumps({"conditions": list(conditions), "labels": pairs})
        (folder / NAMES[1]).write_text(text + "\n", "utf-8")
        return
    with (folder / NAMES[0]).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([_FILE_HEADS[0], _CLASS_HEADS[0]])
        table.writerows(labels.items())


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


@dataclass(frozen=True)
class _Table:
    """What is written beside the names of images."""

    names: tuple[str, ...]
    """Of the columns."""
    rows: list[tuple[str, tuple[str, ...]]]
    named: int | None = None
    """The column that is called a class."""
    lists: bool = False
    """Whether they are written as lists of numbers, and none is a class."""

    @property
    def class_column(self) -> int:
        """
        Raises:
            ValueError: it could be any.
        """
        if self.named is None and len(self.names) > 1:
            other = next(cell for _, row in self.rows for cell in row if not _may_be_number(cell))
            raise ValueError(
                f"which of {', '.join(self.names)} is the class? Call it label. Or if they are to "
                f"be numbers, {other!r} is none; --data.conditions names those that are"
            )
        return self.named or 0

    def holds_numbers(self) -> bool:
        """Whether it has several columns of nothing but numbers, and none is called a class."""
        if self.named is not None or (len(self.names) < 2 and not self.lists):
            return False
        return all(_may_be_number(cell) for _, row in self.rows for cell in row)


def _of_csv(text: str) -> _Table:
    """The columns of files and labels, by their heads, or the first and the others."""
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        if any(row)
    ]
    if not rows or len(rows[0]) < 2:
        raise ValueError("it takes two columns, as file,label")
    heads = [cell.casefold() for cell in rows[0]]
    file, label = _column(heads, _FILE_HEADS), _column(heads, _CLASS_HEADS)
    if file is None:
        file = next(i for i in range(len(heads)) if i != label)
    others = [i for i in range(len(heads)) if i != file]
    if PurePosixPath(heads[file]).suffix in SUFFIXES:  # it has no heads
        names = tuple(map(str, range(len(others))))
    else:
        others = [i for i in others if heads[i]]  # not the numbers of rows, as pandas writes them
        names = tuple(rows[0][i] for i in others)
        rows = rows[1:]
    if not others:
        raise ValueError("it takes two columns, as file,label")
    needed = max(file, others[-1] if label is None else label)
    short = next((row for row in rows if len(row) <= needed), None)
    if short is not None:
        raise ValueError(f"there is a line with {delimiter.join(short)!r} alone")
    rows = [[*row, *[""] * (len(heads) - len(row))] for row in rows]
    return _Table(
        names,
        [(_path(row[file]), tuple(row[i] for i in others)) for row in rows],
        None if label is None else others.index(label),
    )


def _column(heads: Sequence[str], known: Sequence[str]) -> int | None:
    return next((i for i, head in enumerate(heads) if head in known), None)


def _of_json(text: str) -> _Table | None:
    content = json.loads(text)
    labels = content["labels"]
    if labels is None:
        return None
    if labels and all(isinstance(label, list) for _, label in labels):
        size = len(labels[0][1])
        if any(len(label) != size for _, label in labels):
            raise ValueError("some images have more numbers than others")
        names = tuple(map(str, content.get("conditions", range(size))))
        if not size or len(names) != size:
            raise ValueError(f"there are {size} numbers for each image, and {len(names)} names")
        rows = [(_path(file), tuple(map(str, label))) for file, label in labels]
        return _Table(names, rows, lists=True)
    if any(isinstance(label, list | dict | bool) or label is None for _, label in labels):
        raise ValueError("labels are not numbers or names, one for each image")
    return _Table(("label",), [(_path(file), (str(label),)) for file, label in labels], 0)


def _path(text: str) -> str:
    """As the image's path is written here."""
    return PurePosixPath(text.strip().replace("\\", "/")).as_posix()


def _name(text: str) -> str:
    """Of a class: of numbers that are whole, without a point, as 3 for 3.0."""
    whole, _, fraction = text.strip().partition(".")
    is_whole = whole.lstrip("-").isdecimal() and fraction and not fraction.strip("0")
    return whole if is_whole else text.strip()


def _number(text: str) -> float:
    """
    Raises:
        ValueError: it is none, or not finite.
    """
    if not _is_number(text):
        raise ValueError(f"{text!r} is no number")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) <= _LARGEST
    except ValueError:
        return False


def _may_be_number(text: str) -> bool:
    """Whether it is a number, or nothing."""
    return not text or _is_number(text)


_LARGEST = 3.4e38
"""That is finite in float32."""


_READERS: dict[str, Callable[[str], _Table | None]] = {
    "labels.csv": _of_csv,
    "dataset.json": _of_json,
}
NAMES = tuple(_READERS)
"""What these files are called."""


def _some(names: Sequence[str]) -> str:
    """How many, and one of them."""
    return names[0] if len(names) == 1 else f"{len(names):,}, as {names[0]}"
