"""`gan-jax evaluate`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.cli.running import Checkpoint, RunArgument, iteration_of, open_run
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors.kinds import kinds
from gan_jax.evaluation.metric import metrics as all_metrics
from gan_jax.training.plan import load

_METRICS = ", ".join(f"{name} ({metric.help})" for name, metric in all_metrics().items())
_EXTRACTORS = ", ".join(f"{name} ({kind.help})" for name, kind in kinds().items())

Metrics = Annotated[tuple[str, ...], tyro.conf.arg(help=f"{_METRICS}. By default the run's.")]
ExtractorName = Annotated[
    str | None,
    tyro.conf.arg(
        help=f"What makes features of images: {_EXTRACTORS}. By default that of the run."
    ),
]


def evaluate(
    run: RunArgument,
    metrics: Metrics = (),
    checkpoint: Checkpoint = "latest",
    n: int = 10_000,
    extractor: ExtractorName = None,
    weights: Path | None = None,
    split: str | None = None,
    data_dir: str | None = None,
    skip_bad_images: bool = False,
) -> None:
    """Score what a trained run makes against real examples.

    Every score is printed with its conventions: extractor, split, numbers of real and generated
    examples. Scores compare only where these are the same.

    Args:
        run: Directory of the run.
        checkpoint: Its iteration, or latest, or best.
        n: How many samples, or at most, how many translations.
        weights: A file of the extractor's weights, Inception's by default, instead of those
            published.
        split: The part of the data to compare with, and to translate if that is what it does: test,
            say. By default what the run trained on.
        data_dir: Where TFDS datasets are prepared.
        skip_bad_images: Leave out images that cannot be decoded, if the run was begun so.
    """
    if n < 2:
        raise InputError(f"--n is at least 2, not {n}")
    opened = open_run(run, "evaluate")
    config = opened.config
    settings = dataclasses.replace(
        config.evaluation,
        metrics=metrics or config.evaluation.metrics,
        extractor=extractor or ("inception" if weights else config.evaluation.extractor),
        samples=n,
    )
    evaluator = opened.task.evaluator(
        load(config, data_dir, skip_bad_images),
        settings,
        split=split,
        data_dir=data_dir,
        weights=weights,
    )
    _, g = opened.states(iteration_of(opened, checkpoint))
    for score in evaluator(g):
        print(score)


COMMAND = evaluate
