"""What determines a run that learns to translate between two domains."""

import dataclasses
from typing import Any, ClassVar

from gan_jax import config as base
from gan_jax.config import Evaluation
from gan_jax.data import Described, Domains
from gan_jax.errors import InputError
from gan_jax.networks import cyclegan, patchgan
from gan_jax.networks.base import DiscriminatorSection, TranslatorSection
from gan_jax.sections import number
from gan_jax.tasks.base import Dataset
from gan_jax.tasks.losses import LossName, Penalized, check_examples_apart


@dataclasses.dataclass(frozen=True)
class Objective(Penalized):
    """What the networks of both domains minimise."""

    loss: LossName = "least_squares"
    cycle: float = number(5.0, least=0)
    """Weight of coming back to the image that it began with. With least_squares, 5 is the paper's
    10, whose loss has no ½."""
    identity: float = number(2.5, least=0)
    """Weight of leaving alone what is of the target domain already. 0: none, a third faster, and
    colors may change more."""
    pool: int = number(50, least=0)
    """Earlier translations that each discriminator is shown half of the time. 0: none."""


@dataclasses.dataclass(frozen=True)
class Config(base.Config, kind="translation"):
    """Everything that determines a run that learns to translate."""

    description_type: ClassVar[type[Any]] = Described

    batch_size: int = number(4, least=1)
    """Images of each domain in a batch, over all devices."""
    evaluation: Evaluation = dataclasses.field(
        default=Evaluation(metrics=("fid", "kid", "target"), extractor="classifier"),
        metadata=base.FREE,
    )
    data: Domains = Domains()
    objective: Objective = Objective()
    generator: TranslatorSection = cyclegan.TranslatorSection()
    discriminator: DiscriminatorSection = patchgan.DiscriminatorSection()

    def validate(self, where: str = "") -> None:
        super().validate(where)
        objective = self.objective
        check_examples_apart(objective.penalties, self.discriminator)
        if 0 < objective.pool < self.batch_size:
            raise InputError(
                f"a pool of {objective.pool} images is too small for batches of "
                f"{self.batch_size}: set objective.pool to {self.batch_size} or more, or 0"
            )

    def load(
        self,
        *,
        data_dir: str | None = None,
        skip_bad_images: bool = False,
        budget_bytes: float = 0,
    ) -> Dataset:
        """The images of both domains to train on, and those held out."""
        streams = self.data.load(
            data_dir=data_dir, skip_bad_images=skip_bad_images, budget_bytes=budget_bytes
        )
        training, held_out = self.data.split_off(streams)
        a, b = (stream.source.description for stream in training)
        return Dataset(training, held_out, Described(a, b))

    def build(self, data: Described) -> Any:
        """The task for these data, a `Translation`."""
        from gan_jax.tasks.translation.task import Translation  # which is made of this

        return Translation(self, data)
