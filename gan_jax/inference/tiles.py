"""A function of images of some sizes, applied to an image of any size: whole, or tile by tile."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32

from gan_jax.errors import InputError


def choose(
    height: int, width: int, *, multiple: int = 1, most_pixels: int = 1024 * 1024, side: int = 512
) -> int | None:
    """A side of tiles for images larger than `most_pixels`: `side`, rounded up to a multiple.

    None for smaller images, which are best taken whole.
    """
    return None if height * width <= most_pixels else _round_up(side, multiple)


def apply(
    function: Callable[[Float32[np.ndarray, "1 H W c"]], Any],
    image: Float32[np.ndarray, "h w c"],
    *,
    multiple: int = 1,
    scale: int = 1,
    tile: int | None = None,
    overlap: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> Float32[np.ndarray, "{scale}*h {scale}*w d"]:
    """What `function` makes of an image, `scale` times as large.

    Args:
        function: Maps a batch of one image, `[1, H, W, c]` with H and W multiples of `multiple`,
            to `[1, scale·H, scale·W, d]`, an array of NumPy or JAX.
        image: Of any size. At the bottom and at the right it is continued by its reflection, as
            far as `function` needs, and this is cut off what comes out.
        multiple: Of the sides that `function` can take.
        scale: How much larger its output is.
        tile: Side of the square tiles that `function` is given one after another, in pixels of
            `image`. All have this size, so that one program is compiled, and there is memory
            for one of them and the output. None: the whole image at once.
        overlap: How many pixels of a tile, on each side that has a neighbor, are not its alone.
            The outer half of them is not used, for there a convolution saw padding instead of
            the image; along the inner half the tile gives way to its neighbor linearly. The
            result is that of the whole image if no pixel depends on others more than
            `overlap // 2` away.
        progress: Called after each tile with how many are done, and of how many.

    Raises:
        InputError: `tile` is no multiple of `multiple`, or too small for the overlap.
        ValueError: what `function` returns is not of the size it should be.
    """
    if tile is not None:
        _check(tile, multiple, overlap)
    height, width = image.shape[:2]
    rows, columns = (_Axis(n, tile, multiple, scale, overlap) for n in (height, width))
    output = None
    total = len(rows.starts) * len(columns.starts)
    for i, top in enumerate(rows.starts):
        for j, left in enumerate(columns.starts):
            part = image[np.ix_(rows.pixels(i), columns.pixels(j))]
            made = np.asarray(function(part[None]))
            wanted = (1, scale * rows.side, scale * columns.side)
            if made.ndim != 4 or made.shape[:3] != wanted:
                raise ValueError(f"the function returned {made.shape}, not {(*wanted, 'channels')}")
            if output is None:
                output = np.zeros((scale * height, scale * width, made.shape[-1]), np.float32)
            place = output[scale * top :, scale * left :][: wanted[1], : wanted[2]]
            inside = made[0, : place.shape[0], : place.shape[1]].astype(np.float32)
            weights = rows.weights(i)[:, None] * columns.weights(j)
            place += weights[: place.shape[0], : place.shape[1], None] * inside
            if progress is not None:
                progress(i * len(columns.starts) + j + 1, total)
    assert output is not None, "an image has pixels"
    return output


def _check(tile: int, multiple: int, overlap: int) -> None:
    if tile < 1 or tile % multiple:
        raise InputError(f"the side of tiles is a multiple of {multiple}, not {tile}")
    if overlap < 0:
        raise InputError(f"tiles overlap by 0 pixels or more, not {overlap}")
    if _stride(tile, multiple, overlap) < 1:
        least = _round_up(overlap + overlap // 2 + multiple, multiple)
        raise InputError(
            f"tiles of {tile} pixels are too small to overlap by {overlap}: at least {least}"
        )


def _stride(tile: int, multiple: int, overlap: int) -> int:
    # Neighbors share what the one does not use, the ramp, and what the other does not use. A
    # multiple, so that a network that halves its images does it at the same pixels in all tiles.
    return (tile - overlap - overlap // 2) // multiple * multiple


class _Axis:
    """Tiles along one axis of an image: where they start, and how much each counts where."""

    def __init__(self, n: int, tile: int | None, multiple: int, scale: int, overlap: int):
        padded = _round_up(n, multiple)
        self.side = padded if tile is None else tile
        last = max(0, padded - self.side)
        self.starts = [0]
        if last:
            # The last is moved inwards, so that it ends where the image does.
            self.starts = [*range(0, last, _stride(self.side, multiple, overlap)), last]
        # NumPy repeats a single pixel, which has no reflection.
        self._indices = np.pad(np.arange(n), (0, last + self.side - n), mode="reflect")
        self._scale = scale
        self._unused = overlap // 2

    def pixels(self, i: int) -> np.ndarray:
        """Which pixels of the image tile `i` consists of."""
        return self._indices[self.starts[i] : self.starts[i] + self.side]

    def weights(self, i: int) -> np.ndarray:
        """How much each pixel of the output of tile `i` counts; those of all tiles sum to one."""
        # The sum over i telescopes, to 1 − 0. A later tile rises later, so none is negative.
        return (self._rise(i, i) - self._rise(i + 1, i)).astype(np.float32)

    def _rise(self, k: int, i: int) -> np.ndarray:
        """How far tile `k` has taken over from the one before it, at the pixels of tile `i`."""
        size = self._scale * self.side
        if k == 0:
            return np.ones(size)
        if k == len(self.starts):
            return np.zeros(size)
        begin = self._scale * (self.starts[k] + self._unused)
        end = self._scale * (self.starts[k - 1] + self.side - self._unused)
        centers = self._scale * self.starts[i] + np.arange(size) + 0.5
        # Without an overlap it is a step between two pixels.
        return np.clip((centers - begin) / max(end - begin, 0.5), 0, 1)


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
