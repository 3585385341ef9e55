"""Whether samples follow the numbers that a generator is told.

6,000 digits of MNIST, each with two numbers that can be measured again in what is generated: the
ink, the mean brightness from 0 to 1, and the slant in degrees. What `gan-jax train` chooses for
them is trained, with the embedding of the numbers as small as it chooses and as large as latents
are. The error of a generator that does not heed them is that of its samples beside the numbers of
others.
"""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from evidence.images import seconds
from evidence.record import Record, spread, table
from gan_jax import figures
from gan_jax.data import Data, load, look
from gan_jax.runs.run import Run
from gan_jax.tasks.generation.choice import LABEL_SCALE, choose
from gan_jax.training.train import train

SEEDS = (0, 1, 2)
ARMS = {"a tenth of the latents": LABEL_SCALE, "as large as latents": 1.0}
NAMES = ("ink", "slant")
_EXAMPLES, _ITERATIONS, _SAMPLES = 6000, 3000, 2000


def measured(images: UInt8[np.ndarray, "n h w"]) -> Float[np.ndarray, "n 2"]:
    """Ink and slant: the angle of the line along which rows are displaced, by second moments."""
    weight = images.astype(np.float64) / 255
    total = weight.sum(axis=(1, 2))
    y, x = np.mgrid[: images.shape[1], : images.shape[2]]
    cy, cx = ((weight * at).sum(axis=(1, 2)) / total for at in (y, x))
    dy, dx = y - cy[:, None, None], x - cx[:, None, None]
    slant = np.arctan(-(weight * dx * dy).sum(axis=(1, 2)) / (weight * dy**2).sum(axis=(1, 2)))
    return np.stack([weight.mean(axis=(1, 2)), np.degrees(slant)], axis=1)


def reproduce(record: Record) -> str:
    """Both sizes of the embedding, over three seeds."""
    lines = []
    for arm, scale in ARMS.items():
        rows = [
            record.row(
                f"{arm}, seed {seed}",
                lambda arm=arm, scale=scale, seed=seed: _run(record, arm, scale, seed),
            )
            for seed in SEEDS
        ]
        for i, name in enumerate(NAMES):
            lines.append(
                [
                    name,
                    arm,
                    *(spread([row[of][i] for row in rows]) for of in _COLUMNS),
                ]
            )
    return table(["number", "its embedding begins", *_COLUMNS], lines)


_COLUMNS = ("error", "error beside others' numbers", "correlation")


def _run(record: Record, arm: str, scale: float, seed: int) -> dict:
    source = f"npz:{_digits(record.runs)}"
    config = choose(source, look(source), accelerator=False).config
    generator = dataclasses.replace(config.generator, label_scale=scale)
    config = dataclasses.replace(
        config, seed=seed, iterations=_ITERATIONS, generator=generator, check_every=500
    )
    train(config, out=record.runs / f"{arm.replace(' ', '_')}-{seed}")
    run = Run.open(record.runs / f"{arm.replace(' ', '_')}-{seed}")
    wanted = run.task.labels(_SAMPLES)
    made = measured(figures.to_uint8(run.sample(_SAMPLES, seed=seed))[..., 0])
    others = np.random.default_rng(0).permutation(_SAMPLES)
    if seed == 0:
        walks = [run.interpolate(8, 12, vary=name) for name in NAMES]
        both = np.concatenate(walks).reshape(-1, *walks[0].shape[2:])
        figures.save(figures.sheet(both, 12), record.image(arm))
    return {
        "iterations": config.iterations,
        "seeds": [seed],
        "training seconds": round(seconds(run), 1),
        "numbers": NAMES,
        "error": np.abs(made - wanted).mean(axis=0).tolist(),
        "error beside others' numbers": np.abs(made - wanted[others]).mean(axis=0).tolist(),
        "correlation": [float(np.corrcoef(made[:, i], wanted[:, i])[0, 1]) for i in range(2)],
    }


def _digits(folder: Path) -> Path:
    """The digits, with their numbers."""
    path = folder / "digits.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        source = load(Data(source="tfds:mnist", limit=_EXAMPLES))
        images = np.stack([source.read(i)[0] for i in range(_EXAMPLES)])
        np.savez(path, images=images, conditions=measured(images[..., 0]), condition_names=NAMES)
    return path
