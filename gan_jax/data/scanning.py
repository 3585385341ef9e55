"""Which files of a folder are images, and what is left out."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_jax.data.decoding import SUFFIXES
from gan_jax.errors import InputError

_NOBODYS = {
    *("$recycle.bin", "@eadir", "__macosx", "lost+found", "system volume information"),
    *("desktop.ini", "icon\r", "thumbs.db"),
}
"""What systems leave in folders, besides names that begin with a dot, in small letters."""

_SPLITS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation"},
    "test": {"test", "testing"},
}
"""By what they are called in `data.split`: the names of their folders, in small letters."""


@dataclass(frozen=True)
class Scan:
    """What is in a folder."""

    folder: Path
    files: tuple[Path, ...]
    """Images at any depth, in the order of their paths."""
    left_out: Mapping[str, int]
    """How many there are of what is no image, by what it is."""

    @property
    def tops(self) -> tuple[str, ...]:
        """The folder at the top that each file is in; empty for those in none."""
        inside = (f.relative_to(self.folder).parts for f in self.files)
        return tuple(parts[0] if len(parts) > 1 else "" for parts in inside)

    def within(self, top: str) -> "Scan":
        """What of it is in one of the folders at the top."""
        files = tuple(f for f, its in zip(self.files, self.tops, strict=True) if its == top)
        return Scan(self.folder / top, files, self.left_out)

    def reading(self, file: Path | None) -> "Scan":
        """Without this file, which is of use, among what was left out."""
        read = Counter([] if file is None else [file.suffix])
        return Scan(self.folder, self.files, Counter(self.left_out) - read)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about what was left out."""
        if not self.left_out:
            return ()
        return (f"left out: {_in_words(self.left_out)}",)


def scan(folder: Path) -> Scan:
    """The images in a folder at any depth, behind links too. What is hidden is as if it were not
    there.

    Raises:
        InputError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    left_out: Counter[str] = Counter()
    found = Scan(folder, tuple(sorted(_walk(folder, left_out))), left_out)
    if not found.files:
        *others, last = sorted(SUFFIXES)
        beside = f", only {_in_words(left_out)}" if left_out else ""
        raise InputError(
            f"there are no images in {folder}{beside}; names of images end in {', '.join(others)} "
            f"or {last}"
        )
    return found


def _in_words(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(left_out.items()))


def _walk(
    folder: Path, left_out: Counter[str], above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[Path]:
    """All images, behind links too; `above` are the folders that it is in."""
    try:
        status = folder.stat()
        entries = list(folder.iterdir())
    except OSError:
        left_out["unreadable folders"] += 1
        return
    own = (status.st_dev, status.st_ino)
    if own in above:
        left_out["links that lead back"] += 1
        return
    for path in entries:
        if path.name.startswith(".") or path.name.lower() in _NOBODYS:
            continue
        if path.is_dir():
            yield from _walk(path, left_out, above | {own})
        elif path.suffix.lower() not in SUFFIXES:
            left_out[path.suffix.lower() or "files without a suffix"] += 1
        elif not path.is_file():
            left_out["links that lead nowhere"] += 1
        else:
            yield path


def of_split(found: Scan, wanted: str) -> tuple[Scan, tuple[str, ...]]:
    """The images of one split, if all folders at the top are splits, and what to say of that.

    Raises:
        InputError: it holds splits, but not this one; or none, and one is asked for.
    """
    tops = Counter(found.tops)
    splits = {
        top: next((s for s, names in _SPLITS.items() if top.lower() in names), None) for top in tops
    }
    if "train" not in splits.values() or None in splits.values():
        if wanted != "train":
            raise InputError(
                f"{found.folder} holds no splits: there are no folders train and {wanted} in it"
            )
        return found, ()
    top = next((top for top, split in splits.items() if wanted in (split, top)), None)
    if top is None:
        raise InputError(
            f"{found.folder} holds {counted(tops)}: set data.split to one of these, not {wanted}"
        )
    return found.within(top), (f"split {top} of {counted(tops)}",)


def counted(counts: Mapping[str, int]) -> str:
    """As `cat 12, dog 9`, in natural order."""
    return ", ".join(f"{name} {counts[name]:,}" for name in sorted(counts, key=naturally))


def naturally(name: str) -> Any:
    """A key that sorts names as people do: 2 before 10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if part.isdecimal() else part for part in parts], name
