"""The command line: `experiments/*.py`, and `gan-jax` for what comes after."""

import contextlib
import dataclasses
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import jax
import numpy as np
import tyro

from gan_jax import build, compilation, figures, loop, start
from gan_jax.config import Config, to_json
from gan_jax.data import load
from gan_jax.errors import DivergedError, InputError
from gan_jax.runs import Run


@dataclasses.dataclass(frozen=True)
class Launch:
    """Where and how to run; none of it changes what is trained."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    out: Path | None = None
    """Directory of the run, by default runs/NAME. If it holds this run already, go on with it."""
    fork: Path | None = None
    """Start a new run in this directory, from the latest checkpoint in --out."""
    data_dir: str | None = None
    """Where TFDS datasets are prepared, by default $TFDS_DATA_DIR or ~/tensorflow_datasets."""
    skip_bad_images: bool = False
    """Leave out images that cannot be decoded, and count them."""
    profile: bool = False
    """Trace ten iterations into RUN/profile, for Perfetto or TensorBoard."""
    dry_run: bool = False
    """Print the resolved configuration and the sizes of both networks, and exit."""
    distributed: str | None = None
    """Join several processes: HOST:PORT of the first, or auto (TPU pods, Slurm, Open MPI, …)."""
    processes: int | None = None
    """How many processes there are, with HOST:PORT."""
    process_id: int | None = None
    """Which of them this is, from 0, with HOST:PORT."""


def experiment(config: Config, description: str) -> None:
    """The whole of an experiment file: flags over `config`, then training.

    Exits with status 2 where the input has to change, 1 where training diverged, and 130 after an
    interruption.
    """
    with _errors_in_one_line():
        launch = tyro.cli(Launch, default=Launch(config), description=description)
        if launch.dry_run:
            _dry_run(launch)
            return
        _join_processes(launch)
        compilation.keep_compiled()
        directory = launch.fork or launch.out or Path("runs") / launch.config.name
        try:
            result = loop.train(
                launch.config,
                out=launch.out,
                fork=launch.fork,
                data_dir=launch.data_dir,
                skip_bad_images=launch.skip_bad_images,
                profile=launch.profile,
            )
        except KeyboardInterrupt:
            if any(directory.glob("checkpoints/[0-9]*")):
                print(f"stopped; {directory} has a checkpoint: the same command goes on from there")
            else:
                print("stopped before the first checkpoint: the same command starts afresh")
            sys.exit(130)
        if jax.process_index() == 0:
            _say_what_next(result.directory, launch)


def _say_what_next(directory: Path, launch: Launch) -> None:
    config = launch.config
    last = max((directory / "samples").glob("*.png"), default=None)
    tool = _command("gan-jax")
    conditional = " --label 0" if config.objective.conditional else ""
    profile = ""
    traces = sorted((directory / "profile").rglob("perfetto_trace.json.gz"))
    if launch.profile and traces:  # a run that was done already has none
        profile = f"\n  profile           open {traces[-1]} at https://ui.perfetto.dev"
    print(f"""
done: {directory}
  samples           {last}
  curves            {directory / "metrics.jsonl"} (and TensorBoard events beside it){profile}
what next:
  more samples      {tool} sample {directory} --n 64 --seed 1{conditional} --out more.png
  between samples   {tool} interpolate {directory} --out between.png
  train longer      the same command with --iterations {2 * config.iterations}""")


def _command(name: str) -> str:
    """How to call a program that was installed beside this Python."""
    beside = Path(sys.executable).parent / name
    if shutil.which(name) or not beside.exists():
        return name
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def _dry_run(launch: Launch) -> None:
    config = launch.config
    config.validate()
    start.check_devices(config)
    data = load(
        config.data,
        seed=config.seed,
        conditional=config.objective.conditional,
        data_dir=launch.data_dir,
        skip_bad_images=launch.skip_bad_images,
        budget_bytes=0,
    ).description
    start.check_data(config, data)
    d, g = jax.eval_shape(lambda: build.states(config, data))
    print(to_json(config), end="")
    shape = "×".join(map(str, data.shape))
    print(f"data: {data.examples:,} examples of {shape}, {data.num_classes or 'no'} classes")
    for name, state in (("generator", g), ("discriminator", d)):
        size = sum(math.prod(x.shape) for x in jax.tree.leaves(state.params))
        print(f"{name}: {size:,} parameters")


def _join_processes(launch: Launch) -> None:
    if launch.distributed is None:
        if launch.processes is not None or launch.process_id is not None:
            raise InputError("--processes and --process-id need --distributed HOST:PORT")
        return
    try:
        if launch.distributed == "auto":
            jax.distributed.initialize()
        else:
            if launch.processes is None or launch.process_id is None:
                raise InputError(
                    "--distributed HOST:PORT needs --processes and --process-id (or say auto)"
                )
            jax.distributed.initialize(launch.distributed, launch.processes, launch.process_id)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"cannot join the other processes: {error}") from error


@contextlib.contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except DivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


# ---- gan-jax ----

app = tyro.extras.SubcommandApp()

RunArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@app.command
def sample(
    run: RunArgument,
    n: int = 64,
    seed: int = 0,
    label: int | None = None,
    checkpoint: int | None = None,
    out: Path | None = None,
    format: Literal["png", "npz", "folder"] | None = None,
) -> None:
    """Generate samples from a trained run.

    Args:
        run: Directory of the run.
        n: How many.
        seed: Which ones: the same seed gives the same samples.
        label: Class of all of them, for a conditional model. By default all classes in turn.
        checkpoint: Iteration of the checkpoint to use, by default the latest.
        out: Where to write: a PNG file with all of them side by side, an .npz file with the arrays
            `images` (or `points`) and `labels`, or a folder of one PNG each. Default: samples.png.
        format: png, npz or folder, if the name does not tell.
    """
    suffixes = {".png": "png", ".npz": "npz", "": "folder"}
    kind = format or ("png" if out is None else suffixes.get(out.suffix))
    if kind is None:
        raise InputError(f"cannot tell a format from {out}: give --format png, npz or folder")
    out = out or Path("samples" + {"png": ".png", "npz": ".npz", "folder": ""}[kind])
    if n < 1:
        raise InputError(f"--n is at least 1, not {n}")
    opened = _open(run)
    samples = opened.sample(n, seed, label, checkpoint)
    labels = opened.labels(n, label)
    with _writing(out):
        if kind == "npz":
            name = "images" if samples.ndim == 4 else "points"
            arrays = {name: figures.to_uint8(samples) if samples.ndim == 4 else samples}
            with out.open("wb") as file:
                np.savez(file, **arrays, **({} if labels is None else {"labels": labels}))
        elif samples.ndim != 4:
            if kind == "folder":
                raise InputError("a folder is for pictures; points can be written as npz or png")
            figures.save(figures.scatter(samples), out)
        elif kind == "png":
            square = math.isqrt(n - 1) + 1
            classes = opened.data.num_classes if labels is not None and label is None else 0
            figures.save(figures.sheet(samples, classes if 0 < classes <= 16 else square), out)
        else:
            for i, picture in enumerate(figures.to_uint8(samples)):
                inside = out if labels is None else out / str(labels[i])
                figures.save(picture, inside / f"{i:06}.png")
    print(f"{n} samples: {out}")


@app.command
def interpolate(
    run: RunArgument,
    paths: int = 8,
    steps: int = 10,
    seed: int = 0,
    label: int | None = None,
    checkpoint: int | None = None,
    out: Path = Path("interpolation.png"),
) -> None:
    """Walk between random samples of a trained run, one walk a row.

    Args:
        run: Directory of the run.
        paths: How many walks.
        steps: Samples on each, both ends included.
        seed: Which ones.
        label: Class of all of them, for a conditional model. By default all classes in turn.
        checkpoint: Iteration of the checkpoint to use, by default the latest.
        out: The PNG file to write.
    """
    if paths < 1 or steps < 2:
        raise InputError("an interpolation takes at least 1 path of 2 steps")
    walks = _open(run).interpolate(paths, steps, seed, label, checkpoint)
    flat = walks.reshape(paths * steps, *walks.shape[2:])
    with _writing(out):
        array = figures.sheet(flat, steps) if flat.ndim == 4 else figures.scatter(flat)
        figures.save(array, out)
    print(f"{paths} walks of {steps} samples: {out}")


def _open(directory: Path) -> Run:
    """A run to be sampled. What is compiled for it is kept."""
    run = Run.open(directory)
    compilation.keep_compiled()
    return run


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror or error}") from error


def main() -> None:
    """Entry point of `gan-jax`."""
    with _errors_in_one_line():
        app.cli(
            prog="gan-jax",
            description="What to do with a trained GAN. Runs are made by experiments/*.py.",
        )
