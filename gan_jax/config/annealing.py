"""What changes with the images seen."""

import dataclasses
from typing import Literal

from gan_jax.ema import EMA
from gan_jax.errors import InputError
from gan_jax.schedules import Schedule
from gan_jax.sections import Section, number


@dataclasses.dataclass(frozen=True)
class Annealing(Section):
    """What changes with the images seen, and then stays. Learning rates and b2 go by those that the
    run has seen, all else by those that the network under training has."""

    images: float = number(0, least=0)
    """Over how many images. 0: nothing changes."""
    shape: Literal["cosine", "linear"] = "cosine"
    """cosine or linear."""
    learning_rate: float = number(1.0, least=0)
    """Learning rates end at this times their setting."""
    penalties: float = number(1.0, least=0)
    """The weights of gradient penalties end at this times their setting."""
    noise: float = number(1.0, least=0)
    """Instance noise ends at this times its setting."""
    b2: float | None = None
    """Adam's b2 ends here."""
    half_life: float = number(1.0, least=0)
    """The average's half-life begins at this times its setting."""
    augmentation: float = number(1.0, least=0)
    """The augmentation's probability begins at this times its setting."""
    after: float = number(0, least=0)
    """Images before anything changes."""

    def validate(self, where: str) -> None:
        super().validate(where)
        factors = ("learning_rate", "penalties", "noise", "half_life", "augmentation")
        changes = [name for name in factors if getattr(self, name) != 1]
        changes += ["b2"] if self.b2 is not None else []
        if changes and not self.images:
            raise InputError(f"{where}.{changes[0]} needs {where}.images: over how many")

    def falling(self, value: float, factor: float) -> float | Schedule:
        """From `value` to `factor` times it."""
        return value if factor == 1 else self.between(value, value * factor)

    def rising(self, value: float, factor: float) -> float | Schedule:
        """From `factor` times `value` to `value`."""
        return value if factor == 1 else self.between(value * factor, value)

    def between(self, start: float, end: float) -> Schedule:
        """From one to the other."""
        return Schedule(start, end, self.images, self.shape, self.after)


@dataclasses.dataclass(frozen=True)
class Average(Section):
    """The generator's moving average, which samples come from."""

    half_life: float = number(10_000, least=0)
    """In images. 0: no average, samples come from the last weights."""
    ramp_up: float | None = number(0.05, above=0)
    """The half-life is at most this times the images seen so far."""

    def build(self, annealing: Annealing) -> EMA:
        """The average whose half-life grows as `annealing` says."""
        return EMA(annealing.rising(self.half_life, annealing.half_life), self.ramp_up)
