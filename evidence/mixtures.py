"""The ring of 8 and the grid of 25: modes found and the share of good samples, over ten seeds; and
which combinations of loss and penalty fail on the ring, and how.

The protocol is PacGAN's (Lin et al., 2018, §4.1): latents of dimension 2, 100,000 training points,
2,500 samples, of which those within 3σ of a mode are good.
"""

import collections
import dataclasses
import math

import numpy as np

from evidence.record import Record, spread, table
from experiments.gaussians import CONFIG
from gan_jax import figures
from gan_jax.config import Evaluation
from gan_jax.data import Examples
from gan_jax.errors import InputError
from gan_jax.state import TrainState
from gan_jax.tasks.base import Dataset
from gan_jax.tasks.generation import Config, Objective
from gan_jax.training.monitor import Monitor
from gan_jax.training.population import Population, load_members

SEEDS = 10
SAMPLES = 2500
PUBLISHED = {
    "ring": (("GAN", 6.3, 98), ("PacGAN2", 7.9, 96), ("PacGAN4", 7.8, 96)),
    "grid": (("GAN", 17.3, 95), ("PacGAN2", 23.8, 91), ("PacGAN4", 24.8, 94)),
}

LOSSES = (
    "minimax", "non_saturating", "wasserstein", "hinge", "least_squares",
    "relativistic_pairing", "relativistic_average",
)  # fmt: skip
PENALTIES = {
    "none": Objective(),
    "R1": Objective(penalties={"r1": 0.1}),
    "R1 + R2": Objective(penalties={"r1": 0.1, "r2": 0.1}),
    "WGAN-GP": Objective(penalties={"wgan_gp": 10.0}),
    "DRAGAN": Objective(penalties={"dragan": 10.0}),
    "LeCam": Objective(penalties={"lecam": 0.3}),
    "packs of 2": Objective(packing=2),
}
_SHORT = 3000  # iterations
_CHECKS = 50


def reproduce(name: str, record: Record) -> str:
    """Ten runs on `name`, ring or grid, at once."""
    data = dataclasses.replace(CONFIG.data, source=name)
    configs = [dataclasses.replace(CONFIG, data=data, seed=seed) for seed in range(SEEDS)]

    def measure() -> dict:
        datasets = load_members(configs)
        *_, end = Population(configs, datasets).train()
        rows = [
            _scores(config, dataset, end.member(i)[1])
            for i, (config, dataset) in enumerate(zip(configs, datasets, strict=True))
        ]
        _draw(record, f"{name} seed 0", configs[0], datasets[0], end.member(0)[1])
        return {"iterations": CONFIG.iterations, "seeds": list(range(SEEDS)), **_columns(rows)}

    row = record.row(name, measure)
    lines = [
        [
            "this recipe",
            spread(row["modes"]),
            f"{spread([100 * q for q in row['high quality']])} %",
            f"{row['seconds'] / SEEDS / 60:.1f} min",
        ]
    ]
    lines += [[who, str(modes), f"{good} %", ""] for who, modes, good in PUBLISHED[name]]
    return table([name, "modes", "within 3σ", "time a seed"], lines)


def reproduce_losses(record: Record) -> str:
    """Every loss with every penalty on the ring: three seeds each, at once."""
    lines = []
    for loss in LOSSES:
        line = [loss.replace("_", " ")]
        for name, penalty in PENALTIES.items():
            config = _short(loss, penalty)
            row = record.row(f"{loss}, {name}", lambda config=config: _three(config))
            states = collections.Counter(row["state"])
            state = ", ".join(s.replace("_", " ") for s, _ in states.most_common())
            modes, good = np.mean(row["modes"]), 100 * np.mean(row["high quality"])
            line.append(f"{modes:.1f} / {good:.0f} %<br>{state}")
        lines.append(line)
    return table(["", *PENALTIES], lines)


def _short(loss: str, penalty: Objective) -> Config:
    return dataclasses.replace(
        CONFIG,
        iterations=_SHORT,
        objective=dataclasses.replace(penalty, loss=loss, latent_dim=2),
        annealing=dataclasses.replace(CONFIG.annealing, images=_SHORT * CONFIG.batch_size),
    )


def _three(config: Config) -> dict:
    configs = [dataclasses.replace(config, seed=seed) for seed in range(3)]
    datasets = load_members(configs)
    monitors = [
        Monitor(member.build(dataset.description).checks(dataset))
        for member, dataset in zip(configs, datasets, strict=True)
    ]
    states, end = [""] * len(configs), None
    for progress in Population(configs, datasets).train(_SHORT // _CHECKS):
        end = progress
        for i, monitor in enumerate(monitors):
            measured = monitor.measure(progress.iteration, *progress.member(i))
            states[i] = monitor.check(
                progress.iteration, measured, progress.member_averages(i)
            ).state
    assert end is not None
    rows = [
        _scores(config, dataset, end.member(i)[1])
        for i, (config, dataset) in enumerate(zip(configs, datasets, strict=True))
    ]
    return {"iterations": _SHORT, "seeds": [0, 1, 2], "state": states, **_columns(rows)}


def _scores(config: Config, dataset: Dataset, g: TrainState) -> dict[str, float]:
    task = config.build(dataset.description)
    evaluator = task.evaluator(dataset, Evaluation(metrics=("modes",), samples=SAMPLES))
    try:
        return {score.name: score.value for score in evaluator(g)}
    except InputError:  # samples that are not finite
        return {"modes": 0, "high quality": 0.0, "KL(fake‖real)": math.nan}


def _columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    return {
        name: [round(float(row[name]), 6) for row in rows]
        for name in rows[0]
        if all(name in row for row in rows)
    }


def _draw(record: Record, key: str, config: Config, dataset: Dataset, g: TrainState) -> None:
    source = dataset.streams[0].source
    assert isinstance(source, Examples)
    samples = config.build(dataset.description).subject.sample(g, SAMPLES, None)
    figures.save(figures.scatter(np.asarray(samples), source.real[:SAMPLES]), record.image(key))
