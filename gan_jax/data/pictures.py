"""Pictures as arrays: reading files, and bringing them to one size and number of channels."""

from pathlib import Path

import numpy as np
from PIL import Image

from gan_jax.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg"}
_GREY_MODES = {"1", "L", "LA", "I", "I;16", "F"}


class BadPictureError(InputError):
    """A file that cannot be decoded."""


def channels_of(path: Path) -> int:
    """1 for a grey picture, 3 for a coloured one, from the file's header alone.

    Raises:
        BadPictureError: the header cannot be read.
    """
    try:
        with Image.open(path) as picture:
            return 1 if picture.mode in _GREY_MODES else 3
    except OSError as error:
        raise BadPictureError(f"cannot read the image {path}: {error}") from error


def read(path: Path, channels: int, resolution: int | None, fit: str) -> np.ndarray:
    """The picture as uint8 [height, width, channels].

    Raises:
        BadPictureError: the file cannot be decoded.
    """
    try:
        with Image.open(path) as picture:
            return to_array(picture.convert("L" if channels == 1 else "RGB"), resolution, fit)
    except (OSError, SyntaxError, ValueError) as error:
        raise BadPictureError(f"cannot read the image {path}: {error}") from error


def refit(
    array: np.ndarray, resolution: int | None, fit: str, channels: int | None = None
) -> np.ndarray:
    """uint8 [h, w, c] brought to `resolution` and `channels`, or as it is where these are None."""
    if channels in (None, array.shape[-1]) and resolution in (None, *_side(array)):
        return array
    picture = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    if channels is not None:
        picture = picture.convert("L" if channels == 1 else "RGB")
    return to_array(picture, resolution, fit)


def _side(array: np.ndarray) -> tuple[int, ...]:
    h, w = array.shape[:2]
    return (h,) if h == w else ()


def to_array(picture: Image.Image, resolution: int | None, fit: str) -> np.ndarray:
    """A PIL picture as uint8 [h, w, c], made square if a resolution is given."""
    if resolution is not None:
        width, height = picture.size
        if fit == "crop":
            scale = resolution / min(width, height)
            size = max(resolution, round(width * scale)), max(resolution, round(height * scale))
            if size != picture.size:
                picture = picture.resize(size, Image.Resampling.LANCZOS)
        # Cuts the centre out; beyond the picture's edge this is black.
        left, top = (picture.width - resolution) // 2, (picture.height - resolution) // 2
        picture = picture.crop((left, top, left + resolution, top + resolution))
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array
