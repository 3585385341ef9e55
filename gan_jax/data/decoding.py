"""Image files of any kind, decoded to what a person sees in them."""

import io
import struct
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageCms, features

from gan_jax.data import png16
from gan_jax.data.files import File, open_image
from gan_jax.errors import InputError

SUFFIXES = {
    *(".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff"),
    *(f".{name}" for name in ("avif", "webp") if features.check(name)),
}
"""Of files that are looked for in folders: what this Pillow can decode."""

_GRAY_MODES = {"1", "L", "LA", "La"}
_ORIENTATION = 0x0112
_UNDECODABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises at files that are damaged, of no kind that it knows, or suspiciously large."""


class BadImageError(InputError):
    """A file cannot be decoded."""


class Decoded(NamedTuple):
    """An image, upright, as its file has it."""

    samples: Shaped[np.ndarray, "h w c"]
    """Of 8 or 16 bits: grey or RGB, the last of 2 or 4 channels being opacity. Or one channel of
    finite numbers, if `white` is None."""
    white: int | None
    """The sample that is white, 255 or 65535. None: the file does not say."""
    gray: bool
    """Whether the file is grey, however many channels it has here."""
    profile: bytes | None
    """The ICC profile that says what the samples look like, if it was not applied."""


class Header(NamedTuple):
    """What the beginning of a file tells."""

    channels: int
    """1 for a grey image, 3 for a colored one."""
    transparent: bool
    """Whether it has opacity, or a color that stands for transparency."""
    size: tuple[int, int]
    """Height and width in pixels, as it is seen."""


def header(file: File) -> Header:
    """
    Raises:
        BadImageError: the header cannot be read.
    """
    try:
        with open_image(file) as image:
            gray = image.mode in _GRAY_MODES or _is_deep(image)
            lies = image.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
            width, height = image.size[::-1] if lies else image.size
            return Header(1 if gray else 3, image.has_transparency_data, (height, width))
    except _UNDECODABLE as error:
        raise BadImageError(f"cannot read the image {file}: {error}") from error


def decode(file: File, *, as_srgb: bool = False) -> Decoded:
    """The image in a file: of several frames, the first.

    16 bits are kept in grey images and in PNG files; Pillow reads other 16-bit colors as 8-bit
    ones. `as_srgb` applies the file's ICC profile to colors of 8 bits.

    Raises:
        BadImageError: the file cannot be decoded, or holds values that are not finite.
    """
    try:
        deep = png16.read(file)
        with open_image(file) as opened:
            image = opened
            profile = image.info.get("icc_profile") or None
            if deep is not None:
                samples, white = _keyed(deep, image), 65535
            elif _is_deep(image):
                samples, white = _values(image)
            else:
                if as_srgb and profile is not None:
                    image, profile = _in_srgb(image, profile), None
                mode = "RGBA" if image.has_transparency_data else "RGB"
                samples, white = np.asarray(image.convert(mode)), 255
            # After the pixels are loaded: Pillow forgets what it has turned upright itself.
            samples = _upright(samples, opened.getexif().get(_ORIENTATION, 1))
            gray = samples.shape[-1] <= 2 or image.mode in _GRAY_MODES
            if image.mode in ("P", "PA"):  # as GIF keeps grey images
                gray = bool((samples[..., :3] == samples[..., :1]).all())
    except _UNDECODABLE as error:
        raise BadImageError(f"cannot read the image {file}: {error}") from error
    return Decoded(samples, white, gray, profile)


def _is_deep(image: Image.Image) -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def _values(image: Image.Image) -> tuple[Shaped[np.ndarray, "h w c"], int | None]:
    """Of a grey image of more than 8 bits, and its white."""
    values = np.asarray(image)[..., None]
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        return values, None
    return _keyed(values.astype(np.uint16), image), 65535


def _keyed(samples: Shaped[np.ndarray, "h w c"], image: Image.Image) -> Shaped[np.ndarray, "h w d"]:
    """With an alpha channel, if one of the colors of a 16-bit image stands for transparency."""
    key = image.info.get("transparency")
    if key is None or samples.shape[-1] not in (1, 3):
        return samples
    opaque = (samples != np.asarray(key)).any(axis=-1, keepdims=True)
    return np.concatenate([samples, opaque * np.uint16(65535)], axis=-1)


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The image with its profile applied; as it is, if that is sRGB's or makes no sense."""
    try:
        parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(parsed):
            return image
        if image.mode == "P":
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        mode = image.mode if image.mode == "RGBA" else "RGB"
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, parsed, srgb, outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def _upright(
    samples: Shaped[np.ndarray, "h w c"], orientation: object
) -> Shaped[np.ndarray, "..."]:
    """Undoes one of the eight orientations of EXIF; what is none of them changes nothing."""
    # 2 to 4 mirror and turn by half; 5 to 8 are these with rows and columns exchanged.
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples
