"""How the training of translators is measured: each direction by itself."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from gan_jax.health import signals
from gan_jax.health.signals import Measured, Reference, Target
from gan_jax.losses import Loss
from gan_jax.networks.domains import other
from gan_jax.state import TrainState
from gan_jax.tasks.applying import CHECKED


class Images:
    """Those of one domain, as networks see them: float32 [n, h, w, c]."""

    def __init__(self, seen: np.ndarray, held_out: np.ndarray | None, stored: np.ndarray):
        self.seen, self.held_out = seen, held_out
        self.stored = stored
        """uint8, of both kinds."""


class TranslationChecks:
    """Of both generators of a translator, and the discriminators of what they make.

    `images_of` gives those of a domain. It is called at the first check: a run that is too short
    for one need not wait for it.
    """

    def __init__(
        self, images_of: Callable[[str], Images], directions: Mapping[str, str], loss: Loss
    ):
        self.parts = tuple(directions)
        self._images_of, self._domains, self._loss = images_of, directions, loss

    @functools.cached_property
    def _images(self) -> dict[str, Images]:
        return {domain: self._images_of(domain) for domain in self._domains.values()}

    @functools.cached_property
    def _references(self) -> dict[str, tuple[Reference, Target]]:
        """Real examples of what each direction makes."""
        found = {}
        for direction, domain in self._domains.items():
            images = self._images[domain]
            features = signals.features_of(images.stored)
            found[direction] = signals.make_reference(
                images.seen, None, images.held_out, None, features, examples=CHECKED
            )
        return found

    @functools.cached_property
    def _inputs(self) -> dict[str, Float[Array, "n h w c"]]:
        """What each direction translates."""
        return {
            direction: signals.first_of(self._images[other(domain)].seen, CHECKED)
            for direction, domain in self._domains.items()
        }

    def measure(self, iteration: int, d: TrainState, g: TrainState) -> dict[str, Measured]:
        return {
            direction: _measure(
                d, g, self._inputs[direction], reference, domain=domain, loss=self._loss
            )
            for (direction, domain), (reference, _) in zip(
                self._domains.items(), self._references.values(), strict=True
            )
        }

    def finish(
        self, measured: dict[str, Measured], shares: dict[str, list[float]] | None
    ) -> tuple[dict[str, float], Any]:
        values: dict[str, float] = {}
        now: dict[str, list[float]] = {}
        for direction, found in measured.items():
            before = None if shares is None else shares[direction]
            target = self._references[direction][1]
            own, now[direction] = signals.finish(found, target, before)
            values |= {f"{direction}/{name}": value for name, value in own.items()}
        return values, now


@functools.partial(jax.jit, static_argnames=("domain", "loss"))
def _measure(
    d: TrainState, g: TrainState, inputs: Array, reference: Reference, *, domain: str, loss: Loss
) -> Measured:
    judge = functools.partial(signals.judge_by, d, domain=domain)
    return signals.assess(g, reference, inputs, judge=judge, loss=loss, domain=domain)
