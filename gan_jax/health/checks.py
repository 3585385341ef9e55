"""What a monitor asks of a training: to be measured, on the device and then on the host."""

import functools
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Key

from gan_jax.health import signals
from gan_jax.health.signals import Measured, Reference, Target
from gan_jax.losses import Loss
from gan_jax.state import TrainState


@runtime_checkable
class Checks(Protocol):
    """How one kind of training is measured."""

    parts: tuple[str, ...]
    """Of a training of several generators, what each is called: their signals are named `part/name`
    then, and each is diagnosed by itself. Empty if there is but one."""

    def measure(self, iteration: int, d: TrainState, g: TrainState) -> Any:
        """Starts to measure; what it gives is on its way."""
        ...

    def finish(self, measured: Any, shares: Any) -> tuple[dict[str, float], Any]:
        """Waits, and gives all signals as numbers and the generator's share of each bin, or of
        several generators these by part; `shares` are those of the check before, if there was
        one."""
        ...


class LatentChecks:
    """Of a generator that makes examples of noise, and its discriminator.

    `make_reference` is called at the first check: a run that is too short for one need not wait
    for it. Which noise a check takes depends on `key` and the iteration alone.
    """

    parts = ()

    def __init__(
        self,
        make_reference: Callable[[], tuple[Reference, Target]],
        key: Key[Array, ""],
        *,
        loss: Loss,
        latent_dim: int,
    ):
        self._make_reference, self._key = make_reference, key
        self._loss, self._latent_dim = loss, latent_dim

    @functools.cached_property
    def _reference(self) -> tuple[Reference, Target]:
        return self._make_reference()

    def measure(self, iteration: int, d: TrainState, g: TrainState) -> Measured:
        key = jax.random.fold_in(self._key, iteration)
        return signals.measure(
            d, g, self._reference[0], key, loss=self._loss, latent_dim=self._latent_dim
        )

    def finish(
        self, measured: Measured, shares: list[float] | None
    ) -> tuple[dict[str, float], list[float]]:
        return signals.finish(measured, self._reference[1], shares)
