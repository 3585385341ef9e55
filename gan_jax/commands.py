"""`gan-jax`: what to do with a trained GAN."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from gan_jax import compilation, figures
from gan_jax.cli import FLAGS, errors_in_one_line
from gan_jax.config import Data
from gan_jax.data import Source, load
from gan_jax.data.held_out import hold_out
from gan_jax.data.sources import check_splits
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors.kinds import kinds, make_extractor
from gan_jax.evaluation.metric import metrics as all_metrics
from gan_jax.runs import Run

MetricName = Literal[tuple(all_metrics())]
ExtractorName = Literal[tuple(kinds())]

app = tyro.extras.SubcommandApp()

Checkpoint = int | Literal["latest", "best"]
RunArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@app.command
def sample(
    run: RunArgument,
    n: int = 64,
    seed: int = 0,
    label: int | None = None,
    checkpoint: Checkpoint = "latest",
    truncation: float | None = None,
    out: Path | None = None,
    format: Literal["png", "npz", "folder"] | None = None,
) -> None:
    """Generate samples from a trained run.

    Args:
        run: Directory of the run.
        n: How many.
        seed: Which ones: the same seed gives the same samples.
        label: Class of all of them, for a conditional model. By default all classes in turn.
        checkpoint: Its iteration, or latest, or best.
        truncation: Of a StyleGAN2's styles: from 1, none, to 0, all alike; between them, less
            variety of higher quality.
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
    samples = opened.sample(n, seed, label, _iteration(opened, checkpoint), truncation)
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
            classes = len(opened.classes or ()) if label is None else 0
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
    checkpoint: Checkpoint = "latest",
    out: Path = Path("interpolation.png"),
) -> None:
    """Walk between random samples of a trained run, one walk a row.

    Args:
        run: Directory of the run.
        paths: How many walks.
        steps: Samples on each, both ends included.
        seed: Which ones.
        label: Class of all of them, for a conditional model. By default all classes in turn.
        checkpoint: Its iteration, or latest, or best.
        out: The PNG file to write.
    """
    if paths < 1 or steps < 2:
        raise InputError("an interpolation takes at least 1 path of 2 steps")
    opened = _open(run)
    walks = opened.interpolate(paths, steps, seed, label, _iteration(opened, checkpoint))
    flat = walks.reshape(paths * steps, *walks.shape[2:])
    with _writing(out):
        array = figures.sheet(flat, steps) if flat.ndim == 4 else figures.scatter(flat)
        figures.save(array, out)
    print(f"{paths} walks of {steps} samples: {out}")


@app.command
def evaluate(
    run: RunArgument,
    metrics: Annotated[
        tuple[MetricName, ...],
        tyro.conf.arg(
            help=", ".join(f"{m.name}: {m.help}" for m in all_metrics().values())
            + ". By default those of the run."
        ),
    ] = (),
    checkpoint: Checkpoint = "latest",
    n: int = 10_000,
    extractor: Annotated[
        ExtractorName | None,
        tyro.conf.arg(
            help="What makes features of images: "
            + ", ".join(f"{kind.name} ({kind.help})" for kind in kinds().values())
            + ". By default that of the run."
        ),
    ] = None,
    weights: Path | None = None,
    split: str | None = None,
    data_dir: str | None = None,
) -> None:
    """Score samples of a trained run against real examples.

    Every score is printed with its conventions: extractor, split, numbers of real and generated
    examples. Scores compare only where these are the same.

    Args:
        run: Directory of the run.
        checkpoint: Its iteration, or latest, or best.
        n: How many samples.
        weights: A file of Inception's weights, instead of a download.
        split: Of a TFDS dataset, the split to compare with. By default what the run trained on.
        data_dir: Where TFDS datasets are prepared.
    """
    if n < 2:
        raise InputError(f"--n is at least 2, not {n}")
    from gan_jax.evaluation import of_run

    opened = _open(run)
    config, settings = opened.config, opened.config.evaluation
    _, g = opened.states(_iteration(opened, checkpoint))
    trained_on = _real(opened, None, data_dir)
    evaluator = of_run.evaluator(
        config,
        trained_on if split is None else _real(opened, split, data_dir),
        metrics or settings.metrics,
        extractor=make_extractor(
            extractor or ("inception" if weights else settings.extractor),
            trained_on,
            dataset=config.data.source,
            weights=weights,
        ),
        split=split or config.data.split,
        samples=n,
    )
    for score in evaluator(g):
        print(score)


def _real(run: Run, split: str | None, data_dir: str | None) -> Source:
    """The real examples that a run trained on, or those of a split."""
    data, conditional = run.config.data, run.config.objective.conditional
    if split is not None:
        check_splits(data.source)
        data = dataclasses.replace(data, split=split)
    source = load(data, seed=run.config.seed, conditional=conditional, data_dir=data_dir)
    return source if split is not None else hold_out(source, data.held_out)[0]


@app.command
def report(
    runs: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN", help_behavior_hint="(one at least)"),
    ],
    out: Path | None = None,
    data_dir: str | None = None,
) -> None:
    """Write one HTML page about a run, or a comparison of several.

    Args:
        runs: Directories of the runs.
        out: The file to write. Default: report.html in the run's directory, or, of several runs,
            in the current one.
        data_dir: Where TFDS datasets are prepared.
    """
    from gan_jax import report as pages

    if not runs:
        raise InputError("a report takes one run at least")
    out = out or (runs[0] if len(runs) == 1 else Path()) / "report.html"
    opened = [_open(run) for run in runs]
    with _writing(out):
        pages.write(opened, out, data_dir=data_dir)
    print(f"report: {out}")


_DIGITS = Data()

features = tyro.extras.SubcommandApp()
app.command(features, name="features", help="Feature extractors that scores are made with.")


@features.command
def train(
    data: Annotated[Data, tyro.conf.arg(name="data")] = _DIGITS,
    data_dir: str | None = None,
) -> None:
    """Train a small classifier on labelled pictures, for its features, and say how good it is.

    It is kept in the user's cache, and used wherever these data are scored with the extractor
    classifier.

    Args:
        data: What the pictures are.
        data_dir: Where TFDS datasets are prepared.
    """
    from gan_jax.evaluation.extractors import classifier

    compilation.keep_compiled()
    source = load(data, conditional=True, labels_for="a classifier", data_dir=data_dir)
    source = hold_out(source, data.held_out)[0]
    _, accuracy = classifier.for_source(source)
    print(
        f"{data.source}: {accuracy:.2%} of {classifier.tested(source):,} pictures that it was not "
        "trained on"
    )


def _iteration(run: Run, checkpoint: Checkpoint) -> int | None:
    """Of a checkpoint; None is the latest."""
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
    with errors_in_one_line(), FLAGS:
        app.cli(
            prog="gan-jax",
            description="What to do with a trained GAN. Runs are made by experiments/*.py.",
        )
