"""What determines a run that learns to make images of their inputs."""

import dataclasses
from typing import Any, ClassVar

from gan_jax import config as base
from gan_jax.config import Evaluation
from gan_jax.data import Data, Description, Stream, hold_out_each, load, within
from gan_jax.degradations.base import DegradationSection
from gan_jax.degradations.grey import GreySection
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors import classifier
from gan_jax.networks import patchgan, unet
from gan_jax.networks.base import DiscriminatorSection, TranslatorSection
from gan_jax.sections import number
from gan_jax.tasks.base import Dataset
from gan_jax.tasks.losses import Penalized, check_examples_apart


@dataclasses.dataclass(frozen=True)
class Objective(Penalized):
    """What the two networks minimise."""

    adversarial: float = number(1.0, least=0)
    """Weight of what the discriminator says to the generator. 0: it says nothing, and the generator
    learns from the pixels alone."""
    pixel: float = number(100.0, least=0)
    """Weight of the mean absolute difference of pixels."""
    perceptual: float = number(0.0, least=0)
    """Weight of the difference of features, by a small classifier of these data, which need labels.
    It is trained on first use. 0: none."""

    def validate(self, where: str) -> None:
        super().validate(where)
        if not (self.adversarial or self.pixel or self.perceptual):
            raise InputError(
                f"a generator needs {where}.pixel, {where}.perceptual or {where}.adversarial to "
                "learn from"
            )


@dataclasses.dataclass(frozen=True)
class Config(base.Config, kind="restoration"):
    """Everything that determines a run that learns to make images of their inputs."""

    description_type: ClassVar[type[Any]] = Description

    batch_size: int = number(16, least=1)
    """Images in a batch, over all devices."""
    evaluation: Evaluation = dataclasses.field(
        default=Evaluation(metrics=("kid", "psnr", "ssim")), metadata=base.FREE
    )
    data: Data = Data()
    input: DegradationSection = GreySection()
    objective: Objective = Objective()
    generator: TranslatorSection = unet.TranslatorSection()
    discriminator: DiscriminatorSection = patchgan.DiscriminatorSection()

    def validate(self, where: str = "") -> None:
        super().validate(where)
        check_examples_apart(self.objective.penalties, self.discriminator)

    def load(
        self,
        *,
        data_dir: str | None = None,
        skip_bad_images: bool = False,
        budget_bytes: float = 0,
    ) -> Dataset:
        """The images to train on, and those held out; of pairs, inputs and targets in one."""
        perceptual = bool(self.objective.perceptual)
        source = load(
            self.data,
            seed=self.seed,
            conditional=perceptual,
            labels_for="a perceptual loss",
            data_dir=data_dir,
            skip_bad_images=skip_bad_images,
            budget_bytes=within(self.data.budget_gib, budget_bytes),
        )
        (training,), held_out = hold_out_each((Stream(source, "image"),), self.data.held_out)
        # Kept in the cache, for the objective; a dry run, which reads nothing whole, does without.
        if perceptual and budget_bytes:
            classifier.for_source(training.source)
        return Dataset((training,), held_out, training.source.description)

    def build(self, data: Description) -> Any:
        """The task for these data, a `Restoration`."""
        from gan_jax.tasks.restoration.task import Restoration  # which is made of this

        return Restoration(self, data)
