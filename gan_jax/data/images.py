"""Images as arrays: reading files, and bringing them to one size and number of channels."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from gan_jax.data import decoding
from gan_jax.data.decoding import BadImageError

FITS = ("crop", "pad", "stretch")
WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
VERSION = 2
"""Of what `read` makes of files: what was decoded by another is not taken from the cache."""

_TWELVE_BITS = 4095
"""Of cameras and medical devices, in files of 16 bits: what has no larger value may be as dark as
it seems, or not."""

Color = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Form:
    """What images are brought to."""

    resolution: int | None = None
    """Side of the square in pixels. None: as they are."""
    fit: str = "crop"
    """crop: scale the shorter side, cut the center. pad: scale the longer side down if it is too
    long, and fill up around. stretch: scale both, each by its own."""
    channels: int | None = None
    """1 for grey, 3 for RGB. None: as they are."""
    background: Color | None = None
    """Seen through what is transparent, and around images. None: white, and black around."""
    white: float | None = None
    """The value that is white, of images of more than 8 bits. None: 65535 of 16 bits, 1 of floats
    from 0 to 1."""


def read(path: Path, form: Form) -> UInt8[np.ndarray, "h w c"]:
    """What a person sees in a file: upright, in sRGB's colors, on the background where it is
    transparent. In RGB unless `form` says otherwise.

    Raises:
        BadImageError: the file cannot be decoded, or its range of values is not known.
    """
    decoded = decoding.decode(path, as_srgb=True)
    samples = decoded.samples
    if samples.dtype != np.uint8:
        samples = _to_8_bits(samples, decoded.white, form.white, path)
    image = _to_image(samples)
    if samples.shape[-1] in (2, 4):
        image = image.convert("RGBA")
        behind = Image.new("RGBA", image.size, (*(form.background or WHITE), 255))
        image = Image.alpha_composite(behind, image)
    return to_array(image.convert("L" if form.channels == 1 else "RGB"), form)


def _to_8_bits(
    samples: Shaped[np.ndarray, "h w c"], known: float | None, white: float | None, path: Path
) -> UInt8[np.ndarray, "h w c"]:
    """Colors from 0 to `white` become 0 to 255; opacity has its own range."""
    color, opacity = samples, None
    if samples.shape[-1] in (2, 4):
        color, opacity = samples[..., :-1], samples[..., -1:]
    low, high = float(color.min()), float(color.max())
    if white is None:
        if known is not None and high > _TWELVE_BITS:
            white = known
        elif known is None and samples.dtype.kind == "f" and low >= 0 and high <= 1:
            white = 1
        else:
            raise BadImageError(
                f"{path} has values from {low:g} to {high:g}, and does not say which is white: set "
                "data.white, as to 4095 for 12 bits in files of 16"
            )
    scaled = np.round(np.clip(color / white, 0, 1) * 255)
    if opacity is not None:
        scaled = np.concatenate([scaled, np.round(opacity / (known or 1) * 255)], axis=-1)
    return scaled.astype(np.uint8)


def refit(array: UInt8[np.ndarray, "h w c"], form: Form) -> UInt8[np.ndarray, "h2 w2 c2"]:
    """The image brought to `form`, or as it is where that leaves it."""
    h, w, c = array.shape
    if form.channels in (None, c) and (form.resolution is None or form.resolution == h == w):
        return array
    image = _to_image(array)
    if form.channels is not None:
        image = image.convert("L" if form.channels == 1 else "RGB")
    return to_array(image, form)


def _to_image(array: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.shape[-1] == 1 else array))


def to_array(image: Image.Image, form: Form) -> UInt8[np.ndarray, "h w c"]:
    """A PIL image, grey or RGB, as an array: square if a resolution is given; channels are as they
    are."""
    side = form.resolution
    if side is not None:
        width, height = image.size
        if form.fit == "stretch":
            scales = side / width, side / height
        elif form.fit == "pad":
            scales = (min(1, side / max(width, height)),) * 2
        else:
            scales = (side / min(width, height),) * 2
        size = max(1, round(width * scales[0])), max(1, round(height * scales[1]))
        if form.fit == "crop":
            size = max(side, size[0]), max(side, size[1])
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        if image.size != (side, side):
            image = _centered(image, side, form.background or BLACK)
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def _centered(image: Image.Image, side: int, background: Color) -> Image.Image:
    """The middle of the image, on a square of the background where it does not reach."""
    fill = Image.new("RGB", (1, 1), background).convert(image.mode).getpixel((0, 0))
    square = Image.new(image.mode, (side, side), fill)
    square.paste(image, (-((image.width - side) // 2), -((image.height - side) // 2)))
    return square
