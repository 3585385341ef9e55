"""A small folder of pictures with classes, the same ones everywhere.

The golden case `streamed` reads `folder:pictures`, relative to the directory that it runs in, since
only data that are read from files can stream.
"""

from pathlib import Path

import numpy as np
from PIL import Image

COUNT, CLASSES, SIDE = 40, 3, 8


def write_pictures(directory: Path) -> None:
    """Makes the folder `pictures` in `directory`, with a subfolder for each class."""
    row, column = np.indices((SIDE, SIDE))
    for i in range(COUNT):
        path = directory / "pictures" / str(i % CLASSES) / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = (row * (7 + i) + column * (11 + 3 * i) + 37 * i) % 256
        Image.fromarray(values.astype(np.uint8)).save(path)
