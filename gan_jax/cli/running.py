"""What commands about a run have in common."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gan_jax import compilation, paths
from gan_jax.errors import InputError
from gan_jax.runs import Run

Checkpoint = int | Literal["latest", "best"]
Condition = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")]
RunArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


def open_run(directory: Path, command: str) -> Run:
    """A run for a command. What is compiled for it is kept.

    Raises:
        InputError: there is none, or the command is not for what it learns.
    """
    run = Run.open(directory)
    if command not in run.task.commands:
        able = ", ".join(sorted(run.task.commands))
        raise InputError(
            f"{directory} learns {run.config.kind}, which has no {command}: only {able}"
        )
    compilation.keep_compiled(paths.cache_root() / "compiled")
    return run


def iteration_of(run: Run, checkpoint: Checkpoint) -> int | None:
    """Of a checkpoint; None is the latest.

    Raises:
        InputError: there is no best checkpoint.
    """
    if checkpoint == "latest":
        return None
    if checkpoint != "best":
        return checkpoint
    best = run.best()
    if best is None:
        raise InputError(
            f"{run.directory} has no best checkpoint: it was not evaluated while it trained"
        )
    return best.iteration


def numbers_of(condition: Condition) -> dict[str, float]:
    """By name.

    Raises:
        InputError: one is not a name and a number, or a name comes twice.
    """
    numbers = {}
    for text in condition:
        name, _, value = text.rpartition("=")
        if name in numbers:
            raise InputError(f"--condition sets {name} twice")
        try:
            numbers[name] = float(value)
        except ValueError:
            name = ""
        if not name:
            raise InputError(f"--condition takes names and numbers, as age=30, not {text!r}")
    return numbers


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Makes the folder of a file that is written meanwhile.

    Raises:
        InputError: it cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror or error}") from error
