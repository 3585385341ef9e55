"""DCGAN: convolutions, batch norm in both networks, and the non-saturating loss.

    python experiments/dcgan.py --data-dir DIR                            (CIFAR-10 as published)
    python experiments/dcgan.py --preset mnist-narrow --data-dir DIR

The first preset is for accelerators, where it has not been run by this project; the narrow ones
take about ten minutes of one CPU core. Measured there (seed 0): MNIST, FID[mnist-cnn, train,
50k/10k] of 95 after 448,000 images, legible digits in many hands; CIFAR-10, FID[cifar10-cnn, train,
50k/10k] of 27.5 after 448,000, blurred scenes.

Source: Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional
GANs", 2016.
"""

import dataclasses

from gan_jax import cli
from gan_jax.config import Average, Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.networks import dcgan
from gan_jax.tasks.generation import Config, Objective

ADAM = Optimizer(learning_rate=2e-4, options={"b1": 0.5, "b2": 0.999})
GENERATOR = dcgan.GeneratorSection(width=64)
DISCRIMINATOR = dcgan.DiscriminatorSection(width=64, norm="batch")

CIFAR10 = Config(
    name="dcgan-cifar10",
    iterations=100_000,
    batch_size=128,
    data=Data(source="tfds:cifar10"),
    objective=Objective(loss="non_saturating", latent_dim=100),
    generator=GENERATOR,
    discriminator=DISCRIMINATOR,
    g_optimizer=ADAM,
    d_optimizer=ADAM,
    average=Average(half_life=0),  # none: the last weights
    evaluation=Evaluation(every=2000, metrics=("fid", "kid"), samples=10_000),
    check_every=500,
    sample_every=1000,
    checkpoint_every=2000,
)


def narrow(name: str, data: Data, width: int, iterations: int) -> Config:
    """The same recipe at a width and length for CPU cores."""
    return dataclasses.replace(
        CIFAR10,
        name=name,
        iterations=iterations,
        batch_size=64,
        data=data,
        generator=dataclasses.replace(GENERATOR, width=width),
        discriminator=dataclasses.replace(DISCRIMINATOR, width=width),
        average=Average(half_life=iterations * 64 / 40),
        evaluation=Evaluation(every=1000, extractor="classifier"),
        check_every=100,
        sample_every=500,
        checkpoint_every=500,
    )


CONFIGS = {
    "cifar10": CIFAR10,
    "mnist-narrow": narrow(
        "dcgan-mnist-narrow", Data(source="tfds:mnist", resolution=32, fit="pad"), 32, 7000
    ),
    "cifar10-narrow": narrow("dcgan-cifar10-narrow", CIFAR10.data, 32, 7000),
}

if __name__ == "__main__":
    cli.experiment(CONFIGS, __doc__)
