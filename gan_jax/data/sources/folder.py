"""Image files in a folder."""

from collections.abc import Sequence
from pathlib import Path

from gan_jax.data import decoding
from gan_jax.data.files import File
from gan_jax.data.scanning import Scan, scan
from gan_jax.data.sources import image_files
from gan_jax.data.sources.kinds import Request


class Folder:
    """The images in a folder at any depth, in the order of their names."""

    classes: tuple[str, ...] | None = None

    def __init__(self, path: Path):
        self._path = path

    def scan(self) -> Scan:
        return scan(self._path)

    def open(self, path: Path) -> File:
        return path

    def header(self, path: Path) -> decoding.Header:
        return decoding.header(path)

    def stamps(self, paths: Sequence[Path]) -> list[tuple[int, int]]:
        return [(status.st_size, status.st_mtime_ns) for status in (p.stat() for p in paths)]


def store(request: Request) -> Folder:
    """The folder that is asked for."""
    return Folder(Path(request.argument).expanduser())


FOLDER = image_files.kind(
    "folder", "image files; subfolders, labels.csv or dataset.json are the classes", store
)
