"""How the training of translators is measured: each direction by itself."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gan_jax.critic import of_examples
from gan_jax.health import signals
from gan_jax.health.signals import Measured, Reference, Target
from gan_jax.losses import Loss
from gan_jax.networks.domains import other
from gan_jax.state import TrainState

EXAMPLES = 128
"""Of each kind at every check: translating costs more than judging."""


class Images:
    """Those of one domain, as networks see them: float32 [n, h, w, c]."""

    def __init__(self, seen: np.ndarray, held_out: np.ndarray | None, stored: np.ndarray):
        self.seen, self.held_out = seen, held_out
        self.stored = stored
        """uint8, of both kinds."""


class TranslationChecks:
    """Of both generators of a translator, and the discriminators of what they make.

    `images` are those of both domains, by domain.
    """

    def __init__(self, images: Mapping[str, Images], directions: Mapping[str, str], loss: Loss):
        self.parts = tuple(directions)
        self._images, self._domains, self._loss = images, directions, loss

    @functools.cached_property
    def _references(self) -> dict[str, tuple[Reference, Target]]:
        """Real examples of what each direction makes."""
        found = {}
        for direction, domain in self._domains.items():
            images = self._images[domain]
            features = signals.features_of(images.stored)
            found[direction] = signals.make_reference(
                images.seen, None, images.held_out, None, features, examples=EXAMPLES
            )
        return found

    @functools.cached_property
    def _inputs(self) -> dict[str, Float[Array, "n h w c"]]:
        """What each direction translates."""
        return {
            direction: jnp.asarray(_first(self._images[other(domain)].seen))
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
    def judge(x: Array, _: Any) -> Array:
        logits, _ = d.apply(d.params, x, domain=domain, train=True)
        return of_examples(logits).astype(jnp.float32)

    fake, _ = g.apply(g.params, inputs, domain=domain, train=True)
    averaged = None
    if g.ema_params is not None:
        averaged, _ = g.apply(g.ema_params, inputs, domain=domain, train=False)
    measured = signals.compare(
        reference, fake, averaged, judge=judge, generator_loss=loss.generator
    )
    return measured._replace(scalars=measured.scalars | signals.drift(g))


def _first(x: np.ndarray) -> np.ndarray:
    """The first EXAMPLES of them, over and over if there are not as many."""
    return np.resize(x, (EXAMPLES, *x.shape[1:]))
