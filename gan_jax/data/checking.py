"""A folder of images looked through, before anything is trained on it."""

import hashlib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan_jax.data import decoding, images, labels
from gan_jax.data.conditions import in_words
from gan_jax.data.images import Form
from gan_jax.data.labels import Labels
from gan_jax.data.scanning import Scan, counted, of_split, scan

_NAMED = 10
"""Files that are named one by one."""


@dataclass(frozen=True)
class File:
    """One image, decoded."""

    path: Path
    digest: str
    """Of its bytes: equal ones are copies."""
    header: decoding.Header | None
    """None: it cannot be read."""
    problem: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True)
class Findings:
    """What there is in a folder."""

    scan: Scan
    files: tuple[File, ...]
    labels: Labels | None
    """What a file beside them says."""

    @property
    def good(self) -> tuple[File, ...]:
        """Those that can be read."""
        return tuple(file for file in self.files if file.header is not None)

    @property
    def copies(self) -> tuple[tuple[Path, ...], ...]:
        """Files of equal content."""
        alike: dict[str, list[Path]] = defaultdict(list)
        for file in self.files:
            alike[file.digest].append(file.path)
        return tuple(tuple(paths) for paths in alike.values() if len(paths) > 1)

    def lines(self) -> list[str]:
        """All of it, in words."""
        found = [f"{len(self.files):,} images in {self.scan.folder}"]
        suffixes = Counter(file.path.suffix.lower() for file in self.files)
        found.append(f"  formats      {counted(suffixes)}")
        headers = [file.header for file in self.files if file.header is not None]
        if headers:
            found.append(f"  sizes        {_sizes(headers)}")
            colors = Counter("grey" if h.channels == 1 else "colored" for h in headers)
            found.append(f"  colors       {counted(colors)}")
        transparent = sum(h.transparent for h in headers)
        if transparent:
            found.append(f"  transparent  {transparent:,} at most (--data.background)")
        tops = Counter(self.scan.tops)
        if "" not in tops:
            found.append(f"  folders      {counted(tops)}")
        if self.labels is not None:
            found += [f"  {line}" for line in self._labelled(self.labels)]
        _, taken = of_split(self.scan, "train")
        found += [f"  {note}" for note in (*taken, *self.scan.notes)]
        bad = [file for file in self.files if file.header is None]
        if bad:
            found.append(f"  unreadable   {len(bad):,} (--skip-bad-images leaves them out):")
            found += _some([file.problem for file in bad])
        if self.copies:
            extra = sum(len(paths) - 1 for paths in self.copies)
            found.append(f"  copies       {extra:,} of others:")
            found += _some([f"{p[0]}: {', '.join(map(str, p[1:]))}" for p in self.copies])
        return found

    def _labelled(self, told: Labels) -> list[str]:
        """What the labels are, which take the place of folders."""
        if told.given is None:
            return [f"labels       none, says {told.path.name}"]
        given = [label for label in told.of(self.scan.files) if label is not None]
        if told.conditions:
            words = f"conditions   {in_words(told.conditions, np.array(given, np.float32))}"
        else:
            counts = Counter(map(str, given))
            named = [f"{name} {counts[name]:,}" for name in labels.in_order(counts)]
            words = f"labels       {', '.join(named)}"
        return [words, *told.notes(self.scan.files, self.scan.files)]


def check(folder: Path) -> Findings:
    """Looks at every image in a folder, decoding each.

    Raises:
        InputError: there is no folder, or no image in it, or its labels cannot be read.
    """
    found, beside = scan(folder), labels.beside([folder])
    told = None if beside is None else labels.read(beside)
    with ThreadPoolExecutor() as pool:
        files = tuple(pool.map(_look_at, found.files))
    return Findings(found.reading(beside), files, told)


def _look_at(path: Path) -> File:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        images.read(path, Form())
        return File(path, digest, decoding.header(path))
    except decoding.BadImageError as error:
        return File(path, digest, None, str(error))


def shown(files: tuple[File, ...], form: Form, most: int) -> np.ndarray:
    """Up to so many of them from all over, as networks see them: uint8 [n, h, w, c]."""
    places = np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int)
    return np.stack([images.read(files[i].path, form) for i in places])


def _some(lines: list[str]) -> list[str]:
    """The first of them, further in."""
    shown = lines[:_NAMED]
    if len(lines) > _NAMED:
        shown.append(f"and {len(lines) - _NAMED:,} more")
    return [f"    {line}" for line in shown]


def _sizes(headers: list[decoding.Header]) -> str:
    """As `from 48×64 to 300×200 (height×width), the median side 150`."""
    sizes = sorted((h.size for h in headers), key=min)
    least, most = ("×".join(map(str, sizes[i])) for i in (0, -1))
    if least == most and len(set(sizes)) == 1:
        return f"all {least} (height×width)"
    side = int(np.median([min(size) for size in sizes]))
    return f"from {least} to {most} (height×width), the shorter side {side} in the middle"
