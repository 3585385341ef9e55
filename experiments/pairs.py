"""pix2pix: from inputs to the images that belong to them.

    python experiments/pairs.py --data-dir DIR                  (grey into colors, CIFAR-10)
    python experiments/pairs.py --preset edges --data-dir DIR   (drawings into photographs)

What the discriminator adds to the pixels alone is in docs/evidence.md.

Your own pairs, side by side in files or in two folders with equal names, or any images whose inputs
are made of them:

    python experiments/pairs.py --data.source pairs:PATH --input.kind given --data.resolution 64
    python experiments/pairs.py --data.source folder:PATH --input.kind masked --data.resolution 64

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017.
"""

import dataclasses

from gan_jax import cli
from gan_jax.config import Average, Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.degradations.edges import EdgesSection
from gan_jax.degradations.grey import GreySection
from gan_jax.networks import patchgan, unet
from gan_jax.tasks.restoration import Config, Objective

ADAM = Optimizer(learning_rate=4e-4, options={"b1": 0.5, "b2": 0.999})

COLORS = Config(
    name="colors",
    iterations=4000,
    batch_size=32,
    data=Data(source="tfds:cifar10", flip=True),
    input=GreySection(),
    objective=Objective(pixel=50.0),
    generator=unet.TranslatorSection(width=32, skip=True),
    discriminator=patchgan.DiscriminatorSection(width=32, layers=2),
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

EDGES = dataclasses.replace(
    COLORS,
    name="edges",
    batch_size=8,
    data=Data(
        source="tfds:cycle_gan/summer2winter_yosemite", split="trainA", resolution=64, flip=True
    ),
    input=EdgesSection(),
    objective=Objective(pixel=10.0),
    generator=unet.TranslatorSection(width=32),
    discriminator=patchgan.DiscriminatorSection(width=32, layers=3),
    average=Average(half_life=2000),
    evaluation=dataclasses.replace(COLORS.evaluation, extractor="pixels"),
)

CONFIGS = {"colors": COLORS, "edges": EDGES}

if __name__ == "__main__":
    cli.experiment(CONFIGS, __doc__)
