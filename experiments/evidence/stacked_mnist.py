"""Stacked-MNIST: which of 1,000 modes a generator finds, and how evenly, by its loss.

Of 26,000 samples (Lin et al., "PacGAN", 2018, §4.2), each channel is classified by a classifier of
MNIST that is trained here, and tested on MNIST's test set. Networks, penalties and the number of
images are the same for all.
"""

import dataclasses

from evidence.pictures import run
from evidence.record import Record, table
from gan_jax.config import (
    Annealing,
    Average,
    Config,
    Data,
    Evaluation,
    Network,
    Objective,
    Optimizer,
)
from gan_jax.data.sources import load, red_digits
from gan_jax.evaluation.extractors import classifier

IMAGES, BATCH_SIZE = 1_000_000, 64
SAMPLES = 26_000
ADAM = Optimizer(learning_rate=5e-4, options={"b1": 0.0, "b2": 0.9})

R3GAN = Config(
    name="stacked-mnist",
    iterations=IMAGES // BATCH_SIZE,
    batch_size=BATCH_SIZE,
    data=Data(source="stacked_mnist", resolution=32, fit="pad"),
    objective=Objective(loss="relativistic_pairing", r1=1.0, r2=1.0, latent_dim=64),
    generator=Network(width=24, norm="batch"),
    discriminator=Network(width=24),
    g_optimizer=ADAM,
    d_optimizer=ADAM,
    average=Average(half_life=20_000),
    annealing=Annealing(images=IMAGES, learning_rate=0.1, penalties=0.1, b2=0.99),
    evaluation=Evaluation(every=5000, metrics=("modes",), extractor="classifier", samples=SAMPLES),
    check_every=1000,
    log_every=500,
    sample_every=5000,
    checkpoint_every=2000,
)
LOSSES = {
    "relativistic pairing": "relativistic_pairing",
    "non-saturating": "non_saturating",
    "hinge": "hinge",
}
PUBLISHED = (
    ("DCGAN", "79–99", "3.4–4.5"),
    ("WGAN-GP", "959", "0.72"),
    ("StyleGAN2", "940", "0.42"),
    ("PacGAN2", "1000", "0.06"),
    ("R3GAN", "1000", "0.029"),
    ("non-saturating with R1 + R2", "693", "0.93"),
)


def reproduce(record: Record) -> str:
    """One run of each loss."""
    lines = []
    for name, loss in LOSSES.items():
        objective = dataclasses.replace(R3GAN.objective, loss=loss)
        config = dataclasses.replace(R3GAN, objective=objective)

        def measure(name=name, config=config) -> dict:
            row = run(record, name, config, ("modes",), SAMPLES)
            return row | {"classifier accuracy": round(_accuracy(config.data), 4)}

        row = record.row(name, measure)
        lines.append(
            [
                f"{name}, R1 + R2",
                f"{row['scores']['modes']:.0f}",
                f"{row['scores']['KL(fake‖real)']:.3f}",
                row["state"],
                f"{row['training seconds'] / 60:.0f} min",
            ]
        )
    lines += [[f"*published:* {who}", modes, kl, "", ""] for who, modes, kl in PUBLISHED]
    return table(["loss", "modes", "KL", "diagnosis", "time"], lines)


def _accuracy(data: Data) -> float:
    """Of the classifier that counts modes, on digits of MNIST's test set, as many as drawn for the
    red channels of that set's stacks."""
    trained, _ = classifier.for_source(red_digits(load(data)))
    test = red_digits(load(dataclasses.replace(data, split="test")))
    return trained.accuracy(test.real, test.label)
