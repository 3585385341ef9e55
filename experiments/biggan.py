"""BigGAN: class-conditional residual networks with self-attention, spectral norm in both.

    python experiments/biggan.py --data-dir DIR                           (CIFAR-10 as published)
    python experiments/biggan.py --preset mnist-narrow --data-dir DIR

The first preset is for accelerators, where it has not been run by this project; the narrow ones
take about ten minutes of one CPU core. Measured there (seed 0): MNIST, FID[mnist-cnn, train,
50k/10k] of 182 after 179,200 images, legible digits of all ten classes, in few hands; CIFAR-10,
FID[cifar10-cnn, train, 50k/10k] of 51.5 after 108,800, blurred scenes.

Source: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image
Synthesis", 2019; for CIFAR-10, the authors' PyTorch code: four discriminator updates for each of
the generator's, batches of 50. Self-attention, the shared embedding, latents for every block, and
orthogonal start and regularisation are those of the paper's larger networks; that code leaves them
out at 32 pixels.
"""

import dataclasses

from gan_jax import cli
from gan_jax.config import Average, Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.networks import biggan
from gan_jax.steps import Alternation
from gan_jax.tasks.generation import Config, Objective

ADAM = Optimizer(learning_rate=2e-4, options={"b1": 0.0, "b2": 0.999})
GENERATOR = biggan.GeneratorSection(width=64)
DISCRIMINATOR = biggan.DiscriminatorSection(width=64)

CIFAR10 = Config(
    name="biggan-cifar10",
    iterations=125_000,
    batch_size=50,
    data=Data(source="tfds:cifar10"),
    objective=Objective(loss="hinge", latent_dim=128, conditional=True),
    alternation=Alternation(d_steps=4),
    generator=GENERATOR,
    discriminator=DISCRIMINATOR,
    g_optimizer=dataclasses.replace(ADAM, orthogonal=1e-4),
    d_optimizer=ADAM,
    average=Average(half_life=350_000),
    evaluation=Evaluation(every=2000, metrics=("fid", "kid"), samples=10_000),
    check_every=500,
    sample_every=1000,
    checkpoint_every=2000,
)


def narrow(name: str, data: Data, width: int, iterations: int) -> Config:
    """The same recipe at a width and length for CPU cores, with one discriminator update for each
    of the generator's, and a discriminator that learns twice as fast instead."""
    return dataclasses.replace(
        CIFAR10,
        name=name,
        iterations=iterations,
        batch_size=64,
        data=data,
        alternation=Alternation(),
        generator=dataclasses.replace(GENERATOR, width=width),
        discriminator=dataclasses.replace(DISCRIMINATOR, width=width),
        d_optimizer=dataclasses.replace(ADAM, learning_rate=4e-4),
        average=Average(half_life=iterations * 64 / 40),
        evaluation=Evaluation(every=1000, extractor="classifier"),
        check_every=100,
        sample_every=500,
        checkpoint_every=500,
    )


CONFIGS = {
    "cifar10": CIFAR10,
    "mnist-narrow": narrow(
        "biggan-mnist-narrow", Data(source="tfds:mnist", resolution=32, fit="pad"), 4, 2800
    ),
    "cifar10-narrow": narrow("biggan-cifar10-narrow", CIFAR10.data, 6, 1700),
}

if __name__ == "__main__":
    cli.experiment(CONFIGS, __doc__)
