"""Images in a terminal, two pixels in every character."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from rich.console import Console
from rich.text import Text

_HALF = "▀"
_ROWS = 20
"""Of characters, at most: what is said beside an image stays in sight."""
_MARGIN = 2
"""Rows of a terminal that are left for a bar of progress and the cursor."""


def can_show(console: Console) -> bool:
    """Whether a terminal has the colors and the character for it."""
    if not console.is_terminal or console.is_dumb_terminal:
        return False
    return console.color_system in ("truecolor", "256") and console.encoding.startswith("utf")


def blocks(image: UInt8[np.ndarray, "h w c"], console: Console, *, cut: bool) -> Text:
    """An image, as large as fits. If it may be `cut`, it fills the width, and goes on below what is
    shown: as a sheet of images may, whose rows are alike."""
    columns, rows = console.size
    width, height = columns, 2 * max(1, min(_ROWS, rows - _MARGIN))
    whole = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGBA")
    shown = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    scale = width / shown.width if cut else min(width / shown.width, height / shown.height)
    size = max(1, int(shown.width * scale)), max(2, int(shown.height * scale))
    pixels = np.asarray(shown.resize(size, Image.Resampling.BOX))[:height]
    pixels = pixels[: len(pixels) // 2 * 2]
    text = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        text.append("\n" * bool(text))
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            text.append(_HALF, "#{:02x}{:02x}{:02x} on #{:02x}{:02x}{:02x}".format(*above, *below))
    return text
