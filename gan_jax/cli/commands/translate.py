"""`gan-jax translate`."""

from pathlib import Path

from gan_jax.cli.converting import ImagesArgument, convert_files
from gan_jax.cli.running import Checkpoint, RunArgument, iteration_of, open_run


def translate(
    run: RunArgument,
    images: ImagesArgument,
    direction: str | None = None,
    checkpoint: Checkpoint = "latest",
    tile: int | None = None,
    overlap: int = 32,
    out: Path = Path("translated"),
) -> None:
    """Translate images by a trained run: summer into winter, say.

    Images may have any size and shape; opacity is kept, and folders keep their names and
    subfolders.

    Args:
        run: Directory of the run.
        images: An image file, or a folder of them.
        direction: a2b or b2a, of a run between two domains: into images of b, or of a.
        checkpoint: Its iteration, or latest, or best.
        tile: Translate tile by tile, with tiles of so many pixels a side. By default only images of
            more than a million pixels, in tiles of 512.
        overlap: Pixels that tiles have in common.
        out: Where to write: the file, or a folder.
    """
    opened = open_run(run, "translate")
    converter = opened.converter(direction, iteration_of(opened, checkpoint))
    convert_files(images, out, converter, tile=tile, overlap=overlap)


COMMAND = translate
