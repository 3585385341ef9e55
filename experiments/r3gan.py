"""R3GAN: the relativistic pairing loss with R1 and R2, plain residual networks, and no tricks.

    python experiments/r3gan.py --data-dir DIR                            (CIFAR-10 as published)
    python experiments/r3gan.py --preset mnist-narrow --data-dir DIR
    python experiments/r3gan.py --preset ffhq-256 --data.source folder:FFHQ

The presets of the paper are for accelerators, where they have not been run by this project; the
narrow ones take about ten minutes of one CPU core. Measured there (seed 0): MNIST, FID[mnist-cnn,
train, 50k/10k] of 911 after 60,800 images, the beginnings of digits; CIFAR-10, FID[cifar10-cnn,
train, 50k/10k] of 86.4 after 60,160, blurred scenes.

Source: Huang et al., "The GAN is dead; long live the GAN! A Modern Baseline GAN", 2024.
"""

import dataclasses

from gan_jax import cli
from gan_jax.augment.ada import ADASection
from gan_jax.augment.sections import NoAugmentation
from gan_jax.config import Annealing, Average, Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.networks import r3gan
from gan_jax.tasks.generation import Config, Objective


def published(name: str, data: Data) -> Config:
    """The paper's networks and settings for one of its datasets."""
    preset = r3gan.PRESETS[name]
    widths, groups = preset.widths, preset.groups
    adam = Optimizer(learning_rate=preset.lr[0], options={"b1": 0.0, "b2": preset.beta2[0]})
    return Config(
        name=f"r3gan-{name}",
        iterations=int(preset.decay_images) // preset.batch_size,
        batch_size=preset.batch_size,
        data=data,
        objective=Objective(
            loss="relativistic_pairing",
            latent_dim=preset.latent_dim,
            conditional=preset.num_classes is not None,
            penalties={"r1": preset.gamma[0], "r2": preset.gamma[0]},
        ),
        generator=r3gan.GeneratorSection(widths=widths, groups=groups),
        discriminator=r3gan.DiscriminatorSection(widths=widths, groups=groups),
        g_optimizer=adam,
        d_optimizer=adam,
        average=Average(half_life=preset.ema_half_life, ramp_up=None),
        augmentation=ADASection(
            categories=("blit", "geometric", "color", "cutout"),
            probability=preset.augment_p,
            weights={"color": 0.5},
        ),
        annealing=Annealing(
            images=preset.decay_images,
            learning_rate=preset.lr[1] / preset.lr[0],
            penalties=preset.gamma[1] / preset.gamma[0],
            b2=preset.beta2[1],
            half_life=0.0,
            augmentation=0.0,
        ),
        evaluation=Evaluation(every=2000, metrics=("fid", "kid"), samples=10_000),
        check_every=500,
        log_every=100,
        sample_every=1000,
        checkpoint_every=2000,
    )


def narrow(
    name: str, config: Config, *, widths: tuple[int, ...], gamma: float, images: float
) -> Config:
    """The same recipe at widths, a batch and a length for CPU cores: `images` in all."""
    batch_size = 64
    adam = Optimizer(learning_rate=1e-3, options={"b1": 0.0, "b2": 0.9})
    return dataclasses.replace(
        config,
        name=name,
        iterations=int(images) // batch_size,
        batch_size=batch_size,
        objective=dataclasses.replace(config.objective, penalties={"r1": gamma, "r2": gamma}),
        generator=r3gan.GeneratorSection(widths=widths),
        discriminator=r3gan.DiscriminatorSection(widths=widths),
        g_optimizer=adam,
        d_optimizer=adam,
        average=Average(half_life=images / 40),
        augmentation=NoAugmentation(),
        annealing=dataclasses.replace(
            config.annealing, images=images, half_life=1.0, augmentation=1.0
        ),
        evaluation=Evaluation(every=1000, extractor="classifier"),
        check_every=100,
        sample_every=500,
        checkpoint_every=500,
    )


_CIFAR10 = published("cifar10", Data(source="tfds:cifar10", flip=True))
_MNIST = dataclasses.replace(_CIFAR10, data=Data(source="tfds:mnist", resolution=32, fit="pad"))
_FOLDER = Data(source="folder:data", resolution=256)

CONFIGS = {
    "cifar10": _CIFAR10,
    "ffhq-64": published("ffhq-64", dataclasses.replace(_FOLDER, resolution=64, flip=True)),
    "ffhq-256": published("ffhq-256", dataclasses.replace(_FOLDER, flip=True)),
    "imagenet-32": published("imagenet-32", dataclasses.replace(_FOLDER, resolution=32, flip=True)),
    "imagenet-64": published("imagenet-64", dataclasses.replace(_FOLDER, resolution=64, flip=True)),
    "mnist-narrow": narrow(
        "r3gan-mnist-narrow", _MNIST, widths=(64, 32, 16, 8), gamma=1.0, images=60_800
    ),
    "cifar10-narrow": narrow(
        "r3gan-cifar10-narrow", _CIFAR10, widths=(64, 32, 16, 8), gamma=0.1, images=60_160
    ),
}

if __name__ == "__main__":
    cli.experiment(CONFIGS, __doc__)
