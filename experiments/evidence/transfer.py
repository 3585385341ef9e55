"""How many images a run saves that begins with networks trained on other data.

A run from scratch sets the score to reach: its FID at its end. The fraction is that of its images
after which another run, otherwise alike, was as good for the first time. Pictures have 16×16
pixels.
"""

import dataclasses
import statistics

from evidence.pictures import evaluator
from evidence.record import Record, spread, table
from gan_jax.config import Average, Config, Data, Evaluation, Network, Objective, Optimizer
from gan_jax.loop import train
from gan_jax.metrics.evaluation import Evaluator
from gan_jax.runs import Run

SEEDS = (0, 1, 2)
ADAM = Optimizer(learning_rate=5e-4, options={"b1": 0.0, "b2": 0.99})
FROZEN = ("down_0",)
_EVERY = 100  # iterations


def _config(data: Data) -> Config:
    return Config(
        iterations=2500,
        batch_size=64,
        data=data,
        objective=Objective(loss="relativistic_pairing", r1=1.0, r2=1.0, latent_dim=64),
        generator=Network(width=32, norm="batch"),
        discriminator=Network(width=32),
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
        for arm in ("from the other", "first layer frozen"):
            fractions = [row["fractions"][arm] for row in rows]
            reached = [f for f in fractions if f is not None]
            lines.append(
                [
                    pair,
                    arm,
                    spread([row["target"] for row in rows]),
                    spread([row["final"][arm] for row in rows]),
                    spread(reached) if reached else "–",
                    f"{len(reached)} of {len(rows)}",
                ]
            )
    header = ["data", "begins", "FID from scratch", "its own at the end", "fraction", "reached"]
    return table(header, lines)


def _compare(record: Record, pair: str, before: Config, after: Config, seed: int) -> dict:
    directory = record.runs / f"{pair.replace(' → ', '-')}-{seed}"
    before, after = (dataclasses.replace(c, seed=seed) for c in (before, after))
    trained = train(before, out=directory / "other").directory
    frozen = dataclasses.replace(
        after, d_optimizer=dataclasses.replace(after.d_optimizer, freeze=FROZEN)
    )
    arms = {
        "from scratch": train(after, out=directory / "scratch"),
        "from the other": train(after, out=directory / "transfer", init_from=trained),
        "first layer frozen": train(frozen, out=directory / "frozen", init_from=trained),
    }
    evaluate = evaluator(Run.open(arms["from scratch"].directory), ("fid",), 2000)
    curves = {arm: _curve(Run.open(result.directory), evaluate) for arm, result in arms.items()}
    # The last three evaluations: one alone is noisy.
    target = statistics.fmean(list(curves["from scratch"].values())[-3:])
    final = {arm: statistics.fmean(list(curve.values())[-3:]) for arm, curve in curves.items()}
    fractions = {
        arm: next((i / after.iterations for i, fid in curve.items() if fid <= target), None)
        for arm, curve in curves.items()
    }
    return {
        "seeds": [seed],
        "iterations": after.iterations,
        "target": target,
        "final": final,
        "fractions": fractions,
        "curves": curves,
    }


def _curve(run: Run, evaluate: Evaluator) -> dict[int, float]:
    """FID by iteration."""
    return {
        iteration: round(evaluate(run.states(iteration)[1])[0].value, 4)
        for iteration in run.kept()
        if iteration
    }
