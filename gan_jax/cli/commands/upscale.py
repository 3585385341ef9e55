"""`gan-jax upscale`."""

from pathlib import Path

from gan_jax.cli.converting import ImagesArgument, convert_files
from gan_jax.cli.running import Checkpoint, RunArgument, iteration_of, open_run


def upscale(
    run: RunArgument,
    images: ImagesArgument,
    checkpoint: Checkpoint = "latest",
    tile: int | None = None,
    overlap: int = 32,
    out: Path = Path("upscaled"),
) -> None:
    """Enlarge images by a trained run, as many times as it has learned.

    Images may have any size and shape; opacity and 16 bits are kept, and folders keep their names
    and subfolders.

    Args:
        run: Directory of the run.
        images: An image file, or a folder of them.
        checkpoint: Its iteration, or latest, or best.
        tile: Enlarge tile by tile, with tiles of so many pixels a side. By default only images of
            more than a million pixels, in tiles of 512.
        overlap: Pixels that tiles have in common.
        out: Where to write: the file, or a folder.
    """
    opened = open_run(run, "upscale")
    converter = opened.converter(iteration=iteration_of(opened, checkpoint))
    convert_files(images, out, converter, tile=tile, overlap=overlap)


COMMAND = upscale
