"""How the training of what makes images of their inputs is measured."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gan_jax import figures
from gan_jax.critic import of_examples
from gan_jax.health import signals
from gan_jax.health.signals import Measured, Reference, Target
from gan_jax.losses import Loss
from gan_jax.state import TrainState

EXAMPLES = 128
"""Of each kind at every check."""

Pairs = Mapping[str, np.ndarray]
"""`input` and `target`, float32 in [−1, 1]."""


class RestorationChecks:
    """Of one generator, whose discriminator knows the inputs if it is `conditional`."""

    parts = ()

    def __init__(self, seen: Pairs, held_out: Pairs | None, loss: Loss, *, conditional: bool):
        self._seen, self._held_out = seen, held_out
        self._loss, self._conditional = loss, conditional

    @functools.cached_property
    def _reference(self) -> tuple[Reference, Target]:
        seen, held_out = self._seen, self._held_out or {}
        real = [x["target"] for x in (seen, held_out) if x]
        return signals.make_reference(
            seen["target"],
            seen["input"],
            held_out.get("target"),
            held_out.get("input"),
            signals.features_of(figures.to_uint8(np.concatenate(real))),
            examples=EXAMPLES,
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
        shown = jnp.concatenate([given, x], axis=-1) if conditional else x
        logits, _ = d.apply(d.params, shown, train=True)
        return of_examples(logits).astype(jnp.float32)

    inputs = reference.seen_condition
    fake, _ = g.apply(g.params, inputs, train=True)
    averaged = None
    if g.ema_params is not None:
        averaged, _ = g.apply(g.ema_params, inputs, train=False)
    measured = signals.compare(
        reference, fake, averaged, judge=judge, generator_loss=loss.generator
    )
    return measured._replace(scalars=measured.scalars | signals.drift(g))
