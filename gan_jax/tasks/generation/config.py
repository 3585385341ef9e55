"""What determines a run that learns to generate."""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from typing_extensions import Doc

from gan_jax import config as base
from gan_jax import losses, networks
from gan_jax.augment.sections import AugmentationSection, NoAugmentation
from gan_jax.data import (
    Data,
    Description,
    Examples,
    Stream,
    check_variety,
    hold_out_each,
    load,
    standardized,
    within,
)
from gan_jax.errors import InputError, all_at_once, refuse
from gan_jax.networks.base import DiscriminatorSection, GeneratorSection
from gan_jax.regularizers import PENALTIES
from gan_jax.sections import Numbers, Section, check_at_least, check_known, number
from gan_jax.tasks.base import Dataset
from gan_jax.tasks.losses import check_examples_apart

PATH_LENGTH_EVERY = 4
"""Generator updates from one path length penalty to the next, as in StyleGAN2."""


@dataclasses.dataclass(frozen=True)
class Objective(Section):
    """What the two networks minimise."""

    loss: Annotated[str, Doc(f"One of {', '.join(losses.LOSSES)}.")] = "non_saturating"
    latent_dim: int = number(64, least=1)
    """Size of the noise vector the generator starts from."""
    conditional: bool = False
    """Tell both networks the class of each example, or the numbers of its condition."""
    label_smoothing: float | None = number(None, least=0, below=1)
    """How far the discriminator's target for real examples lies below 1."""
    penalties: Annotated[
        Mapping[str, float],
        Doc(
            "Penalties on the discriminator and their weights, as r1=0.1 r2=0.1: "
            + "; ".join(f"{name}, {penalty.help}" for name, penalty in PENALTIES.items())
        ),
    ] = Numbers()
    lazy: int = number(1, least=1)
    """Apply gradient penalties only in every Nth update, N times as strong, and correct Adam for
    it."""
    auxiliary: float = number(0.0, least=0)
    """Weight of an auxiliary classifier (AC-GAN) in a conditional resnet or biggan, in place of the
    discriminator's projection. 0: none."""
    path_length: float = number(0.0, least=0)
    """Weight of the path length penalty on a stylegan2 generator, in every fourth update."""
    packing: int = number(1, least=1)
    """Examples that the discriminator judges at once (PacGAN), for unconditional models."""
    unroll: int = number(0, least=0)
    """Discriminator updates that the generator looks ahead (unrolled GANs)."""

    def __post_init__(self):
        object.__setattr__(self, "penalties", Numbers(self.penalties))

    def validate(self, where: str) -> None:
        with all_at_once() as apart:
            with apart():
                super().validate(where)
            with apart():
                check_known(f"{where}.loss", self.loss, losses.LOSSES)
            for name, weight in self.penalties.items():
                with apart():
                    check_known(f"{where}.penalties", name, PENALTIES)
                    check_at_least(f"{where}.penalties.{name}", weight, 0)
            with apart():
                refuse(self._clashes(where))

    def _clashes(self, where: str) -> Iterator[str]:
        """What does not go together, in words."""
        if self.loss in losses.LOSSES and self.label_smoothing is not None:
            loss = losses.LOSSES[self.loss].discriminator
            if "label_smoothing" not in inspect.signature(loss).parameters:
                yield f"the loss {self.loss} has no targets that label smoothing could smooth"
        if self.packing > 1 and self.conditional:
            yield f"packs mix classes: set {where}.packing to 1, or conditional to no"
        if self.auxiliary and not self.conditional:
            yield f"an auxiliary classifier needs {where}.conditional"

    @property
    def every(self) -> tuple[int, int]:
        """Of how many updates of each network, discriminator and generator, one has a penalty."""
        lazy = any(PENALTIES[name].lazy for name, weight in self.penalties.items() if weight)
        return self.lazy if lazy else 1, PATH_LENGTH_EVERY if self.path_length else 1


@dataclasses.dataclass(frozen=True)
class Config(base.Config, kind="generation"):
    """Everything that determines a run that learns to generate."""

    description_type: ClassVar[type[Any]] = Description

    data: Data = Data()
    objective: Objective = Objective()
    generator: GeneratorSection = networks.dcgan.GeneratorSection()
    discriminator: DiscriminatorSection = networks.dcgan.DiscriminatorSection()
    augmentation: AugmentationSection = NoAugmentation()

    def validate(self, where: str = "") -> None:
        super().validate(where)
        with all_at_once() as apart:
            with apart():
                check_examples_apart(self.objective.penalties, self.discriminator)
            with apart():
                refuse(self._clashes_of_networks())
            with apart():
                refuse(self._clashes_of_conditions())
            with apart():
                self.augmentation.check_leak(rises=self.annealing.augmentation != 1)
            with apart():
                refuse(self._clashes_of_augmentation())

    def _clashes_of_networks(self) -> Iterator[str]:
        objective = self.objective
        if self.batch_size % objective.packing:
            yield (
                f"a batch of {self.batch_size} is not packs of {objective.packing}: set batch_size "
                "to a multiple of objective.packing"
            )
        if objective.auxiliary and not self.discriminator.classifies:
            able = [k for k, d in DiscriminatorSection.kinds().items() if d.classifies]
            yield (
                f"objective.auxiliary is for the discriminators {' and '.join(able)}, not "
                f"{self.discriminator.kind}"
            )
        if objective.path_length and not self.generator.truncates:
            yield f"objective.path_length is for the generator stylegan2, not {self.generator.kind}"
        if objective.unroll and not self.d_optimizer.differentiable:
            yield (
                "objective.unroll differentiates the discriminator's optimiser, and "
                f"{self.d_optimizer.name} has no derivative where a gradient is 0: give it "
                "eps_root, as in --d-optimizer.options b1=0.5 b2=0.999 eps_root=1e-8"
            )

    def _clashes_of_conditions(self) -> Iterator[str]:
        objective, conditions = self.objective, self.data.conditions
        if conditions and not objective.conditional:
            yield "data.conditions are for a conditional model: set objective.conditional"
        if conditions and objective.auxiliary:
            yield "objective.auxiliary guesses classes, and data.conditions are in place of these"

    def _clashes_of_augmentation(self) -> Iterator[str]:
        objective, augmentation = self.objective, self.augmentation
        adaptive = augmentation.controller() is not None
        for name, weight in objective.penalties.items():
            if weight and PENALTIES[name].needs_augmentation:
                if not augmentation.transforms:
                    yield (
                        f"the penalty objective.penalties.{name} needs an augmentation.kind to be "
                        "consistent under"
                    )
                if adaptive:
                    yield (
                        f"with objective.penalties.{name}, it alone sees augmented images: set "
                        "augmentation.probability instead of augmentation.target"
                    )
        if adaptive and self.annealing.augmentation != 1:
            yield "augmentation.target sets the probability itself: leave annealing.augmentation"
        if adaptive and losses.LOSSES[objective.loss].threshold is None:
            yield (
                f"augmentation.target goes by the sign of a logit, which means nothing for the "
                f"loss {objective.loss}: set augmentation.probability (and let it grow by "
                "annealing.augmentation)"
            )
        if augmentation.transforms and self.discriminator.points:
            yield f"augmentation.kind {augmentation.kind} is for images, not for points"

    def check_devices(self, devices: int) -> None:
        """
        Raises:
            InputError: so many devices do not divide the batch.
        """
        super().check_devices(devices)
        packing = self.objective.packing
        if self.batch_size // devices % packing:
            raise InputError(
                f"a device's {self.batch_size // devices} of {self.batch_size} examples are not "
                f"packs of {packing}: set batch_size to a multiple of {devices * packing}"
            )

    def load(
        self,
        *,
        data_dir: str | None = None,
        skip_bad_images: bool = False,
        budget_bytes: float = 0,
    ) -> Dataset:
        """The examples to train on, and those held out."""
        source = load(
            self.data,
            seed=self.seed,
            conditional=self.objective.conditional,
            data_dir=data_dir,
            skip_bad_images=skip_bad_images,
            budget_bytes=within(self.data.budget_gib, budget_bytes),
        )
        label = source.description.label if self.objective.conditional else None
        stream = Stream(source, "real", label)
        (training,), held_out = hold_out_each((stream,), self.data.held_out)
        check_variety(training.source, self.data.source)
        if isinstance(training.source, Examples) and len(training.source.description.shape) == 1:
            points = standardized(training.source, self.data)
            training = dataclasses.replace(training, source=points)
        return Dataset((training,), held_out, training.source.description)

    def build(self, data: Description) -> Any:
        """The task for these data, a `Generation`."""
        from gan_jax.tasks.generation.task import Generation  # which is made of this

        return Generation(self, data)

    @property
    def penalties_every(self) -> tuple[int, int]:
        """Of how many updates of each network, discriminator and generator, one has a penalty."""
        return self.objective.every
