"""What the objectives of tasks have in common as sections of a configuration."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from typing_extensions import Doc

from gan_jax import losses
from gan_jax.config import Annealing
from gan_jax.errors import InputError
from gan_jax.networks.base import DiscriminatorSection
from gan_jax.regularizers import PENALTIES
from gan_jax.sections import Numbers, Section, check_at_least, check_known

_ALONE = {name: penalty for name, penalty in PENALTIES.items() if not penalty.needs_augmentation}


LossName = Annotated[str, Doc(f"One of {', '.join(losses.LOSSES)}.")]


@dataclasses.dataclass(frozen=True)
class Penalized(Section):
    """A loss, and penalties on a discriminator that sees images as they are."""

    loss: LossName = "non_saturating"
    penalties: Annotated[
        Mapping[str, float],
        Doc(
            "Penalties on each discriminator and their weights, as r1=0.1: "
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

    def regularizers(self, annealing: Annealing) -> tuple[Any, ...]:
        """The penalties that have a weight."""
        return tuple(
            PENALTIES[name].configured(annealing.falling(weight, annealing.penalties))
            for name, weight in self.penalties.items()
            if weight
        )


def check_examples_apart(
    penalties: Mapping[str, float], discriminator: DiscriminatorSection
) -> None:
    """
    Raises:
        InputError: a penalty that takes examples apart, on a discriminator with batch norm.
    """
    apart = [n for n, w in penalties.items() if w and PENALTIES[n].examples_apart]
    if apart and discriminator.batch_norm:
        raise InputError(
            f"the penalty objective.penalties.{apart[0]} needs a discriminator without batch "
            "norm: set discriminator.norm to none or spectral"
        )
