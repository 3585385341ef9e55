"""StyleGAN2 with adaptive discriminator augmentation.

    python experiments/stylegan2.py --data-dir DIR                        (CIFAR-10 as published)
    python experiments/stylegan2.py --preset mnist-narrow --data-dir DIR

The first preset is for accelerators, where it has not been run by this project; the narrow ones
take about ten minutes of one CPU core. Measured there (seed 0): MNIST, FID[mnist-cnn, train,
50k/10k] of 1018 after 121,600 images, the beginnings of digits; CIFAR-10, FID[cifar10-cnn, train,
50k/10k] of 59.6 after 102,400, blurred scenes.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020, and "Training
Generative Adversarial Networks with Limited Data", 2020, whose settings for CIFAR-10 have neither
path length penalty nor style mixing, and a mapping of two layers.
"""

import dataclasses

from gan_jax import cli
from gan_jax.augment.ada import ADASection
from gan_jax.augment.sections import NoAugmentation
from gan_jax.config import Average, Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.networks import stylegan2
from gan_jax.tasks.generation import Config, Objective

ADAM = Optimizer(learning_rate=2.5e-3, options={"b1": 0.0, "b2": 0.99, "eps": 1e-8})
# The authors' code corrects the generator's Adam as for a path length penalty in every fourth
# update, for CIFAR-10 too, which has none.
G_ADAM = Optimizer(learning_rate=2e-3, options={"b1": 0.0, "b2": 0.99**0.8, "eps": 1e-8})
GENERATOR = stylegan2.GeneratorSection(width=512, max_width=512, depth=2)
DISCRIMINATOR = stylegan2.DiscriminatorSection(
    width=512, max_width=512, residual=False, minibatch_std=32
)

CIFAR10 = Config(
    name="stylegan2-cifar10",
    iterations=1_562_500,
    batch_size=64,
    data=Data(source="tfds:cifar10"),
    objective=Objective(
        loss="non_saturating", lazy=16, latent_dim=512, conditional=True, penalties={"r1": 0.01}
    ),
    generator=GENERATOR,
    discriminator=DISCRIMINATOR,
    g_optimizer=G_ADAM,
    d_optimizer=ADAM,
    average=Average(half_life=500_000, ramp_up=0.05),
    augmentation=ADASection(target=0.6),
    evaluation=Evaluation(every=5000, metrics=("fid", "kid"), samples=10_000),
    check_every=500,
    sample_every=1000,
    checkpoint_every=5000,
)


def narrow(
    name: str, data: Data, width: int, max_width: int, gamma: float, iterations: int
) -> Config:
    """The same recipe at a width and length for CPU cores, without augmentation, since in that time
    the discriminator does not overfit, and with the residual discriminator of the larger presets,
    which compares groups of four."""
    return dataclasses.replace(
        CIFAR10,
        name=name,
        iterations=iterations,
        data=data,
        objective=dataclasses.replace(CIFAR10.objective, penalties={"r1": gamma}, latent_dim=64),
        generator=stylegan2.GeneratorSection(width=width, max_width=max_width, depth=2),
        discriminator=stylegan2.DiscriminatorSection(width=width, max_width=max_width),
        average=Average(half_life=iterations * 64 / 40),
        augmentation=NoAugmentation(),
        evaluation=Evaluation(every=1000, extractor="classifier"),
        check_every=100,
        sample_every=500,
        checkpoint_every=500,
    )


CONFIGS = {
    "cifar10": CIFAR10,
    "mnist-narrow": narrow(
        "stylegan2-mnist-narrow",
        Data(source="tfds:mnist", resolution=32, fit="pad"),
        16, 64, 1.0, 1900,
    ),
    "cifar10-narrow": narrow("stylegan2-cifar10-narrow", CIFAR10.data, 16, 128, 0.1, 1600),
}  # fmt: skip

if __name__ == "__main__":
    cli.experiment(CONFIGS, __doc__)
