"""`gan-jax interpolate`."""

from pathlib import Path

from gan_jax import figures
from gan_jax.cli.running import (
    Checkpoint,
    Condition,
    RunArgument,
    iteration_of,
    numbers_of,
    open_run,
    writing,
)
from gan_jax.errors import InputError


def interpolate(
    run: RunArgument,
    paths: int = 8,
    steps: int = 10,
    seed: int = 0,
    label: str | None = None,
    condition: Condition = (),
    vary: str | None = None,
    checkpoint: Checkpoint = "latest",
    out: Path | None = None,
) -> None:
    """Walk between random samples of a trained run, one walk a row.

    Args:
        run: Directory of the run.
        paths: How many walks.
        steps: Samples on each, both ends included.
        seed: Which ones.
        label: Class of all of them, by its name or number, for a model that is told classes. By
            default all, one by one.
        condition: Numbers of all of them, for a model that is told such, as age=30 smile=1. All
            others are those of real examples.
        vary: One of these numbers, by name: each row is one sample, as this number grows over the
            values that nine of ten real examples have.
        checkpoint: Its iteration, or latest, or best.
        out: The PNG file to write. Default: interpolation.png in the run's directory.
    """
    if paths < 1 or steps < 2:
        raise InputError("an interpolation takes at least 1 path of 2 steps")
    opened = open_run(run, "interpolate")
    told, iteration = numbers_of(condition), iteration_of(opened, checkpoint)
    walks = opened.interpolate(paths, steps, seed, label, iteration, told, vary)
    flat = walks.reshape(paths * steps, *walks.shape[2:])
    out = out or run / "interpolation.png"
    with writing(out):
        array = figures.sheet(flat, steps) if flat.ndim == 4 else figures.scatter(flat)
        figures.save(array, out)
    print(f"{paths} walks of {steps} samples: {out}")


COMMAND = interpolate
