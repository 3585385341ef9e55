"""Image files that `gan-jax data pack` has packed."""

from collections.abc import Sequence
from pathlib import Path

from gan_jax.data import decoding, records
from gan_jax.data.files import File, Stored
from gan_jax.data.scanning import Scan
from gan_jax.data.sources import image_files
from gan_jax.data.sources.kinds import Request


class Records:
    """What is in a packed folder, as if each image lay there in the place that it was taken from.

    Raises:
        InputError: it is no such folder, or not whole.
    """

    def __init__(self, folder: Path):
        packed = records.read(folder)
        self.classes = packed.classes
        self._folder, self._packed = folder, packed
        self._files = tuple(folder / name for name in packed.names)
        self._places = {file: i for i, file in enumerate(self._files)}
        self._images = packed.images()

    def scan(self) -> Scan:
        left_out = {"unreadable": self._packed.left_out} if self._packed.left_out else {}
        return Scan(self._folder, self._files, left_out)

    def open(self, path: Path) -> File:
        return Stored(str(path), self._images(self._places[path]))

    def header(self, path: Path) -> decoding.Header:
        return self._packed.headers[self._places[path]]

    def stamps(self, paths: Sequence[Path]) -> list[tuple[int, int]]:
        sizes = self._packed.sizes
        return [(sizes[self._places[path]], self._packed.time) for path in paths]


def store(request: Request) -> Records:
    """The packed folder that is asked for."""
    return Records(Path(request.argument).expanduser())


RECORDS = image_files.kind("records", "what gan-jax data pack has made of a folder", store)
