"""`gan-jax`: training, and what to do with a trained GAN."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.cli.flags import FLAGS
from gan_jax.cli.launch import Launch, launch
from gan_jax.cli.terminal import errors_in_one_line
from gan_jax.config import Config, from_json
from gan_jax.data import look, sources
from gan_jax.discovery import modules
from gan_jax.errors import InputError
from gan_jax.runs import Run
from gan_jax.runs.run import exists
from gan_jax.tasks.generation.choice import choose

MINUTES = 10
"""That a run takes if nobody says how long."""


def train(
    what: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA|CONFIG.json|RUN")],
) -> None:
    """Train on your images or points, from a configuration, or a new run from another one's.

    `gan-jax train folder:PATH` looks at the images, chooses how to train on them, says why, and
    does it. Followed by flags as in experiments, over what was chosen or configured: `gan-jax train
    folder:PATH --help` names them. `--minutes` is how long, `--out` where it goes.
    """


def _train(arguments: Sequence[str]) -> None:
    what, *flags = arguments
    prog = f"gan-jax train {what}"
    if what.partition(":")[0] in sources.KINDS:
        chosen, minutes = _chosen(what, flags)
        description = f"Train on {what}, with these flags over what was chosen for it."
        launch(Launch(chosen, minutes=minutes), flags, description, prog=prog)
    else:
        config = _configuration(Path(what))
        launch(Launch(config), flags, f"Train from {what}, with these flags over it.", prog=prog)


def _chosen(source: str, flags: Sequence[str]) -> tuple[Config, float | None]:
    """A configuration for these data, after it is said; and how many minutes to train, if the flags
    do not say how long."""
    import jax

    given = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    given.add_argument("--data-dir")
    given.add_argument("--data.conditions", dest="conditions", nargs="*", default=[])
    known, _ = given.parse_known_args(flags)
    looks = look(source, data_dir=known.data_dir, conditions=known.conditions)
    choice = choose(source, looks, accelerator=jax.default_backend() != "cpu")
    what = "images" if looks.sizes else "points"
    print(f"{looks.examples:,} {what} in {source}; to train on them, these were chosen:")
    for reason in choice.reasons:
        print(f"  {reason.what}: {reason.why} ({reason.flags})")
    for warning in choice.warnings:
        print(f"warning: {warning}")
    lengths = ("--iterations", "--images", "--minutes")
    if any(flag.split("=")[0] in lengths for flag in flags):
        return choice.config, None
    print(f"  {MINUTES} minutes: something to look at soon ({', '.join(lengths)})")
    return choice.config, MINUTES


def _configuration(path: Path) -> Config:
    """Of a file, or of a run.

    Raises:
        InputError: there is none.
    """
    if path.is_dir() and exists(path):
        return Run.open(path).config
    try:
        return from_json(Config, path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path} is neither a configuration nor a run") from error
    except ValueError as error:
        raise InputError(f"{path} is no configuration: {error}") from error


def _app() -> tyro.extras.SubcommandApp:
    app = tyro.extras.SubcommandApp()
    app.command(train)
    for module in modules("gan_jax.cli.commands"):
        name = module.__name__.rpartition(".")[2]
        app.command(module.COMMAND, name=name, help=getattr(module, "HELP", None))
    return app


def main() -> None:
    """Entry point of `gan-jax`."""
    arguments = sys.argv[1:]
    with errors_in_one_line(), FLAGS:
        if len(arguments) > 1 and arguments[0] == "train" and not arguments[1].startswith("-"):
            _train(arguments[1:])
        else:
            _app().cli(prog="gan-jax", description="Train GANs, and use what they have learned.")
