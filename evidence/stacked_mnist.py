"""Stacked-MNIST: which of 1,000 modes a generator finds, and how evenly, by its loss.

Of 26,000 samples (Lin et al., "PacGAN", 2018, §4.2), each channel is classified by a classifier of
MNIST that is trained here, and tested on MNIST's test set. Networks, penalties and the number of
images are the same for all.
"""

import dataclasses

from evidence.images import run
from evidence.record import Record, table
from gan_jax.config import Annealing, Average, Evaluation, Optimizer
from gan_jax.data import Data, Examples, load
from gan_jax.data.sources.stacked_mnist import red_digits
from gan_jax.evaluation.extractors import classifier
from gan_jax.networks import dcgan
from gan_jax.tasks.generation import Config, Objective

IMAGES, BATCH_SIZE = 1_000_000, 64
SAMPLES = 26_000
ADAM = Optimizer(learning_rate=5e-4, options={"b1": 0.0, "b2": 0.9})

R3GAN = Config(
    name="stacked-mnist",
    iterations=IMAGES // BATCH_SIZE,
    batch_size=BATCH_SIZE,
    data=Data(source="stacked_mnist", resolution=32, fit="pad"),
    objective=Objective(
        loss="relativistic_pairing", latent_dim=64, penalties={"r1": 1.0, "r2": 1.0}
    ),
    generator=dcgan.GeneratorSection(width=24),
    discriminator=dcgan.DiscriminatorSection(width=24),
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
    trained, _ = classifier.for_source(_red_digits(data))
    test = _red_digits(dataclasses.replace(data, split="test"))
    assert test.label is not None
    return trained.accuracy(test.real, test.label)


def _red_digits(data: Data) -> Examples:
    stacks = load(data)
    assert isinstance(stacks, Examples)
    return red_digits(stacks)
