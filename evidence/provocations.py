"""Runs that go wrong on purpose, and some that do not."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from gan_jax.config import Annealing, Average, Optimizer
from gan_jax.data import Data
from gan_jax.losses import Loss
from gan_jax.networks import dcgan, mlp
from gan_jax.networks.base import DiscriminatorSection, GeneratorSection
from gan_jax.objectives import Aux, Wrapper
from gan_jax.state import TrainState
from gan_jax.steps import Alternation
from gan_jax.tasks.generation import Config, Objective

Change = Callable[[Config], Config]


def _adam(rate: float, b1: float = 0.0, b2: float = 0.99) -> Optimizer:
    return Optimizer(learning_rate=rate, options={"b1": b1, "b2": b2})


def _setting(
    name: str,
    iterations: int,
    rate: float,
    generator: GeneratorSection,
    discriminator: DiscriminatorSection,
    *,
    latent_dim: int,
    gamma: float,
    **fields: Any,
) -> Config:
    return Config(
        name=name,
        iterations=iterations,
        objective=Objective(
            loss="relativistic_pairing",
            latent_dim=latent_dim,
            penalties={"r1": gamma, "r2": gamma},
        ),
        generator=generator,
        discriminator=discriminator,
        g_optimizer=_adam(rate),
        d_optimizer=_adam(rate),
        **fields,
    )


SETTINGS = {
    "ring": _setting(
        "ring",
        6000,
        1e-3,
        mlp.GeneratorSection(width=64),
        mlp.DiscriminatorSection(width=64),
        latent_dim=2,
        gamma=0.1,
        batch_size=128,
        data=Data(source="ring"),
        average=Average(half_life=20_000),
    ),
    "digits": _setting(
        "digits",
        3000,
        1e-3,
        dcgan.GeneratorSection(width=32),
        dcgan.DiscriminatorSection(width=32),
        latent_dim=32,
        gamma=0.1,
        batch_size=64,
        data=Data(source="digits"),
    ),
    "mnist": _setting(
        "mnist",
        2000,
        1e-3,
        dcgan.GeneratorSection(width=8),
        dcgan.DiscriminatorSection(width=8),
        latent_dim=32,
        gamma=0.5,
        batch_size=32,
        data=Data(source="tfds:mnist", resolution=16),
    ),
}
"""Trainings that are healthy, by the data that they are on."""


def change(**fields: Any) -> Change:
    """Sets fields, by their names with `__` for the dot: `objective__loss="hinge"`."""

    def apply(config: Any) -> Any:
        for name, value in fields.items():
            head, _, rest = name.partition("__")
            new = change(**{rest: value})(getattr(config, head)) if rest else value
            config = dataclasses.replace(config, **{head: new})
        return config

    return apply


def rates(d: float = 1.0, g: float = 1.0) -> Change:
    """Multiplies the learning rates."""

    def apply(config: Config) -> Config:
        return change(
            d_optimizer__learning_rate=config.d_optimizer.learning_rate * d,
            g_optimizer__learning_rate=config.g_optimizer.learning_rate * g,
        )(config)

    return apply


def both(*changes: Change) -> Change:
    def apply(config: Config) -> Config:
        for each in changes:
            config = each(config)
        return config

    return apply


def same(config: Config) -> Config:
    return config


class Blind(Wrapper):
    """An objective whose discriminator is told at random which examples are real: it learns nothing
    and drifts, and what it tells the generator is noise."""

    def d_loss_given_fake(
        self,
        d_params: PyTree,
        d: TrainState,
        fake: Array,
        batch: dict[str, Array],
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Array, Aux]:
        """The discriminator's loss with half of the logits exchanged, and without penalties."""
        toss = jax.random.bernoulli(jax.random.fold_in(key, 7), shape=(len(batch["real"]),))

        def shuffled(real_logits, fake_logits):
            real = jnp.where(toss, real_logits, fake_logits)
            fake = jnp.where(toss, fake_logits, real_logits)
            return self.loss.discriminator(real, fake)

        loss = Loss(shuffled, self.loss.generator, self.loss.threshold)
        blind = self.objective.replace(loss=loss, regularizers=())
        return blind.d_loss_given_fake(d_params, d, fake, batch, key, axis_name)


@dataclass(frozen=True)
class Provocation:
    """A healthy training (`setting`, changed by `first`) that goes on under `then` from `onset`, a
    share of the run; at 0, from its beginning."""

    state: str
    name: str
    setting: str
    first: Change = same
    onset: float = 0.0
    then: Change | None = None
    blind: bool = False
    runs: int = 4

    def configs(self) -> tuple[Config, Config | None]:
        first = self.first(SETTINGS[self.setting])
        return first, None if self.onset == 0 else (self.then or same)(first)


def loss(name: str) -> Change:
    return change(objective__loss=name)


def momentum(rate: float) -> Change:
    """Adam with β₁ = 0.9: this rate for the discriminator."""
    return change(d_optimizer=_adam(rate, 0.9), g_optimizer=_adam(rate, 0.9))


def decaying(config: Config) -> Config:
    """Learning rates that fall to a hundredth, by a cosine."""
    annealing = Annealing(images=config.iterations * config.batch_size, learning_rate=0.01)
    return dataclasses.replace(config, g_optimizer=config.d_optimizer, annealing=annealing)


def wide_critic(config: Config) -> Config:
    """Twice as wide."""
    discriminator: Any = config.discriminator
    return change(discriminator__width=2 * discriminator.width)(config)


def without_capacity(config: Config) -> Config:
    """One unit or channel, in one layer where that can be chosen."""
    depth = {"discriminator__depth": 1} if hasattr(config.discriminator, "depth") else {}
    return change(discriminator__width=1, **depth)(config)


UNREGULARIZED = change(objective__penalties={})
MIDWAY = 0.4


def _in(settings: str, state: str, name: str, **options: Any) -> list[Provocation]:
    return [Provocation(state, name, setting, **options) for setting in settings.split()]


_ALL = "ring digits mnist"
_FREE = both(UNREGULARIZED, loss("non_saturating"))

PROVOCATIONS = [
    *_in(_ALL, "healthy", "relativistic pairing, R1 + R2", runs=6),
    *_in(_ALL, "healthy", "non-saturating, R1 + R2", first=loss("non_saturating"), runs=3),
    *_in(_ALL, "healthy", "hinge, R1 + R2", first=loss("hinge"), runs=3),
    *_in(
        _ALL,
        "healthy",
        "Wasserstein, gradient penalty",
        first=both(
            loss("wasserstein"),
            change(objective__penalties={"wgan_gp": 1.0}, alternation=Alternation(d_steps=3)),
        ),
        runs=3,
    ),
    *_in(_ALL, "converged", "rates decay", first=decaying, runs=7),
    *_in(
        "digits mnist",
        "d_overpowers",
        "rates 100:1, minimax",
        first=both(UNREGULARIZED, loss("minimax"), rates(g=0.01)),
        runs=5,
    ),
    *_in(
        _ALL,
        "d_overpowers",
        "rates 200:1, 5 critic steps, wide critic, minimax",
        first=both(
            UNREGULARIZED,
            loss("minimax"),
            wide_critic,
            change(iterations=1000, alternation=Alternation(5, 1)),
            rates(2, 0.01),
        ),
        runs=4,
    ),
    *_in(
        _ALL,
        "g_overpowers",
        "a critic without capacity",
        first=without_capacity,
        runs=3,
    ),
    *_in(_ALL, "g_overpowers", "rates 1:1000", first=rates(d=0.001), runs=3),
    *_in(
        "digits mnist",
        "g_overpowers",
        "critic frozen midway",
        onset=MIDWAY,
        then=rates(d=0.0),
        runs=3,
    ),
    *_in(
        "digits mnist",
        "mode_collapse",
        "latents of 1",
        first=change(objective__latent_dim=1),
        runs=6,
    ),
    *_in(
        "ring",
        "mode_collapse",
        "a generator of width 2",
        first=change(generator__width=2),
        runs=8,
    ),
    *_in(
        _ALL,
        "junk_feedback",
        "critic taught noise, midway",
        onset=MIDWAY,
        then=rates(d=20.0),
        blind=True,
        runs=7,
    ),
    *_in(
        "digits",
        "d_overfits",
        "50 examples",
        first=both(
            UNREGULARIZED, rates(d=2.0), change(discriminator__width=64, data__held_out=1747)
        ),
        runs=10,
    ),
    *_in(
        "mnist",
        "d_overfits",
        "50 examples",
        first=both(
            UNREGULARIZED, rates(d=2.0), change(discriminator__width=32, data__held_out=59_950)
        ),
        runs=10,
    ),
    *_in(
        _ALL,
        "oscillating",
        "no penalty, momentum, rates 1:10",
        first=both(_FREE, momentum(1e-3), rates(g=10.0)),
        runs=7,
    ),
    *_in(_ALL, "diverged", "rates ×1000, midway", onset=MIDWAY, then=rates(1000.0, 1000.0), runs=5),
    *_in(
        "ring",
        "diverged",
        "Wasserstein, no constraint, rates ×10",
        first=both(UNREGULARIZED, loss("wasserstein"), rates(10, 10)),
        runs=5,
    ),
    *_in(
        "ring mnist",
        "diverged",
        "gradient descent, momentum 0.95",
        first=both(
            _FREE,
            change(
                d_optimizer=Optimizer("sgd", 0.05, {"momentum": 0.95}),
                g_optimizer=Optimizer("sgd", 0.05, {"momentum": 0.95}),
            ),
        ),
        runs=3,
    ),
]
"""What `evidence.diagnosis` trains."""
