"""What the commands have in common that make images of images."""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.progress import Progress

from gan_jax.cli.running import writing
from gan_jax.data.images import BadImageError
from gan_jax.errors import InputError
from gan_jax.inference import files
from gan_jax.inference.converter import Converter

ImagesArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE_OR_FOLDER")]


def convert_files(
    images: Path, out: Path, converter: Converter, *, tile: int | None, overlap: int
) -> None:
    """Makes images of an image or of all in a folder, with a bar of progress. What cannot be read
    in a folder is named and left out. Tiles are those of the converter.

    Raises:
        InputError: there is nothing to read, nothing can be, or it cannot be written.
    """
    pairs = files.destinations(images, out)
    skipped = []
    console = Console()
    # Where it cannot be redrawn, it would leave an empty line.
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("images", total=len(pairs))
        for done, (file, result) in enumerate(pairs):
            try:
                image = files.read(file)
            except BadImageError as error:
                if len(pairs) == 1:
                    raise
                bars.print(f"skipped: {error}", markup=False)
                skipped.append(file)
                continue

            def progress(tile: int, of: int, done: int = done) -> None:
                bars.update(bar, completed=done + tile / of)

            made = converter.convert(image, tile=tile, overlap=overlap, progress=progress)
            if not np.isfinite(made.color).all():
                raise InputError(f"what the network makes of {file} is not finite")
            with writing(result):
                files.write(made, result)
            bars.update(bar, completed=done + 1)
    made_of = len(pairs) - len(skipped)
    if not made_of:
        raise InputError(f"none of the images in {images} can be read")
    where = out if len(pairs) > 1 else pairs[0][1]
    left = f", {len(skipped)} left out" if skipped else ""
    print(f"{made_of} image{'s' * (made_of != 1)}: {where}{left}")
