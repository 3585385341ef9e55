"""Augmentations as sections of a configuration."""

import abc
import dataclasses
from collections.abc import Callable
from typing import ClassVar

from gan_jax.augment.base import Augmentation, Chain
from gan_jax.augment.control import AdaptiveProbability
from gan_jax.augment.noise import InstanceNoise
from gan_jax.schedules import Scheduled
from gan_jax.sections import Kind, check_known, number


@dataclasses.dataclass(frozen=True)
class AugmentationSection(Kind, package="gan_jax.augment"):
    """What happens to all images before the discriminator judges them.

    A kind of augmentation is declared in its own file, by a subclass of `Transforming`.
    """

    transforms: ClassVar[bool] = False
    """Whether there is anything beside noise."""

    noise: float = number(0.0, least=0)
    """Standard deviation of instance noise, added last."""

    def controller(self) -> AdaptiveProbability | None:
        """What sets the probability while the run goes on, or None."""
        return None

    def check_leak(self, *, rises: bool) -> None:
        """Refuses what the generator would learn to imitate. `rises` says whether the probability
        begins lower than it is set.

        Raises:
            InputError: all images would always be transformed beyond recognition.
        """

    def build(
        self,
        *,
        probability: Callable[[float], Scheduled] = lambda value: value,
        noise: Callable[[float], Scheduled] = lambda value: value,
    ) -> Augmentation | None:
        """The augmentation, or None. What it is given makes schedules of its two numbers."""
        steps = [*self._transformations(probability)]
        if self.noise:
            steps.append(InstanceNoise(noise(self.noise)))
        if len(steps) > 1:
            return Chain(tuple(steps))
        return steps[0] if steps else None

    def _transformations(
        self, probability: Callable[[float], Scheduled]
    ) -> tuple[Augmentation, ...]:
        return ()


@dataclasses.dataclass(frozen=True)
class NoAugmentation(AugmentationSection, kind="none"):
    """Nothing but noise, if any."""


@dataclasses.dataclass(frozen=True)
class Transforming(AugmentationSection, abc.ABC):
    """Transformations, each of which happens to an image with some probability."""

    transforms = True
    known: ClassVar[tuple[str, ...]] = ()
    """All categories that there are."""
    chosen: ClassVar[tuple[str, ...]] = ()
    """Those that are applied if none are given."""

    categories: tuple[str, ...] = ()
    """Which transformations, by category. None given: the paper's."""
    probability: float = number(1.0, least=0, most=1)
    """Of each transformation."""
    target: float | None = number(None, least=0, below=1)
    """Let the probability follow the discriminator instead (ADA): up while the mean sign of its
    logits for real examples is above this, 0.6 in the paper, else down."""
    images: float = number(500_000, above=0)
    """With a target: in how many images the probability can rise from 0 to 1."""

    def validate(self, where: str) -> None:
        super().validate(where)
        for category in self.categories:
            check_known(f"{where}.categories", category, self.known)

    def controller(self) -> AdaptiveProbability | None:
        return None if self.target is None else AdaptiveProbability(self.target, self.images)

    def _transformations(
        self, probability: Callable[[float], Scheduled]
    ) -> tuple[Augmentation, ...]:
        return (self.transformation(probability(self.probability)),)

    @abc.abstractmethod
    def transformation(self, probability: Scheduled) -> Augmentation:
        """The transformations that are chosen, with this probability."""
