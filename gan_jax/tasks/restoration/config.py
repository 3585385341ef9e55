"""What determines a run that learns to make images of their inputs."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from typing_extensions import Doc

from gan_jax import config as base
from gan_jax import losses
from gan_jax.config import Evaluation
from gan_jax.data import Data, Description, Stream, hold_out_each, load
from gan_jax.degradations.base import DegradationSection
from gan_jax.degradations.grey import GreySection
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors import classifier
from gan_jax.networks import patchgan, unet
from gan_jax.networks.base import DiscriminatorSection, TranslatorSection
from gan_jax.regularizers import PENALTIES
from gan_jax.sections import Numbers, Section, check_at_least, check_known, number
from gan_jax.tasks.base import Dataset

_ALONE = {name: penalty for name, penalty in PENALTIES.items() if not penalty.needs_augmentation}


@dataclasses.dataclass(frozen=True)
class Objective(Section):
    """What the two networks minimise."""

    loss: Annotated[str, Doc(f"One of {', '.join(losses.LOSSES)}.")] = "non_saturating"
    adversarial: float = number(1.0, least=0)
    """Weight of what the discriminator says to the generator. 0: it says nothing, and the generator
    learns from the pixels alone."""
    pixel: float = number(100.0, least=0)
    """Weight of the mean absolute difference of pixels."""
    perceptual: float = number(0.0, least=0)
    """Weight of the difference of features, by a small classifier of these data, which need labels.
    It is trained on first use. 0: none."""
    penalties: Annotated[
        Mapping[str, float],
        Doc(
            "Penalties on the discriminator and their weights, as r1=0.1: "
            + "; ".join(f"{name}, {penalty.help}" for name, penalty in _ALONE.items())
        ),
    ] = Numbers()

    def __post_init__(self):
        object.__setattr__(self, "penalties", Numbers(self.penalties))

    def validate(self, where: str) -> None:
        super().validate(where)
        check_known(f"{where}.loss", self.loss, losses.LOSSES)
        for name, weight in self.penalties.items():
            check_known(f"{where}.penalties", name, _ALONE)
            check_at_least(f"{where}.penalties.{name}", weight, 0)
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
        penalties = self.objective.penalties
        apart = [n for n, w in penalties.items() if w and PENALTIES[n].examples_apart]
        if apart and self.discriminator.batch_norm:
            raise InputError(
                f"the penalty objective.penalties.{apart[0]} needs a discriminator without batch "
                "norm: set discriminator.norm to none or spectral"
            )

    def load(
        self,
        *,
        data_dir: str | None = None,
        skip_bad_images: bool = False,
        budget_bytes: float = 0,
    ) -> Dataset:
        """The images to train on, and those held out; of pairs, inputs and targets in one."""
        if self.data.budget_gib is not None and budget_bytes:
            budget_bytes = self.data.budget_gib * 2**30
        source = load(
            self.data,
            seed=self.seed,
            conditional=bool(self.objective.perceptual),
            labels_for="a perceptual loss",
            data_dir=data_dir,
            skip_bad_images=skip_bad_images,
            budget_bytes=budget_bytes,
        )
        (training,), held_out = hold_out_each((Stream(source, "image"),), self.data.held_out)
        if self.objective.perceptual:
            classifier.for_source(training.source)  # kept in the cache, for the objective
        return Dataset((training,), held_out, training.source.description)

    def build(self, data: Description) -> Any:
        """The task for these data, a `Restoration`."""
        from gan_jax.tasks.restoration.task import Restoration  # which is made of this

        return Restoration(self, data)
