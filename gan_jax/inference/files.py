"""Image files of any kind: read as they are seen, and written as they were."""

import io
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Shaped
from PIL import Image

from gan_jax import figures
from gan_jax.data import decoding, png16
from gan_jax.data.scanning import scan
from gan_jax.degradations.grey import LUMA
from gan_jax.errors import InputError

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""What is written, by the suffix of the file's name."""


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image as networks take it, and what its file knew besides."""

    color: Float32[np.ndarray, "h w 3"]
    """In [−1, 1]; a grey image has three channels alike."""
    alpha: Float32[np.ndarray, "h w"] | None
    """Opacity, from 0 to 1. None: the file has no such channel."""
    bits: Literal[8, 16]
    """Of each sample in the file."""
    gray: bool
    """Whether the file is grey."""
    profile: bytes | None = None
    """The ICC profile that says what its colors look like. Networks are trained on samples as
    they stand in files, so it is not applied, but goes with what is written."""


def read(path: Path) -> ImageFile:
    """The image in a file, upright, whatever its size, mode and number of bits.

    Of several frames it is the first. Samples of 16 bits keep them in grey images and in PNG
    files; Pillow reads other 16-bit colors as 8-bit ones. Values without a fixed range (floats,
    integers of more than 16 bits or below zero) are scaled so that the least is black and the
    largest white, and count as 16 bits. Where an image is fully transparent its color, which
    nobody saw, is white.

    Raises:
        BadImageError: the file cannot be decoded, or holds values that are not finite.
    """
    decoded = decoding.decode(path)
    samples = decoded.samples
    if decoded.white is None:
        samples = _as_uint16(samples)
    bits = 8 if samples.dtype == np.uint8 else 16
    values = samples.astype(np.float32)
    largest = 2**bits - 1
    color, alpha = values[..., :3], None
    if samples.shape[-1] in (2, 4):
        color, alpha = values[..., :-1], values[..., -1] / np.float32(largest)
    color = color / np.float32(largest / 2) - 1
    color = np.broadcast_to(color, (*color.shape[:2], 3)).copy()
    if alpha is not None:
        color[alpha == 0] = 1
    return ImageFile(color, alpha, bits, decoded.gray, decoded.profile)


def _as_uint16(values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """From the least, which becomes black, to the largest."""
    low, high = float(values.min()), float(values.max())
    scaled = (values.astype(np.float64) - low) * (65535 / ((high - low) or 1))
    return np.round(scaled).astype(np.uint16)


def resized_alpha(
    alpha: Float32[np.ndarray, "h w"] | None, height: int, width: int
) -> Float32[np.ndarray, "{height} {width}"] | None:
    """The opacity of an image that became another size, in [0, 1]; None stays None."""
    if alpha is None or alpha.shape == (height, width):
        return alpha
    resized = Image.fromarray(alpha).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(resized), 0, 1)  # bicubic overshoots at edges


def write(image: ImageFile, path: Path) -> None:
    """Writes an image in the format that the name tells, whole or not at all.

    PNG keeps everything. JPEG has no alpha: the image is put on white. WebP has 8 bits, and TIFF
    has 16 for grey without alpha only. JPEG and WebP are lossy, of quality 95. Folders are made.

    Raises:
        InputError: the name tells no format, or the image does not fit into it.
        OSError: the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"cannot tell a format from {path}: its name ends in {_either(FORMATS)}")
    try:
        content = _encode(image, FORMATS[path.suffix.lower()])
    except (OSError, ValueError) as error:  # more pixels than the format counts
        raise InputError(f"cannot write {path}, try .png: {error}") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _encode(image: ImageFile, format: str) -> bytes:
    color, alpha = image.color, image.alpha
    if alpha is not None and format == "JPEG":
        color, alpha = 1 + (color - 1) * alpha[..., None], None
    if image.gray:
        # Rec. 601, as Pillow's conversion to grey: exact where the channels are alike.
        color = color @ LUMA[:, None]
    channels = color if alpha is None else np.concatenate([color, 2 * alpha[..., None] - 1], -1)
    space = b"GRAY" if image.gray else b"RGB "
    # A profile is of one kind of samples; that of CMYK, say, does not fit what was made of them.
    profile = image.profile if image.profile and image.profile[16:20] == space else None
    if image.bits == 16 and format == "PNG":
        return png16.encode(_to_uint16(channels), profile)
    deep = image.bits == 16 and format == "TIFF" and channels.shape[-1] == 1
    samples = _to_uint16(channels) if deep else figures.to_uint8(channels)
    file = io.BytesIO()
    options = {
        "JPEG": {"quality": 95},
        "WEBP": {"quality": 95},
        "TIFF": {"compression": "tiff_lzw"},
    }
    Image.fromarray(samples[..., 0] if samples.shape[-1] == 1 else samples).save(
        file, format=format, icc_profile=profile, **options.get(format, {})
    )
    return file.getvalue()


def _to_uint16(values: Float32[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """[−1, 1] to 0 … 65535, rounded."""
    return np.round((np.clip(values, -1, 1) + 1) * np.float32(32767.5)).astype(np.uint16)


def find(path: Path) -> list[tuple[Path, Path]]:
    """The file itself, or a folder's images at any depth in the order of their names; each with
    its path within the folder.

    Raises:
        InputError: nothing is there, or no image.
    """
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"there is no file or folder {path}")
        return [(path, Path(path.name))]
    return [(file, file.relative_to(path)) for file in scan(path).files]


def destinations(path: Path, out: Path) -> list[tuple[Path, Path]]:
    """Every image that `find` finds at `path`, with the file that its result goes to.

    The result of a file goes to the file `out` if that has a suffix, else into the folder `out`,
    under its own name. Results of a folder go to the same places in the folder `out`. All are
    PNG files, unless `out` says otherwise. Of images whose names differ only in the suffix, those
    that are no PNG keep it before the new one: a.jpg becomes a.jpg.png beside a.png.

    Raises:
        InputError: there are no images, a result would replace one of them, a folder's results
            would go to one file, or a file's name tells no format.
    """
    found = find(path)
    named = bool(out.suffix) and not out.is_dir()
    if path.is_dir() and (out.is_file() or (named and out.suffix.lower() in FORMATS)):
        raise InputError(f"{path} is a folder: its results go to a folder, not to the file {out}")
    if not path.is_dir() and (out.is_file() or named) and out.suffix.lower() not in FORMATS:
        raise InputError(f"cannot tell a format from {out}: its name ends in {_either(FORMATS)}")
    if named and not path.is_dir():
        outs = [out]
    else:
        outs = [out / name for name in _names([inside for _, inside in found])]
    # By what the file system says: it may not tell A.png from a.png.
    inputs = {_identity(file) for file, _ in found}
    for result in outs:
        if result.exists() and _identity(result) in inputs:
            raise InputError(f"{result} would be overwritten, which is an input: write elsewhere")
    return [(file, result) for (file, _), result in zip(found, outs, strict=True)]


def _names(inside: list[Path]) -> list[Path]:
    """PNG files' names for results, all different even where capitals do not count."""

    def key(name: Path) -> str:
        return str(name).casefold()

    plain = [f if f.suffix.lower() == ".png" else f.with_suffix(".png") for f in inside]
    wanted = Counter(map(key, plain))
    taken = {key(name) for file, name in zip(inside, plain, strict=True) if file == name}
    names = []
    for file, name in zip(inside, plain, strict=True):
        if file != name:
            if wanted[key(name)] > 1:
                name = file.with_name(file.name + ".png")
            while key(name) in taken:
                name = name.with_name(name.name + ".png")
            taken.add(key(name))
        names.append(name)
    return names


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _either(suffixes: Collection[str]) -> str:
    *others, last = sorted(suffixes)
    return f"{', '.join(others)} or {last}"
