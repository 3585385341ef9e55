"""Colors for grey images, photographs of drawings, and sharper images, on images held out.

What is made of the inputs of a test split is compared with the true images, beside what the same
network makes of them that was trained on the pixels' difference alone, for as long, and beside the
inputs as they are. Measured are the mean absolute difference, of 255; PSNR; the perceptual distance
and KID in features of a classifier that no training has seen; and how sharp they are. KID is to the
training images. All of one table are of the same random subsets, and the spread is the standard
deviation over these. Sharpness is the mean magnitude of gradients, of luma and of what is left of
colors without it, as a share of the true images': blurred images have less than 1, and grey ones no
gradients of color.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evidence.record import Record, table
from evidence.translation import FEATURES, SUBSET, SUBSETS, kids, photographs, seasons
from experiments import pairs, superresolution
from gan_jax import figures, metrics
from gan_jax.data import Domains
from gan_jax.data.sources import gather, read_some
from gan_jax.degradations.grey import LUMA
from gan_jax.evaluation.extractors import classifier
from gan_jax.runs.run import Run
from gan_jax.tasks.base import source_of
from gan_jax.tasks.restoration import Config
from gan_jax.training.train import train

SHOWN = 10
TESTED = 2000
PIXELS = "pixels alone"


@dataclasses.dataclass(frozen=True)
class Study:
    """Trainings that differ in the weights of the generator's losses, and are of equal length."""

    config: Config
    split: str
    """What they are tested on."""
    arms: Mapping[str, Mapping[str, float]]
    """The weights of each."""
    begun: int = 0
    """Of the iterations, how many are on the pixels alone, and common to all."""


def _begun_on_pixels(config: Config, split: str, begun: int, then: int, weights: Any) -> Study:
    arms = {f"adversarial {weight:g}": {"adversarial": weight} for weight in weights}
    return Study(
        dataclasses.replace(config, iterations=then),
        split,
        {PIXELS: {"adversarial": 0.0, "perceptual": 0.0}, **arms},
        begun,
    )


def _of_length(config: Config, iterations: int) -> Config:
    return dataclasses.replace(config, iterations=iterations)


_PAIRED: dict[str, dict[str, float]] = {PIXELS: {"adversarial": 0.0}, "and a discriminator": {}}

PAIRS = {
    "colors": Study(_of_length(pairs.COLORS, 1500), "test", _PAIRED),
    "edges": Study(_of_length(pairs.EDGES, 1000), "testA", _PAIRED),
}
SUPERRESOLUTION = {
    "CIFAR-10, 8 to 32": _begun_on_pixels(
        superresolution.CIFAR10, "test", 1000, 500, (0.0, 0.01, 0.03, 0.1)
    ),
}
SUPERRESOLUTION_128 = {
    "Yosemite, 32 to 128": _begun_on_pixels(superresolution.YOSEMITE, "testA", 400, 200, (0.01,)),
}


def reproduce(studies: Mapping[str, Study], record: Record) -> str:
    """How each training's images are, beside inputs and true images."""
    lines = []
    for name, study in studies.items():
        row = record.row(name, functools.partial(_measure, study, name, record))
        found = row["found"]
        for arm, values in found.items():
            change = np.subtract(values["KID"], found[PIXELS]["KID"])
            lines.append(
                [
                    f"{name}: {arm}",
                    f"{values['L1']:.1f}",
                    f"{values['PSNR']:.2f}" if "PSNR" in values else "",
                    f"{values['SSIM']:.3f}",
                    f"{values['perceptual']:.3f}",
                    f"{np.mean(values['KID']):.4g}",
                    ""
                    if arm == PIXELS
                    else f"{np.mean(change):+.3g} ± {np.std(change, ddof=1):.2g}",
                    *(f"{values['gradients'][part]:.0%}" for part in ("luma", "color")),
                ]
            )
    header = ["", "L1, of 255", "PSNR", "SSIM", "perceptual distance", "KID", f"less {PIXELS}"]
    return table([*header, "gradients of luma", "of color"], lines)


def _measure(study: Study, name: str, record: Record) -> dict[str, Any]:
    directory = record.runs / _key(name)
    begun = _train(study.config, study.arms[PIXELS], directory / "begun", study.begun)
    runs = {
        arm: _train(study.config, weights, directory / arm.replace(" ", "_"), None, begun)
        for arm, weights in study.arms.items()
    }
    return measure(study, {arm: Run.open(path) for arm, path in runs.items()}, name, record)


def _key(name: str) -> str:
    """Of a study, for files."""
    return name.split(",")[0].lower()


def _train(
    config: Config,
    weights: Mapping[str, float],
    out: Path,
    iterations: int | None,
    begun: Path | None = None,
) -> Path | None:
    """Where the run is; None for one of no length."""
    if iterations == 0:
        return None
    config = dataclasses.replace(
        config,
        iterations=iterations or config.iterations,
        objective=dataclasses.replace(config.objective, **weights),
        evaluation=dataclasses.replace(config.evaluation, every=0),  # once, below
    )
    return train(config, out=out, init_from=begun).directory


def measure(study: Study, runs: Mapping[str, Run], name: str, record: Record) -> dict[str, Any]:
    """What the table is made of; and a page of images, beside the results."""
    run = next(iter(runs.values()))
    task = run.task
    pairs = task.pairs(read_some(source_of(run.config, study.split, None), TESTED)[0])
    made = {"inputs as they are": np.asarray(task.unchanged(pairs["input"]))}
    for arm, trained in runs.items():
        made[arm] = trained.task.restore(trained.states()[1], pairs["input"])
    made["true images"] = pairs["target"]
    features, real = _features(run.config)
    extract = features.extractor("")
    goal, truth = extract(real).features, figures.to_uint8(pairs["target"])
    found = {arm: _compare(figures.to_uint8(x), truth, features, goal) for arm, x in made.items()}
    chosen = np.linspace(0, len(truth) - 1, SHOWN).round().astype(int)
    rows = np.concatenate([np.clip(images[chosen], -1, 1) for images in made.values()])
    figures.save(figures.sheet(rows, SHOWN, 1000), record.image(_key(name)))
    if len(study.arms) > 2:
        _curve(found, record.image(f"{_key(name)}_curve"))
    return {
        "seeds": [run.config.seed],
        "iterations": [study.begun, study.config.iterations],
        "batch": study.config.batch_size,
        "weights": {arm: _weights(trained.config) for arm, trained in runs.items()},
        "examples": len(truth),
        "subsets": [SUBSETS, SUBSET],
        "shown, from top to bottom": list(made),
        "found": found,
    }


def _weights(config: Config) -> dict[str, float]:
    return {
        name: getattr(config.objective, name) for name in ("pixel", "perceptual", "adversarial")
    }


def _features(config: Config) -> tuple[classifier.Trained, np.ndarray]:
    """A classifier of its own, and the training images."""
    data = config.data
    if "cycle_gan" in data.source:
        training = photographs(Domains(resolution=data.resolution), "train")
        return seasons(training, FEATURES), training[0]
    source = config.load().streams[0].source
    images, labels = gather(source, np.arange(source.description.examples))
    assert labels is not None
    trained = classifier.fit(images, labels, source.description.num_classes or 0, seed=FEATURES)
    return trained, images[:TESTED]


def _compare(
    images: np.ndarray, truth: np.ndarray, features: classifier.Trained, goal: np.ndarray
) -> dict[str, Any]:
    floats = [x.astype(np.float32) for x in (images, truth)]
    found: dict[str, Any] = {
        "L1": float(np.mean(np.abs(floats[0] - floats[1]))),
        "SSIM": float(np.mean(metrics.ssim(images, truth))),
        "perceptual": float(np.mean(_perceptual(images, truth, features))),
        "KID": kids(features.extractor("")(images).features, goal),
        "gradients": {
            part: _gradients(floats[0])[part] / whole
            for part, whole in _gradients(floats[1]).items()
        },
    }
    psnr = metrics.psnr(images, truth)
    if np.isfinite(psnr).all():  # or some are equal to the truth, as grey images to grey ones
        found["PSNR"] = float(np.mean(psnr))
    return found


def _perceptual(images: np.ndarray, truth: np.ndarray, features: Any) -> np.ndarray:
    return np.concatenate(
        [
            metrics.perceptual_distance(
                *(features.maps(x[i : i + 100] / np.float32(127.5) - 1) for x in (images, truth))
            )
            for i in range(0, len(images), 100)
        ]
    )


def _gradients(images: np.ndarray) -> dict[str, float]:
    """The mean magnitude of differences of neighbors, of luma and of what is left without it."""
    luma = (images @ LUMA)[..., None]

    def magnitude(x: np.ndarray) -> float:
        down, right = x[:, 1:, :-1] - x[:, :-1, :-1], x[:, :-1, 1:] - x[:, :-1, :-1]
        return float(np.mean(np.sqrt(np.sum(down**2 + right**2, axis=-1))))

    return {"luma": magnitude(luma), "color": magnitude(images - luma)}


def _curve(found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """How unlike the true images in pixels and how unlike them to a network, of all but these."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=100, layout="constrained")
    shown = {arm: values for arm, values in found.items() if "PSNR" in values}
    line = [arm for arm in shown if arm.startswith("adversarial")]
    measures = {"perceptual distance": "perceptual", "KID": "KID"}
    for axes, (label, measure) in zip(figure.subplots(1, 2), measures.items(), strict=True):
        places = {a: (v["L1"], float(np.mean(v[measure]))) for a, v in shown.items()}
        axes.plot(*zip(*(places[arm] for arm in line), strict=True), color="0.6", zorder=0)
        for i, (arm, place) in enumerate(places.items()):
            axes.scatter(*place, s=25)
            above = (6, 5 if i % 2 else -11)  # neighbors are not written over each other
            axes.annotate(arm, place, textcoords="offset points", xytext=above, fontsize=8)
        axes.set_xlabel("mean absolute difference of pixels, of 255")
        axes.set_ylabel(label)
        axes.margins(x=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
