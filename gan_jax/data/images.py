"""Images as arrays: reading files, and bringing them to one size and number of channels."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from gan_jax.data import decoding
from gan_jax.data.decoding import BadImageError
from gan_jax.data.files import File
from gan_jax.resolutions import Resolution, sides

FITS = ("crop", "pad", "stretch")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
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

    resolution: Resolution | None = None
    """In pixels. None: as they are."""
    fit: str = "crop"
    """crop: scale until both sides are covered, cut the center. pad: scale down if it is too large,
    and fill up around. stretch: scale both sides, each by its own."""
    channels: int | None = None
    """1 for grey, 3 for RGB, 4 for RGBA. None: as they are."""
    background: Color | None = None
    """Seen through what is transparent, and around images. None: white, and black around."""
    white: float | None = None
    """The value that is white, of images of more than 8 bits. None: 65535 of 16 bits, 1 of floats
    from 0 to 1."""


def read(file: File, form: Form) -> UInt8[np.ndarray, "h w c"]:
    """What a person sees in a file: upright, in sRGB's colors, on the background where it is
    transparent. In RGB unless `form` says otherwise; in RGBA, what is wholly transparent is black.

    Raises:
        BadImageError: the file cannot be decoded, or its range of values is not known.
    """
    decoded = decoding.decode(file, as_srgb=True)
    samples = decoded.samples
    if samples.dtype != np.uint8:
        samples = _to_8_bits(samples, decoded.white, form.white, file)
    form = dataclasses.replace(form, channels=form.channels or 3)
    return to_array(_in_channels(_to_image(samples), form), form)


def _in_channels(image: Image.Image, form: Form) -> Image.Image:
    """The image in grey, RGB or RGBA, as `form` says; on the background if there is no alpha."""
    if form.channels is None:
        return image
    if image.mode in ("LA", "RGBA") and form.channels != 4:
        behind = Image.new("RGBA", image.size, (*(form.background or WHITE), 255))
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    return image.convert(_MODES[form.channels])


def _to_8_bits(
    samples: Shaped[np.ndarray, "h w c"], known: float | None, white: float | None, file: File
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
                f"{file} has values from {low:g} to {high:g}, and does not say which is white: set "
                "data.white, as to 4095 for 12 bits in files of 16"
            )
    scaled = np.round(np.clip(color / white, 0, 1) * 255)
    if opacity is not None:
        scaled = np.concatenate([scaled, np.round(opacity / (known or 1) * 255)], axis=-1)
    return scaled.astype(np.uint8)


def refit(array: UInt8[np.ndarray, "h w c"], form: Form) -> UInt8[np.ndarray, "h2 w2 c2"]:
    """The image brought to `form`, or as it is where that leaves it."""
    h, w, c = array.shape
    if form.channels in (None, c) and (form.resolution is None or sides(form.resolution) == (h, w)):
        return array
    return to_array(_in_channels(_to_image(array), form), form)


def _to_image(array: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.shape[-1] == 1 else array))


def to_array(image: Image.Image, form: Form) -> UInt8[np.ndarray, "h w c"]:
    """A PIL image, grey, RGB or RGBA, as an array of the resolution, if one is given; channels are
    as they are."""
    if form.resolution is not None:
        height, width = sides(form.resolution)
        scales = width / image.width, height / image.height
        if form.fit == "pad":
            scales = (min(1, *scales),) * 2
        elif form.fit == "crop":
            scales = (max(scales),) * 2
        size = max(1, round(image.width * scales[0])), max(1, round(image.height * scales[1]))
        if form.fit == "crop":
            size = max(width, size[0]), max(height, size[1])
        if size != image.size:
            # Colors weigh by their opacity, of RGBA.
            image = image.resize(size, Image.Resampling.LANCZOS)
        if image.size != (width, height):
            image = _centered(image, (width, height), form.background or BLACK)
    array = np.asarray(image)
    if image.mode == "RGBA":  # whatever an editor has left behind there
        array = np.where(array[..., 3:] == 0, np.uint8(0), array)
    return array[..., None] if array.ndim == 2 else array


def _centered(image: Image.Image, size: tuple[int, int], background: Color) -> Image.Image:
    """The middle of the image, on the background where it does not reach; RGBA on nothing."""
    fill: Any = (0, 0, 0, 0)
    if image.mode != "RGBA":
        fill = Image.new("RGB", (1, 1), background).convert(image.mode).getpixel((0, 0))
    whole = Image.new(image.mode, size, fill)
    whole.paste(image, (-((image.width - size[0]) // 2), -((image.height - size[1]) // 2)))
    return whole
