"""Resolutions: heights and widths in pixels, and the grids that networks grow them from."""

from typing import NamedTuple

Resolution = int | tuple[int, int]
"""The side of square images, or height and width."""

_LEAST, _MOST = 4, 7
"""The shorter side of the smallest grid: less than two of the least."""


def sides(resolution: Resolution) -> tuple[int, int]:
    """Height and width."""
    return (resolution, resolution) if isinstance(resolution, int) else resolution


def resolution_of(height: int, width: int) -> Resolution:
    """The inverse of `sides`: one number for square images."""
    return height if height == width else (height, width)


def parse(text: str) -> Resolution:
    """Of `64` or `48x64`, height first.

    Raises:
        ValueError: it is neither, or a side is below 1.
    """
    numbers = text.lower().replace("×", "x").split("x")
    if len(numbers) > 2 or not all(n.isdecimal() and int(n) > 0 for n in numbers):
        raise ValueError(f"is a side in pixels, or height and width as 48x64, not {text}")
    return resolution_of(int(numbers[0]), int(numbers[-1]))


def as_text(resolution: Resolution) -> int | str:
    """As configurations have it: 64, or `48x64`."""
    return resolution if isinstance(resolution, int) else "x".join(map(str, resolution))


def in_words(resolution: Resolution) -> str:
    """As `48×64`, height first."""
    return "×".join(map(str, sides(resolution)))


class Growth(NamedTuple):
    """How an image grows out of a small grid, or shrinks to it."""

    start: tuple[int, int]
    """Height and width of the grid, the shorter side from 4 to 7."""
    doublings: int
    """How often both sides double."""


def growth(resolution: Resolution) -> Growth | None:
    """From 4×4 to 64×64 in 4 doublings, from 6×8 to 48×64 in 3; None if there is no such grid, or
    the image is not larger than it."""
    height, width = sides(resolution)
    shorter = min(height, width)
    doublings = (max(shorter, 1) // _LEAST).bit_length() - 1
    step = 2 ** max(doublings, 0)
    if doublings < 1 or height % step or width % step:
        return None
    return Growth((height // step, width // step), doublings)


def nearest(resolution: Resolution, doublings: range) -> list[Resolution]:
    """The resolutions next to this one, in so many doublings: at most one that is not larger and
    one that is not smaller, the nearer one first."""
    height, width = sides(resolution)
    shorter, longer = min(height, width), max(height, width)
    found = {}
    for n in doublings:
        step = 2**n
        for start in range(_LEAST, _MOST + 1):
            side = start * step
            other = step * max(start, round(longer / shorter * start))
            found[side] = (side, other) if height <= width else (other, side)
    below = max((s for s in found if s <= shorter), default=None)
    above = min((s for s in found if s >= shorter), default=None)
    order = sorted({s for s in (below, above) if s is not None}, key=lambda s: _ratio(s, shorter))
    return [resolution_of(*found[side]) for side in order]


def _ratio(a: int, b: int) -> float:
    return max(a, b) / min(a, b)
