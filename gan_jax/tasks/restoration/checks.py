"""How the training of what makes images of their inputs is measured."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from gan_jax import figures
from gan_jax.health import signals
from gan_jax.health.signals import Measured, Reference, Target
from gan_jax.losses import Loss
from gan_jax.objectives.paired import beside
from gan_jax.state import TrainState
from gan_jax.tasks.applying import CHECKED

Pairs = Mapping[str, np.ndarray]
"""`input` and `target`, float32 in [−1, 1]."""


class RestorationChecks:
    """Of one generator, whose discriminator knows the inputs if it is `conditional`.

    `make_pairs` gives those that are trained on, and those held out, if there are some. It is
    called at the first check: a run that is too short for one need not wait for it.
    """

    parts = ()

    def __init__(
        self,
        make_pairs: Callable[[], tuple[Pairs, Pairs | None]],
        loss: Loss,
        *,
        conditional: bool,
    ):
        self._make_pairs = make_pairs
        self._loss, self._conditional = loss, conditional

    @functools.cached_property
    def _reference(self) -> tuple[Reference, Target]:
        seen, held_out = self._make_pairs()
        real = [x["target"] for x in (seen, held_out) if x]
        held_out = held_out or {}
        return signals.make_reference(
            seen["target"],
            seen["input"],
            held_out.get("target"),
            held_out.get("input"),
            signals.features_of(figures.to_uint8(np.concatenate(real))),
            examples=CHECKED,
        )

    def measure(self, iteration: int, d: TrainState, g: TrainState) -> Measured:
        return _measure(d, g, self._reference[0], loss=self._loss, conditional=self._conditional)

    def finish(self, measured: Measured, shares: Any) -> tuple[dict[str, float], list[float]]:
        return signals.finish(measured, self._reference[1], shares)


@functools.partial(jax.jit, static_argnames=("loss", "conditional"))
def _measure(
    d: TrainState, g: TrainState, reference: Reference, *, loss: Loss, conditional: bool
) -> Measured:
    def judge(x: Array, given: Any) -> Array:
        return signals.judge_by(d, beside(given, x) if conditional else x, None)

    inputs = reference.seen_condition
    assert inputs is not None  # or nothing could be made of them
    return signals.assess(g, reference, inputs, judge=judge, loss=loss)
