"""How many images a run saves that begins with networks trained on other data.

A run from scratch sets the score to reach: its FID at its end. The fraction is that of its images
after which another run, otherwise alike, was as good for the first time. Of either, FID is the mean
of three evaluations in a row, since one alone is noisy and the first lucky one would count. The run
from scratch is in the table beside the others: its own fraction says how early a run that gains
nothing would be counted. Images have 16×16 pixels.
"""

import dataclasses
import statistics

from evidence.images import evaluator
from evidence.record import Record, spread, table
from gan_jax.config import Average, Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.networks import dcgan
from gan_jax.runs.run import Run
from gan_jax.tasks.generation import Config, Objective
from gan_jax.training.train import train

SEEDS = (0, 1, 2)
ADAM = Optimizer(learning_rate=5e-4, options={"b1": 0.0, "b2": 0.99})
FROZEN = ("down_0",)
ARMS = ("from scratch", "from the other", "first layer frozen")
_EVERY = 100  # iterations


def _config(data: Data) -> Config:
    return Config(
        iterations=2500,
        batch_size=64,
        data=data,
        objective=Objective(
            loss="relativistic_pairing", latent_dim=64, penalties={"r1": 1.0, "r2": 1.0}
        ),
        generator=dcgan.GeneratorSection(width=32),
        discriminator=dcgan.DiscriminatorSection(width=32),
        g_optimizer=ADAM,
        d_optimizer=ADAM,
        average=Average(half_life=10_000),
        evaluation=Evaluation(every=0),  # afterwards, from the checkpoints
        check_every=100,
        sample_every=1000,
        checkpoint_every=_EVERY,
        keep_last=1000,
    )


_CIFAR10 = Data(source="tfds:cifar10", resolution=16, flip=True)
PAIRS = {
    "digits → MNIST": (
        _config(Data(source="digits", resolution=16)),
        _config(Data(source="tfds:mnist", resolution=16)),
    ),
    "automobiles → trucks": (
        _config(dataclasses.replace(_CIFAR10, classes=(1,))),
        _config(dataclasses.replace(_CIFAR10, classes=(9,))),
    ),
}


def reproduce(record: Record) -> str:
    """Both pairs: from scratch, from the other data, and with the first layer of D frozen."""
    lines = []
    for pair, (before, after) in PAIRS.items():
        rows = [
            record.row(
                f"{pair}, seed {seed}",
                lambda pair=pair, before=before, after=after, seed=seed: _compare(
                    record, pair, before, after, seed
                ),
            )
            for seed in SEEDS
        ]
        curves = [{arm: _smooth(row["curves"][arm]) for arm in ARMS} for row in rows]
        for arm in ARMS:
            fractions = [_fraction(curve[arm], curve["from scratch"][-1]) for curve in curves]
            reached = [f for f in fractions if f is not None]
            lines.append(
                [
                    pair,
                    arm,
                    spread([curve[arm][-1] for curve in curves]),
                    spread(reached) if reached else "–",
                    f"{len(reached)} of {len(rows)}",
                ]
            )
    return table(["data", "begins", "FID at the end", "fraction", "reached"], lines)


def _smooth(curve: dict[str, float]) -> list[float]:
    """The means of three in a row."""
    fids = list(curve.values())
    return [statistics.fmean(fids[i : i + 3]) for i in range(len(fids) - 2)]


def _fraction(curve: list[float], target: float) -> float | None:
    """Of the evaluations, how many it takes to reach the target."""
    reached = next((i for i, fid in enumerate(curve) if fid <= target), None)
    return None if reached is None else (reached + 3) / (len(curve) + 2)


def _compare(record: Record, pair: str, before: Config, after: Config, seed: int) -> dict:
    directory = record.runs / f"{pair.replace(' → ', '-')}-{seed}"
    before, after = (dataclasses.replace(c, seed=seed) for c in (before, after))
    trained = train(before, out=directory / "other").directory
    frozen = dataclasses.replace(
        after, d_optimizer=dataclasses.replace(after.d_optimizer, freeze=FROZEN)
    )
    results = (
        train(after, out=directory / "scratch"),
        train(after, out=directory / "transfer", init_from=trained),
        train(frozen, out=directory / "frozen", init_from=trained),
    )
    evaluate = evaluator(Run.open(results[0].directory), ("fid",), 2000)
    curves, conventions = {}, ""
    for arm, result in zip(ARMS, results, strict=True):
        run, curves[arm] = Run.open(result.directory), {}
        for iteration in filter(None, run.kept()):
            (fid,) = evaluate(run.states(iteration)[1])
            curves[arm][str(iteration)], conventions = round(fid.value, 4), fid.conventions
    return {
        "seeds": [seed],
        "iterations": after.iterations,
        "conventions": conventions,
        "curves": curves,
    }
