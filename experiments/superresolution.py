"""Super-resolution: images four times as large.

    python experiments/superresolution.py --data-dir DIR                       (CIFAR-10, 8 to 32)
    python experiments/superresolution.py --preset yosemite --data-dir DIR     (32 to 128)
    gan-jax upscale runs/superresolution small.jpg --out large.png

Your own images, twice or eight times as large, or small ones as cameras make them:

    F="python experiments/superresolution.py --data.source folder:PATH --data.resolution 128"
    $F --input.scale 2
    $F --input.kind camera

Sources: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
Network", 2017; Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
2018; Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic
Data", 2021.
"""

import dataclasses

from gan_jax import cli
from gan_jax.config import Average, Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.degradations.small import BicubicSection
from gan_jax.networks import rrdb, unet_critic
from gan_jax.tasks.restoration import Config, Objective

ADAM = Optimizer(learning_rate=2e-4, options={"b1": 0.9, "b2": 0.99})

CIFAR10 = Config(
    name="superresolution",
    iterations=3000,
    batch_size=16,
    data=Data(source="tfds:cifar10", flip=True),
    input=BicubicSection(scale=4),
    objective=Objective(loss="relativistic_average", pixel=1.0, perceptual=0.1, adversarial=0.01),
    generator=rrdb.TranslatorSection(width=32, growth=16, blocks=4),
    discriminator=unet_critic.DiscriminatorSection(width=16),
    g_optimizer=ADAM,
    d_optimizer=ADAM,
    average=Average(half_life=5000),
    evaluation=Evaluation(
        every=1000, metrics=("kid", "psnr", "ssim"), extractor="classifier", samples=1000
    ),
    check_every=250,
    log_every=50,
    sample_every=500,
    checkpoint_every=500,
)

YOSEMITE = dataclasses.replace(
    CIFAR10,
    name="superresolution-yosemite",
    batch_size=4,
    data=Data(
        source="tfds:cycle_gan/summer2winter_yosemite", split="trainA", resolution=128, flip=True
    ),
    objective=dataclasses.replace(CIFAR10.objective, perceptual=0.0),  # it takes labels
    evaluation=dataclasses.replace(CIFAR10.evaluation, extractor="pixels"),
)

CONFIGS = {"cifar10": CIFAR10, "yosemite": YOSEMITE}

if __name__ == "__main__":
    cli.experiment(CONFIGS, __doc__)
