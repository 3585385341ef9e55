"""How a network is optimised: from its section to an optax transformation."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, cast

import optax

from gan_jax.config.annealing import Annealing
from gan_jax.errors import InputError
from gan_jax.schedules import Schedule, by_update
from gan_jax.sections import Numbers, Section, number
from gan_jax.transforms import clip_weights, freeze, lazy_adam, orthogonal_regularization

LEARNING_RATE = "step_size"
"""Where a traced learning rate is in the optimiser's state."""

_ROOTS = ("adam", "adamw", "nadam", "nadamw", "amsgrad", "radam", "lamb")
"""Optimisers that divide by the root of a mean square, and add to it what keeps the root's
derivative finite: `eps_root`."""


@dataclasses.dataclass(frozen=True)
class Optimizer(Section):
    """How one network is optimised."""

    name: str = "adam"
    """Any optimiser of optax that takes a learning rate: adam, rmsprop, sgd, lion, …"""
    learning_rate: float = number(2e-4, least=0)
    """At the start (see annealing)."""
    options: Mapping[str, float] = dataclasses.field(
        default_factory=lambda: Numbers({"b1": 0.5, "b2": 0.999})
    )
    """Further arguments of that optimiser. Giving some replaces all."""
    clip_gradients: float | None = number(None, above=0)
    """Scale gradients down to this global norm where theirs is larger."""
    clip_weights: float | None = number(None, above=0)
    """Keep every parameter within ± this (the original Wasserstein GAN)."""
    orthogonal: float = number(0.0, least=0)
    """β of BigGAN's orthogonal regularisation."""
    freeze: tuple[str, ...] = ()
    """Layers that stay as they are, by name (`--dry-run` lists them)."""

    def __post_init__(self):
        object.__setattr__(self, "options", Numbers(self.options))

    @property
    def differentiable(self) -> bool:
        """Whether its updates have a derivative where a gradient is 0, as unrolling needs."""
        return self.name not in _ROOTS or bool(self.options.get("eps_root", 0))

    def slowed(self, factor: float) -> "Optimizer":
        """The same with its learning rate multiplied by `factor`."""
        return dataclasses.replace(self, learning_rate=self.learning_rate * factor)

    def lazily(self, every: int) -> "Optimizer":
        """The same, corrected for a penalty that comes in one of `every` updates only."""
        if every == 1 or not self.name.startswith("adam"):
            return self
        defaults = {"b1": 0.9, "b2": 0.999} | dict(self.options)
        rate, b1, b2 = lazy_adam(self.learning_rate, defaults["b1"], defaults["b2"], every)
        options = Numbers(defaults | {"b1": b1, "b2": b2})
        return dataclasses.replace(self, learning_rate=rate, options=options)

    def build(
        self, annealing: Annealing, *, images: float, every: int = 1, traced: bool = False
    ) -> optax.GradientTransformation:
        """The optimiser.

        Args:
            annealing: What its learning rate and b2 follow.
            images: Seen from one update to the next.
            every: Of how many updates one has a penalty.
            traced: Whether the learning rate is a number in the optimiser's state, under
                `LEARNING_RATE`, where it can differ from state to state.

        Raises:
            InputError: optax has no such optimiser, or it does not take these options.
        """
        return _build(self, annealing, images, every, traced)


@functools.cache
def _build(
    section: Optimizer, annealing: Annealing, images: float, every: int, traced: bool
) -> optax.GradientTransformation:
    corrected = section.lazily(every)
    rate = annealing.falling(1.0 if traced else corrected.learning_rate, annealing.learning_rate)
    options: dict[str, Any] = dict(corrected.options)
    factory: Any = getattr(optax, section.name, None)
    if isinstance(rate, Schedule):
        rate = by_update(rate, images)
    if annealing.b2 is not None:
        last = dataclasses.replace(
            section, options=Numbers({**section.options, "b2": annealing.b2})
        )
        b2 = annealing.between(options["b2"], last.lazily(every).options["b2"])
        options["b2"] = by_update(b2, images)
        factory = callable(factory) and optax.inject_hyperparams(cast(Any, factory))
    if not callable(factory):
        raise InputError(f"optax has no optimiser {section.name!r}")
    try:
        tx = factory(rate, **options)
        if not isinstance(tx, optax.GradientTransformation):
            raise TypeError("it is no optimiser")
    except (TypeError, ValueError) as error:
        given = " ".join(f"{k}={v}" for k, v in corrected.options.items())
        raise InputError(
            f"optax.{section.name} does not go with a learning rate and the options {given}: "
            f"{error} (give d_optimizer.options or g_optimizer.options those that it takes)"
        ) from error
    before, after = [], []
    if traced:
        scale = optax.inject_hyperparams(optax.scale)
        after.append(scale(**{LEARNING_RATE: corrected.learning_rate}))
    if section.orthogonal:
        before.append(orthogonal_regularization(section.orthogonal))
    if section.clip_gradients is not None:
        before.append(optax.clip_by_global_norm(section.clip_gradients))
    if section.clip_weights is not None:
        after.append(clip_weights(section.clip_weights))
    if section.freeze:
        after.append(freeze(section.freeze))
    return optax.chain(*before, tx, *after) if before or after else tx
