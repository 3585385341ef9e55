"""CycleGAN: summer into winter and back.

    python experiments/translation.py --data-dir DIR                           (64 pixels, a CPU)
    python experiments/translation.py --preset yosemite-128 --data-dir DIR     (128 pixels, a GPU)
    gan-jax translate runs/translation-64 photo.jpg --direction a2b --out winter.png

Two x86-64 cores see about 4 images of each domain a second at 64 pixels, and took 98 minutes for
the first preset, beside other work: a classifier of the seasons then takes 64 % of translations of
test photographs for winter, and 76 % for summer (docs/evidence.md). One H200 GPU sees 272 at 128
pixels.

The same file serves day and night, or any two folders of images:

    python experiments/translation.py --data.source folder:day --data.source-b folder:night

Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks", 2017.
"""

import dataclasses

from gan_jax import cli
from gan_jax.config import Annealing, Average, Evaluation, Optimizer
from gan_jax.data import Domains
from gan_jax.networks import cyclegan, patchgan
from gan_jax.tasks.translation import Config, Objective

ADAM = Optimizer(learning_rate=4e-4, options={"b1": 0.5, "b2": 0.999})

YOSEMITE_64 = Config(
    name="translation-64",
    iterations=4000,
    batch_size=4,
    data=Domains(resolution=64),
    objective=Objective(),
    generator=cyclegan.TranslatorSection(width=24, upsampling="resize"),
    discriminator=patchgan.DiscriminatorSection(width=32),
    g_optimizer=ADAM,
    d_optimizer=ADAM,
    annealing=Annealing(after=8000, images=8000, shape="linear", learning_rate=0.05),
    average=Average(half_life=2000),
    evaluation=Evaluation(every=1000, metrics=("fid", "kid", "target"), extractor="classifier"),
    check_every=250,
    log_every=50,
    sample_every=250,
    checkpoint_every=250,
)

YOSEMITE_128 = dataclasses.replace(
    YOSEMITE_64,
    name="translation-128",
    iterations=30_000,
    data=Domains(resolution=128),
    generator=cyclegan.TranslatorSection(width=64, upsampling="resize", dtype="bfloat16"),
    discriminator=patchgan.DiscriminatorSection(width=64, dtype="bfloat16"),
    g_optimizer=dataclasses.replace(ADAM, learning_rate=2e-4),
    d_optimizer=dataclasses.replace(ADAM, learning_rate=2e-4),
    annealing=Annealing(after=60_000, images=60_000, shape="linear", learning_rate=0.05),
    average=Average(half_life=10_000),
    evaluation=dataclasses.replace(YOSEMITE_64.evaluation, every=5000),
    check_every=2500,
    log_every=250,
    sample_every=2500,
    checkpoint_every=5000,
)

CONFIGS = {"yosemite-64": YOSEMITE_64, "yosemite-128": YOSEMITE_128}

if __name__ == "__main__":
    cli.experiment(CONFIGS, __doc__)
