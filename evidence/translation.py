"""Summer into winter and back, measured on photographs that nothing was trained on.

The test splits of Yosemite's seasons, scaled to what the networks see, are translated by the last
checkpoint. A classifier of the seasons, trained on all training photographs and their mirror
images, says how many translations it takes for the target season, beside how many photographs it
takes for the other season as they are: its error. KID is of translations against the target
season's test photographs, less that of doing nothing, in features of another such classifier and in
pixels: negative is better. Both are of the same random subsets, and the spread is the standard
deviation over these. The cycle error is the mean absolute difference, of 255, between a photograph
and what comes back.
"""

from typing import Any

import numpy as np

from evidence.record import Record, table
from experiments.translation import CONFIGS
from gan_jax import figures
from gan_jax.data import Domains
from gan_jax.evaluation.extractors import classifier
from gan_jax.evaluation.extractors.pixels import BASIS, pixels
from gan_jax.metrics import kernel_distance
from gan_jax.runs.run import Run
from gan_jax.tasks.translation import DIRECTIONS
from gan_jax.training.train import train

PAIRS = 10
SUBSET, SUBSETS = 200, 50
UPDATES = 2500
JUDGE, FEATURES = 100, 200  # seeds of classifiers


def reproduce(preset: str, record: Record) -> str:
    """One recipe: how its translations of test photographs are judged, each way."""
    config = CONFIGS[preset]

    def run() -> dict[str, Any]:
        return measure(Run.open(train(config, out=record.runs / preset).directory), record)

    row = record.row(preset, run)
    lines = [
        [
            f"{preset}, {words}",
            f"{row[direction]['taken']:.0%}",
            f"{row[direction]['taken as they are']:.0%}",
            *(_gain(row[direction]["KID"][features]) for features in ("seasons-cnn", "pixels")),
            f"{row[direction]['cycle error']:.1f}",
        ]
        for direction, words in (("a2b", "summer to winter"), ("b2a", "winter to summer"))
    ]
    header = [
        "",
        "taken for the target",
        "of photographs as they are",
        "KID over doing nothing, seasons-cnn",
        "pixels",
        "cycle error, of 255",
    ]
    return table(header, lines)


def _gain(kid: dict[str, list[float]]) -> str:
    """The change over doing nothing, in units of what doing nothing has."""
    (change, spread), (nothing, _) = kid["change"], kid["as they are"]
    return f"{change / nothing:+.0%} ± {spread / nothing:.0%}"


def measure(run: Run, record: Record) -> dict[str, Any]:
    """What the table is made of; and a page of pairs, beside the results."""
    task, data = run.task, run.config.data
    _, g = run.states()
    training, test = (photographs(data, split) for split in ("train", "test"))
    judge, features = (seasons(training, seed) for seed in (JUDGE, FEATURES))
    extractors = {
        "seasons-cnn": features.extractor("seasons-cnn"),
        "pixels": pixels(np.concatenate(training)[:BASIS]),
    }
    found: dict[str, Any] = {
        "seeds": [run.config.seed],
        "iterations": run.latest(),
        "images": run.latest() * run.config.batch_size,
        "resolution": data.resolution,
        "accuracy": [judge.accuracy(test[i], _labels(test[i], i)) for i in (0, 1)],
        "subsets": [SUBSETS, SUBSET],
    }
    pairs = []
    for direction, domain in DIRECTIONS.items():
        target = "ab".index(domain)
        real, goal = test[1 - target], test[target]
        images = real.astype(np.float32) / 127.5 - 1
        made = task.translate(g, images, direction)
        back = task.translate(g, made, direction[::-1])
        made_8 = figures.to_uint8(made)
        found[direction] = {
            "examples": len(real),
            "taken": judge.accuracy(made_8, _labels(real, target)),
            "taken as they are": judge.accuracy(real, _labels(real, target)),
            "KID": {
                name: _kids(extract, goal, made_8, real) for name, extract in extractors.items()
            },
            "cycle error": float(np.mean(np.abs(back - images)) * 127.5),
            "change": float(np.mean(np.abs(made - images)) * 127.5),
        }
        chosen = np.linspace(0, len(real) - 1, PAIRS).round().astype(int)
        pairs.append(np.stack([images[chosen], made[chosen]]))
    # Two rows each way: photographs, and below each what was made of it.
    page = np.concatenate([row for pair in pairs for row in pair])
    figures.save(figures.sheet(page, PAIRS, 640), record.image(f"{data.resolution}_pixels"))
    return found


def photographs(data: Domains, split: str) -> list[np.ndarray]:
    """All of a split, uint8, of summer and of winter."""
    streams = data.load(split=split, side=data.resolution, budget_bytes=2**32)
    return [np.asarray(stream.source.real) for stream in streams]


def seasons(training: list[np.ndarray], seed: int) -> classifier.Trained:
    """A classifier of the two, of them and their mirror images."""
    images = np.concatenate(training)
    season = np.concatenate([_labels(x, i) for i, x in enumerate(training)])
    both = np.concatenate([images, images[:, :, ::-1]])
    return classifier.fit(both, np.tile(season, 2), 2, updates=UPDATES, seed=seed)


def _labels(images: np.ndarray, label: int) -> np.ndarray:
    return np.full(len(images), label, np.int32)


def _kids(
    extract: Any, goal: np.ndarray, made: np.ndarray, real: np.ndarray
) -> dict[str, list[float]]:
    """Of what was made, of the photographs as they are, and the difference: mean and spread."""
    target, *both = (extract(images).features for images in (goal, made, real))
    of_made, unmade = (np.array(kids(x, target)) for x in both)
    found = {"translated": of_made, "as they are": unmade, "change": of_made - unmade}
    return {name: [float(x.mean()), float(x.std(ddof=1))] for name, x in found.items()}


def kids(made: np.ndarray, goal: np.ndarray) -> list[float]:
    """KID of features, of random subsets: the same ones for as many examples."""
    return [
        kernel_distance(goal, made, subsets=1, subset_size=SUBSET, seed=seed).mean
        for seed in range(SUBSETS)
    ]
