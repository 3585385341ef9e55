"""Where image files lie, and how they are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from gan_jax.data.decoding import Header
from gan_jax.data.files import File
from gan_jax.data.scanning import Scan


@runtime_checkable
class Store(Protocol):
    """Image files: in a folder, or packed."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The order of the classes. None: the natural one."""
        ...

    def scan(self) -> Scan:
        """The images, each under a path of its own."""
        ...

    def open(self, path: Path) -> File:
        """One of them, to be decoded."""
        ...

    def header(self, path: Path) -> Header:
        """Of one of them. It raises `gan_jax.data.images.BadImageError` where there is none."""
        ...

    def stamps(self, paths: Sequence[Path]) -> list[tuple[int, int]]:
        """Of each, its size in bytes, and when it was last changed, in ns."""
        ...
