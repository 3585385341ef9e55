"""What augmentation is worth where there are few images.

At 16×16 pixels. A tenth of the images is held out, to see overfitting, and not trained on. The
references of FID and KID are all images of the dataset, however few a run trains on.
"""

import dataclasses

from evidence.images import METRICS, run
from evidence.record import Record, table
from gan_jax.augment.ada import ADASection
from gan_jax.augment.diffaugment import DiffAugmentSection
from gan_jax.augment.sections import AugmentationSection, NoAugmentation
from gan_jax.config import Average, Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.networks import dcgan
from gan_jax.tasks.generation import Config, Objective

ADAM = Optimizer(learning_rate=5e-4, options={"b1": 0.0, "b2": 0.99})
SIZES = (1000, 5000)
BASE = Config(
    iterations=4000,
    batch_size=64,
    objective=Objective(loss="non_saturating", latent_dim=64, penalties={"r1": 0.1}),
    generator=dcgan.GeneratorSection(width=32),
    discriminator=dcgan.DiscriminatorSection(width=32),
    g_optimizer=ADAM,
    d_optimizer=ADAM,
    average=Average(half_life=10_000),
    evaluation=Evaluation(every=0),
    check_every=100,
    sample_every=1000,
    checkpoint_every=500,
)
DATA = {
    "mnist": Data(source="tfds:mnist", resolution=16),
    "cifar10": Data(source="tfds:cifar10", resolution=16, flip=True),
}
AUGMENTATIONS: dict[str, AugmentationSection] = {
    "none": NoAugmentation(),
    "DiffAugment": DiffAugmentSection(categories=("translation", "cutout")),
    "ADA": ADASection(target=0.6, images=50_000),
}


def reproduce(record: Record) -> str:
    """Both datasets, cut to 1,000 and 5,000 images, with each augmentation."""
    lines = []
    for dataset, data in DATA.items():
        for size in SIZES:
            for name, augmentation in AUGMENTATIONS.items():
                config = dataclasses.replace(
                    BASE,
                    data=dataclasses.replace(data, limit=size),
                    augmentation=_without_colors(augmentation, dataset),
                )
                key = f"{dataset} {size} {name}"
                row = record.row(
                    key, lambda key=key, config=config: run(record, key, config, METRICS)
                )
                scores = (f"{row['scores'][s]:.3g}" for s in ("FID", "KID", "precision", "recall"))
                lines.append([dataset, f"{size:,}", name, *scores, row["state"]])
    header = ["data", "images", "augmentation", "FID", "KID", "precision", "recall", "diagnosis"]
    return table(header, lines)


def _without_colors(augmentation: AugmentationSection, dataset: str) -> AugmentationSection:
    """Digits are white on black, and not to be mirrored."""
    if isinstance(augmentation, ADASection) and dataset == "mnist":
        return dataclasses.replace(augmentation, categories=("geometric",))
    return augmentation
