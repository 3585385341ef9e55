"""PNG files of 16 bits and several channels, of which Pillow keeps only the upper eight bits."""

import struct
import zlib

import numpy as np
from jaxtyping import UInt8, UInt16

from gan_jax.data.files import File, open_image

_LOWER = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
"""Pillow's names of big-endian samples, which it cuts to their first byte, and of little-endian
ones, which it cuts to their second."""
_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_FILTER_UP = 2


def read(file: File) -> UInt16[np.ndarray, "h w c"] | None:
    """The samples of a PNG file: grey and alpha, RGB, or RGBA, 0 … 65535.

    None if it is any other file: Pillow reads these as they are, 16-bit grey included.

    Raises:
        OSError, SyntaxError, ValueError: the file cannot be decoded.
    """
    with open_image(file) as image:
        if image.format != "PNG" or not image.tile:
            return None
        layout = image.tile[0].args
    if layout == "LA;16B":
        # As long as a pixel of RGBA, whose bytes are kept as they are.
        return _decode(file, "RGBA").view(">u2").astype(np.uint16)
    if layout not in _LOWER:
        return None
    upper, lower = _decode(file, layout), _decode(file, _LOWER[layout])
    return upper.astype(np.uint16) << 8 | lower


def _decode(file: File, layout: str) -> UInt8[np.ndarray, "h w c"]:
    # Pillow undoes filters and interlacing on whole pixels, before it looks into them: told of
    # another layout of the same length, it gives the other bytes.
    with open_image(file) as image:
        image.tile = [tile._replace(args=layout) for tile in image.tile]
        return np.asarray(image)


def encode(samples: UInt16[np.ndarray, "h w c"], profile: bytes | None = None) -> bytes:
    """A PNG file of 16 bits: grey, grey and alpha, RGB, or RGBA, by the number of channels.

    `profile` is an ICC profile that goes with it.
    """
    h, w, c = samples.shape
    rows = samples.astype(">u2").view(np.uint8).reshape(h, -1)
    # Each row as its difference from the one above, which images compress better as.
    filtered = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    lines = np.pad(filtered, ((0, 0), (1, 0)), constant_values=_FILTER_UP)
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 16, _COLOR_TYPES[c], 0, 0, 0))]
    if profile is not None:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    chunks += [_chunk(b"IDAT", zlib.compress(lines.tobytes())), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
