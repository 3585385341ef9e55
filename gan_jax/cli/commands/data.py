"""`gan-jax data check`."""

import shlex
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax import figures
from gan_jax.cli.running import writing
from gan_jax.data import BadImageError, look, sources
from gan_jax.data import pack as pack_source
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


@COMMAND.command
def pack(
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER|SOURCE")],
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")],
    skip_bad_images: bool = False,
    data_dir: str | None = None,
) -> None:
    """Pack images into a few large files, for --data.source records:OUT. They read as the folder
    does: a run starts sooner, and streams faster where files are slow to open.

    Image files are kept byte for byte, with their labels and splits; what can be chosen of a folder
    (resolution, fit, background) still can. The images of other sources become PNG files.

    Args:
        data: A folder, at any depth of which the images are; or a source, as npz:PATH.
        out: A new folder.
        skip_bad_images: Leave out images that cannot be decoded, and count them.
        data_dir: Where TFDS datasets are prepared.
    """
    source = data if data.partition(":")[0] in sources.KINDS else f"folder:{data}"
    out = out.expanduser()
    try:
        with writing(out):
            packed = pack_source(source, out, data_dir=data_dir, skip_bad_images=skip_bad_images)
    except BadImageError as error:
        raise InputError(f"{error}; --skip-bad-images leaves such files out") from error
    mib = sum(packed.sizes) / 2**20
    files = "one file" if len(packed.shards) == 1 else f"{len(packed.shards):,} files"
    print(f"{len(packed.names):,} images, {mib:,.1f} MiB, in {files}: {out}")
    if packed.left_out:
        print(f"left out: {packed.left_out:,} that cannot be read")
    print(f"to train on them: gan-jax train {shlex.quote(f'records:{out}')}")
