"""Recipes on images, every one at the same budget; and what all tables of images have in common."""

import dataclasses
from collections.abc import Sequence

from evidence.record import Record, table
from experiments import biggan, dcgan, r3gan, sngan, stylegan2
from gan_jax import figures
from gan_jax.data import load
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.extractors.kinds import make_extractor
from gan_jax.runs import logs
from gan_jax.runs.run import Run
from gan_jax.state import TrainState
from gan_jax.tasks.generation import Config
from gan_jax.training.train import train

RECIPES = {
    "DCGAN": dcgan.CONFIGS,
    "SNGAN": sngan.CONFIGS,
    "BigGAN": biggan.CONFIGS,
    "StyleGAN2": stylegan2.CONFIGS,
    "R3GAN": r3gan.CONFIGS,
}
METRICS = ("fid", "kid", "precision_recall")
SAMPLES = 10_000
PUBLISHED = {
    "DCGAN": "48",
    "SNGAN": "9–17",
    "BigGAN": "4.2",
    "StyleGAN2": "2.3–2.4",
    "R3GAN": "1.96",
}


def reproduce_recipes(dataset: str, record: Record) -> str:
    """All recipes on mnist or cifar10, at their narrow presets."""
    lines, conventions = [], ""
    for name, configs in RECIPES.items():
        config = configs[f"{dataset}-narrow"]
        row = record.row(
            name,
            lambda config=config: run(
                record,
                config.name,
                config,
                METRICS,
                extractors=("efficientnet-lite0", "classifier"),
            ),
        )
        conventions = row["conventions"]["FID"]
        lines.append(
            [
                f"{name}, by class" if config.objective.conditional else name,
                f"{row['images'] / 1e3:.0f}k",
                f"{row['training seconds'] / 60:.0f} min",
                *(f"{row['scores'][score]:.3g}" for score in ("FID", "KID", "precision", "recall")),
                f"{row['by classifier']['scores']['FID']:.3g}" if "by classifier" in row else "–",
                row["state"],
                *([PUBLISHED[name]] if dataset == "cifar10" else []),
            ]
        )
    header = ["recipe", "images", "time", "FID", "KID", "precision", "recall"]
    header += ["FID by a classifier", "diagnosis"]
    if dataset == "cifar10":
        header.append("published (Inception, 50k)")
    return f"{table(header, lines)}\n\nFID of {conventions}"


def run(
    record: Record,
    key: str,
    config: Config,
    metrics: Sequence[str],
    samples: int = SAMPLES,
    extractors: Sequence[str] = ("classifier",),
) -> dict:
    """Trains, going on where it was interrupted, and scores the last generator: by the first
    extractor, and under the names of the others by them."""
    directory = record.runs / key.replace(" ", "_")
    config = dataclasses.replace(config, name=key)
    result = train(config, out=directory)
    run = Run.open(directory)
    first, *others = extractors
    scores = score(evaluator(run, metrics, samples, first), result.g)
    for name in others:
        scores[f"by {name}"] = score(evaluator(run, metrics, samples, name), result.g)
    shown, columns = (100, 10) if config.objective.conditional else (64, 8)
    images = run.sample(shown, seed=1)
    if config.objective.conditional:  # a class a row
        images = images.reshape(10, 10, *images.shape[1:]).swapaxes(0, 1)
        images = images.reshape(shown, *images.shape[2:])
    figures.save(figures.sheet(images, columns), record.image(key))
    checks = run.health()
    return {
        "iterations": config.iterations,
        "images": config.iterations * config.batch_size * config.alternation.batches,
        "seeds": [config.seed],
        "training seconds": round(seconds(run), 1),
        "state": checks[-1]["state"] if checks else "",
        **scores,
    }


def score(evaluator: Evaluator, g: TrainState) -> dict:
    """Of one generator."""
    found = evaluator(g)
    return {
        "scores": {s.name: round(s.value, 5) for s in found},
        "conventions": {s.name: s.conventions for s in found},
    }


def evaluator(
    run: Run, metrics: Sequence[str], samples: int = SAMPLES, extractor: str = "classifier"
) -> Evaluator:
    """Against all examples of the run's classes, of however few of them it was shown; a classifier
    is of the whole dataset."""
    data = dataclasses.replace(run.config.data, limit=None)
    everything = dataclasses.replace(data, classes=())
    source = load(data)
    whole = source if data == everything else load(everything)
    subject = run.config.build(run.data).subject
    return Evaluator(
        subject,
        source,
        metrics,
        extractor=make_extractor(extractor, whole, dataset=data.source),
        split=data.split,
        samples=samples,
    )


def seconds(run: Run) -> float:
    """Of training, interruptions left out."""
    total = before = 0.0
    for line in logs.read(run.directory / "metrics.jsonl"):
        total += line["seconds"] - before if line["seconds"] > before else line["seconds"]
        before = line["seconds"]
    return total
