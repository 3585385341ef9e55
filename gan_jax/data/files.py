"""Image files, on disk or packed into another file."""

import dataclasses
import io
from pathlib import Path

from PIL import Image
from PIL.ImageFile import ImageFile


@dataclasses.dataclass(frozen=True)
class Stored:
    """An image file that lies within another one."""

    name: str
    """What messages call it."""
    content: bytes

    def __str__(self) -> str:
        return self.name


File = Path | Stored


def content(file: File) -> bytes:
    """Its bytes."""
    return file.content if isinstance(file, Stored) else file.read_bytes()


def open_image(file: File) -> ImageFile:
    """As `PIL.Image.open`, which raises what that does."""
    return Image.open(_Named(file) if isinstance(file, Stored) else file)


class _Named(io.BytesIO):
    """What Pillow's messages call by its name."""

    def __init__(self, file: Stored):
        super().__init__(file.content)
        self._name = file.name

    def __repr__(self) -> str:
        return repr(self._name)
