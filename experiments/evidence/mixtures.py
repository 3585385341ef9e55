"""The ring of 8 and the grid of 25: modes found and the share of good samples, over ten seeds; and
which combinations of loss and penalty fail on the ring, and how.

The protocol is PacGAN's (Lin et al., 2018, §4.1): latents of dimension 2, 100,000 training points,
2,500 samples, of which those within 3σ of a mode are good.
"""

import collections
import dataclasses
import math

import jax
import numpy as np
from gaussians import CONFIG

from evidence.record import Record, spread, table
from gan_jax import checks, figures, sampling
from gan_jax.config import Config, Objective
from gan_jax.errors import InputError
from gan_jax.evaluation import of_run
from gan_jax.evaluation.extractors.kinds import make_extractor
from gan_jax.monitor import Monitor
from gan_jax.population import Population, load_members

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
    "none": {},
    "R1": {"r1": 0.1},
    "R1 + R2": {"r1": 0.1, "r2": 0.1},
    "WGAN-GP": {"wgan_gp": 10.0},
    "DRAGAN": {"dragan": 10.0},
    "LeCam": {"lecam": 0.3},
    "packs of 2": {"packing": 2},
}
_SHORT = 3000  # iterations
_CHECKS = 50


def reproduce(name: str, record: Record) -> str:
    """Ten runs on `name`, ring or grid, at once."""
    data = dataclasses.replace(CONFIG.data, source=name)
    configs = [dataclasses.replace(CONFIG, data=data, seed=seed) for seed in range(SEEDS)]

    def measure() -> dict:
        sources = [training for training, _ in load_members(configs)]
        *_, end = Population(configs, sources).train()
        rows = [
            _scores(config, source, end.member(i)[1])
            for i, (config, source) in enumerate(zip(configs, sources, strict=True))
        ]
        _draw(record, f"{name} seed 0", configs[0], sources[0], end.member(0)[1])
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
        for name, weights in PENALTIES.items():
            config = _short(loss, weights)
            row = record.row(f"{loss}, {name}", lambda config=config: _three(config))
            states = collections.Counter(row["state"])
            state = ", ".join(s.replace("_", " ") for s, _ in states.most_common())
            modes, good = np.mean(row["modes"]), 100 * np.mean(row["high quality"])
            line.append(f"{modes:.1f} / {good:.0f} %<br>{state}")
        lines.append(line)
    return table(["", *PENALTIES], lines)


def _short(loss: str, weights: dict[str, float]) -> Config:
    return dataclasses.replace(
        CONFIG,
        iterations=_SHORT,
        objective=Objective(loss=loss, latent_dim=2, **weights),
        annealing=dataclasses.replace(CONFIG.annealing, images=_SHORT * CONFIG.batch_size),
    )


def _three(config: Config) -> dict:
    configs = [dataclasses.replace(config, seed=seed) for seed in range(3)]
    loaded = load_members(configs)
    sources = [training for training, _ in loaded]
    monitors = [
        Monitor(checks.from_config(member, *data))
        for member, data in zip(configs, loaded, strict=True)
    ]
    states = [""] * len(configs)
    for progress in Population(configs, sources).train(_SHORT // _CHECKS):
        for i, monitor in enumerate(monitors):
            measured = monitor.measure(progress.iteration, *progress.member(i))
            states[i] = monitor.check(
                progress.iteration, measured, progress.member_averages(i)
            ).state
    rows = [
        _scores(config, source, progress.member(i)[1])
        for i, (config, source) in enumerate(zip(configs, sources, strict=True))
    ]
    return {"iterations": _SHORT, "seeds": [0, 1, 2], "state": states, **_columns(rows)}


def _scores(config: Config, source, g) -> dict[str, float]:
    evaluator = of_run.evaluator(
        config,
        source,
        ("modes",),
        extractor=make_extractor("pixels", source, dataset=config.data.source),
        samples=SAMPLES,
    )
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


def _draw(record: Record, key: str, config: Config, source, g) -> None:
    samples = sampling.sample(g, jax.random.key(0), SAMPLES, latent_dim=config.objective.latent_dim)
    picture = figures.scatter(np.asarray(samples), source.real[:SAMPLES])
    figures.save(picture, record.picture(key))
