"""Image files packed into a few large ones, which is faster where files are slow to open.

A packed folder holds `index.json`, which says how it was made; `files.csv`, with a line for each
image; and the shards, array_record files whose records are the image files, byte for byte. So they
are decoded by the same code to the same images, and all that can be chosen of a folder still can.
"""

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.data import decoding
from gan_jax.data.decoding import Header
from gan_jax.data.files import File, Stored, content
from gan_jax.errors import InputError

VERSION = 1
"""Of the format."""
SHARD_BYTES = 256 * 2**20
"""After so many bytes of images, the next shard begins."""

_INDEX, _FILES = "index.json", "files.csv"
_COLUMNS = ("file", "bytes", "height", "width", "channels", "transparent")
# Records stand alone, to be read one by one, and image files are compressed already.
_WRITING = "group_size:1,uncompressed"
_READ_AT_ONCE = 256


class Named(NamedTuple):
    """An image file to be packed."""

    name: str
    """Its path within the folder that it is from."""
    file: File


@dataclass(frozen=True)
class Packed:
    """What there is in a packed folder, besides the images themselves."""

    folder: Path
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    """In bytes."""
    headers: tuple[Header, ...]
    shards: tuple["Shard", ...]
    classes: tuple[str, ...] | None
    """The order of the classes. None: the natural one."""
    left_out: int
    """How many images there were that cannot be read."""
    time: int
    """When it was packed, in ns."""

    def images(self) -> Callable[[int], bytes]:
        """Reads image files, by index; for any number of threads."""
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        data = ArrayRecordDataSource(
            [_Instruction(str(self.folder / s.file), 0, s.images, s.images) for s in self.shards]
        )

        def image(index: int) -> bytes:
            try:
                return data[index]
            except (OSError, RuntimeError) as error:
                name = self.folder / self.names[index]
                raise decoding.BadImageError(f"cannot read the image {name}: {error}") from error

        return image


class Shard(NamedTuple):
    """One of the files that images are packed into."""

    file: str
    """Its name."""
    images: int
    """That are in it."""
    bytes: int
    """Of the whole file."""


@dataclass
class _Instruction:
    """Which records to read of which file, as `ArrayRecordDataSource` wants to be told."""

    filename: str
    skip: int
    take: int
    examples_in_shard: int


def write(
    files: Iterable[Named],
    out: Path,
    *,
    made_of: str,
    classes: Sequence[str] | None = None,
    skip_bad_images: bool = False,
) -> None:
    """Writes image files into the empty folder `out`, in this order. Each is decoded once, to see
    whether it can be.

    Raises:
        BadImageError: one cannot be decoded, and such images are not skipped.
        InputError: none can be decoded.
    """
    records, left_out = _Writer(out), 0
    with (
        (out / _FILES).open("w", encoding="utf-8", errors="surrogateescape", newline="") as lines,
        contextlib.closing(records),
    ):
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(_COLUMNS)
        for name, image, header in _examined(files, skip_bad_images):
            if header is None:
                left_out += 1
                continue
            records.write(image)
            table.writerow(
                [name, len(image), *header.size, header.channels, int(header.transparent)]
            )
    if not records.shards:
        raise InputError("none of the images can be read")
    index = {
        "version": VERSION,
        "made_of": made_of,
        "images": sum(shard.images for shard in records.shards),
        "left_out": left_out,
        "classes": classes,
        "shards": [shard._asdict() for shard in records.shards],
    }
    text = json.dumps(index, indent=1, ensure_ascii=False)
    (out / _INDEX).write_text(text + "\n", "utf-8")


class _Writer:
    """Writes records, and begins a new file whenever one is full."""

    def __init__(self, out: Path):
        self.shards: list[Shard] = []
        """Those that are whole."""
        self._out = out
        self._file: Any = None
        self._images = self._bytes = 0

    def write(self, record: bytes) -> None:
        if self._images and self._bytes + len(record) > SHARD_BYTES:
            self.close()
        if self._file is None:
            from array_record.python.array_record_module import ArrayRecordWriter

            self._file = ArrayRecordWriter(str(self._path), _WRITING)
        self._file.write(record)
        self._images += 1
        self._bytes += len(record)

    @property
    def _path(self) -> Path:
        return self._out / f"images-{len(self.shards):05d}.array_record"

    def close(self) -> None:
        """Ends the file at hand."""
        if self._file is not None:
            self._file.close()
            size = self._path.stat().st_size
            self.shards.append(Shard(self._path.name, self._images, size))
            self._file, self._images, self._bytes = None, 0, 0


def _examined(
    files: Iterable[Named], skip_bad_images: bool
) -> Iterator[tuple[str, bytes, Header | None]]:
    """Names, bytes and headers, in order; None where it cannot be decoded, if such are skipped."""

    def examine(named: Named) -> tuple[str, bytes, Header | None]:
        try:
            decoding.decode(named.file)
            stored = Stored(named.name, content(named.file))
            return named.name, stored.content, decoding.header(stored)
        except decoding.BadImageError:
            if not skip_bad_images:
                raise
            return named.name, b"", None

    with ThreadPoolExecutor() as pool:
        some: list[Named] = []
        for named in files:
            some.append(named)
            if len(some) == _READ_AT_ONCE:
                yield from pool.map(examine, some)
                some = []
        yield from pool.map(examine, some)


def read(folder: Path) -> Packed:
    """What a packed folder says of itself.

    Raises:
        InputError: it is no such folder, of a later version, or not whole.
    """
    try:
        index = json.loads((folder / _INDEX).read_text("utf-8"))
        if index["version"] > VERSION:
            raise InputError(
                f"{folder} was packed by a later version of gan-jax: this one reads version "
                f"{VERSION}, not {index['version']}"
            )
        with (folder / _FILES).open(
            encoding="utf-8", errors="surrogateescape", newline=""
        ) as lines:
            rows = list(csv.DictReader(lines))
        packed = Packed(
            folder,
            tuple(row["file"] for row in rows),
            tuple(int(row["bytes"]) for row in rows),
            tuple(_header(row) for row in rows),
            tuple(Shard(**shard) for shard in index["shards"]),
            None if index["classes"] is None else tuple(index["classes"]),
            index["left_out"],
            (folder / _INDEX).stat().st_mtime_ns,
        )
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise InputError(
            f"{folder} is not packed, or not to its end: there is no {missing} in it; gan-jax data "
            "pack makes one"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read what {folder} holds: {error}") from error
    for shard in packed.shards:
        path = folder / shard.file
        if not path.is_file() or path.stat().st_size != shard.bytes:
            raise InputError(f"{path} is missing, or not whole: copy or pack it again")
    if not len(packed.names) == index["images"] == sum(shard.images for shard in packed.shards):
        raise InputError(f"{folder / _FILES} has {len(packed.names):,} lines: pack it again")
    return packed


def _header(row: dict[str, str]) -> Header:
    size = int(row["height"]), int(row["width"])
    return Header(int(row["channels"]), row["transparent"] == "1", size)
