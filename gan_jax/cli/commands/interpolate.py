"""`gan-jax interpolate`."""

from pathlib import Path

from gan_jax import figures
from gan_jax.cli.running import Checkpoint, RunArgument, iteration_of, open_run, writing
from gan_jax.errors import InputError


def interpolate(
    run: RunArgument,
    paths: int = 8,
    steps: int = 10,
    seed: int = 0,
    label: str | None = None,
    checkpoint: Checkpoint = "latest",
    out: Path | None = None,
) -> None:
    """Walk between random samples of a trained run, one walk a row.

    Args:
        run: Directory of the run.
        paths: How many walks.
        steps: Samples on each, both ends included.
        seed: Which ones.
        label: Class of all of them, by its name or number, for a conditional model. By default
            all, one by one.
        checkpoint: Its iteration, or latest, or best.
        out: The PNG file to write. Default: interpolation.png in the run's directory.
    """
    if paths < 1 or steps < 2:
        raise InputError("an interpolation takes at least 1 path of 2 steps")
    opened = open_run(run, "interpolate")
    walks = opened.interpolate(paths, steps, seed, label, iteration_of(opened, checkpoint))
    flat = walks.reshape(paths * steps, *walks.shape[2:])
    out = out or run / "interpolation.png"
    with writing(out):
        array = figures.sheet(flat, steps) if flat.ndim == 4 else figures.scatter(flat)
        figures.save(array, out)
    print(f"{paths} walks of {steps} samples: {out}")


COMMAND = interpolate
