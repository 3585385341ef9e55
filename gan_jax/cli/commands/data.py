"""`gan-jax data check`."""

import shlex
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax import figures
from gan_jax.cli.running import writing
from gan_jax.data import look
from gan_jax.data.checking import check as check_folder
from gan_jax.data.checking import shown
from gan_jax.errors import InputError
from gan_jax.tasks.generation.choice import choose

SHOWN = 64

COMMAND = tyro.extras.SubcommandApp()
HELP = "Images to train on."


@COMMAND.command
def check(
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")],
    out: Path = Path("data-check.png"),
) -> None:
    """Look at every image in a folder: formats, sizes, colors, classes, copies, and what cannot be
    read and why; and draw 64 of them as the networks will see them.

    Args:
        folder: Where the images are, at any depth.
        out: The PNG file to draw them in.
    """
    import jax

    folder = folder.expanduser()
    findings = check_folder(folder)
    print("\n".join(findings.lines()))
    if not findings.good:
        raise InputError("none of the images can be read")
    choice = choose(
        f"folder:{folder}",
        look(f"folder:{folder}"),
        accelerator=jax.default_backend() != "cpu",
    )
    some = shown(findings.good, choice.config.data.form, SHOWN)
    with writing(out):
        figures.save(figures.sheet(some / 127.5 - 1, 8), out)
    height, width = some.shape[1:3]
    print(f"as networks would see {len(some)} of them, at {height}×{width} pixels: {out}")
    skip = "" if len(findings.good) == len(findings.files) else " --skip-bad-images"
    print(f"to train on them: gan-jax train {shlex.quote(f'folder:{folder}')}{skip}")
