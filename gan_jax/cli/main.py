"""`gan-jax`: training, and what to do with a trained GAN."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.cli.flags import FLAGS
from gan_jax.cli.launch import Launch, errors_in_one_line, launch
from gan_jax.config import Config, from_json
from gan_jax.discovery import modules
from gan_jax.errors import InputError
from gan_jax.runs import Run
from gan_jax.runs.run import exists


def train(
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CONFIG.json|RUN")],
) -> None:
    """Train from a configuration, or a new run from another one's.

    Followed by flags as in experiments, over that configuration: `gan-jax train RUN --help` names
    them. `--out` is where it goes.
    """


def _train(arguments: Sequence[str]) -> None:
    source, *flags = arguments
    config = _configuration(Path(source))
    description = f"Train from {source}, with these flags over it."
    launch(Launch(config), flags, description, prog=f"gan-jax train {source}")


def _configuration(path: Path) -> Config:
    """Of a file, or of a run.

    Raises:
        InputError: there is none.
    """
    if path.is_dir() and exists(path):
        return Run.open(path).config
    try:
        return from_json(Config, path.read_text())
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
