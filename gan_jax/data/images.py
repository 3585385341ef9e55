"""Images as arrays: reading files, and bringing them to one size and number of channels."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gan_jax.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg"}
FITS = ("crop", "pad")
_GRAY_MODES = {"1", "L", "LA", "I", "I;16", "F"}


class BadImageError(InputError):
    """A file cannot be decoded."""


@dataclasses.dataclass(frozen=True)
class Form:
    """What images are brought to."""

    resolution: int | None = None
    """Side of the square in pixels. None: as they are."""
    fit: str = "crop"
    """crop: scale the shorter side, cut the center. pad: black around."""
    channels: int | None = None
    """1 for grey, 3 for RGB. None: as they are."""


def channels_of(path: Path) -> int:
    """1 for a grey image, 3 for a coloured one, from the file's header alone.

    Raises:
        BadImageError: the header cannot be read.
    """
    try:
        with Image.open(path) as image:
            return 1 if image.mode in _GRAY_MODES else 3
    except OSError as error:
        raise BadImageError(f"cannot read the image {path}: {error}") from error


def read(path: Path, form: Form) -> UInt8[np.ndarray, "h w c"]:
    """The image in a file, in RGB unless `form` says otherwise.

    Raises:
        BadImageError: the file cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return to_array(image.convert("L" if form.channels == 1 else "RGB"), form)
    except (OSError, SyntaxError, ValueError) as error:
        raise BadImageError(f"cannot read the image {path}: {error}") from error


def refit(array: UInt8[np.ndarray, "h w c"], form: Form) -> UInt8[np.ndarray, "h2 w2 c2"]:
    """The image brought to `form`, or as it is where that leaves it."""
    h, w, c = array.shape
    if form.channels in (None, c) and (form.resolution is None or form.resolution == h == w):
        return array
    image = Image.fromarray(array[..., 0] if c == 1 else array)
    if form.channels is not None:
        image = image.convert("L" if form.channels == 1 else "RGB")
    return to_array(image, form)


def to_array(image: Image.Image, form: Form) -> UInt8[np.ndarray, "h w c"]:
    """A PIL image as an array, made square if a resolution is given; channels are as they are."""
    resolution = form.resolution
    if resolution is not None:
        width, height = image.size
        if form.fit == "crop":
            scale = resolution / min(width, height)
            size = max(resolution, round(width * scale)), max(resolution, round(height * scale))
            if size != image.size:
                image = image.resize(size, Image.Resampling.LANCZOS)
        # Cuts the center out; beyond the image's edge this is black.
        left, top = (image.width - resolution) // 2, (image.height - resolution) // 2
        image = image.crop((left, top, left + resolution, top + resolution))
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array
