"""SNGAN: residual networks, spectral norm in the discriminator, and the hinge loss.

    python experiments/sngan.py --data-dir DIR                            (CIFAR-10 as published)
    python experiments/sngan.py --preset mnist-narrow --data-dir DIR

The first preset is for accelerators, where it has not been run by this project; the narrow ones
take about ten minutes of one CPU core. Measured there (seed 0): MNIST, FID[mnist-cnn, train,
50k/10k] of 586 after 243,200 images, strokes and some digits; CIFAR-10, FID[cifar10-cnn, train,
50k/10k] of 99.0 after 147,200, blurred scenes.

Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018, table 4:
five discriminator updates for each of the generator's, learning rates that fall linearly to 0.
"""

import dataclasses

from gan_jax import cli
from gan_jax.config import Annealing, Average, Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.networks import resnet
from gan_jax.steps import Alternation
from gan_jax.tasks.generation import Config, Objective

ADAM = Optimizer(learning_rate=2e-4, options={"b1": 0.0, "b2": 0.9})
GENERATOR = resnet.GeneratorSection(width=256)
DISCRIMINATOR = resnet.DiscriminatorSection(width=128, norm="spectral")

CIFAR10 = Config(
    name="sngan-cifar10",
    iterations=100_000,
    batch_size=64,
    data=Data(source="tfds:cifar10"),
    objective=Objective(loss="hinge", latent_dim=128),
    alternation=Alternation(d_steps=5),
    generator=GENERATOR,
    discriminator=DISCRIMINATOR,
    g_optimizer=ADAM,
    d_optimizer=ADAM,
    average=Average(half_life=0),  # none: the last weights
    annealing=Annealing(images=100_000 * 5 * 64, shape="linear", learning_rate=0.0),
    evaluation=Evaluation(every=2000, metrics=("fid", "kid"), samples=10_000),
    check_every=500,
    sample_every=1000,
    checkpoint_every=2000,
)


def narrow(name: str, data: Data, width: int, iterations: int) -> Config:
    """The same recipe at a width and length for CPU cores, with one discriminator update for each
    of the generator's, a discriminator that learns twice as fast instead, and learning rates that
    fall to a tenth."""
    return dataclasses.replace(
        CIFAR10,
        name=name,
        iterations=iterations,
        data=data,
        alternation=Alternation(),
        generator=dataclasses.replace(GENERATOR, width=width),
        discriminator=dataclasses.replace(DISCRIMINATOR, width=width),
        d_optimizer=dataclasses.replace(ADAM, learning_rate=4e-4),
        average=Average(half_life=iterations * 64 / 40),
        annealing=Annealing(images=iterations * 64, shape="linear", learning_rate=0.1),
        evaluation=Evaluation(every=1000, extractor="classifier"),
        check_every=100,
        sample_every=500,
        checkpoint_every=500,
    )


CONFIGS = {
    "cifar10": CIFAR10,
    "mnist-narrow": narrow(
        "sngan-mnist-narrow", Data(source="tfds:mnist", resolution=32, fit="pad"), 16, 3800
    ),
    "cifar10-narrow": narrow("sngan-cifar10-narrow", CIFAR10.data, 24, 2300),
}

if __name__ == "__main__":
    cli.experiment(CONFIGS, __doc__)
