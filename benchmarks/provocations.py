"""Runs that go wrong on purpose, and some that do not."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gan_jax.config import Annealing, Average, Config, Data, Network, Objective, Optimizer
from gan_jax.losses import Loss
from gan_jax.objectives import Wrapper
from gan_jax.steps import Alternation

Change = Callable[[Config], Config]


def _adam(rate: float, b1: float = 0.0, b2: float = 0.99) -> Optimizer:
    return Optimizer(learning_rate=rate, options={"b1": b1, "b2": b2})


def _game(name: str, iterations: int, rate: float, generator, discriminator, **fields) -> Config:
    return Config(
        name=name,
        iterations=iterations,
        generator=generator,
        discriminator=discriminator,
        g_optimizer=_adam(rate),
        d_optimizer=_adam(rate),
        **fields,
    )


GAMES = {
    "ring": _game(
        "ring",
        6000,
        1e-3,
        Network(kind="mlp", width=64),
        Network(kind="mlp", width=64),
        batch_size=128,
        data=Data(source="ring"),
        objective=Objective(loss="relativistic_pairing", r1=0.1, r2=0.1, latent_dim=2),
        average=Average(half_life=20_000),
    ),
    "digits": _game(
        "digits",
        3000,
        1e-3,
        Network(width=32, norm="batch"),
        Network(width=32),
        batch_size=64,
        data=Data(source="digits"),
        objective=Objective(loss="relativistic_pairing", r1=0.1, r2=0.1, latent_dim=32),
    ),
    "mnist": _game(
        "mnist",
        2000,
        1e-3,
        Network(width=8, norm="batch"),
        Network(width=8),
        batch_size=32,
        data=Data(source="tfds:mnist", resolution=16),
        objective=Objective(loss="relativistic_pairing", r1=0.5, r2=0.5, latent_dim=32),
    ),
}


def change(**fields) -> Change:
    """Sets fields, by their names with `__` for the dot: `objective__r1=0`."""

    def apply(config: Config) -> Config:
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
    """An `Adversarial` objective whose discriminator is told at random which examples are real: it
    learns nothing and drifts, and what it tells the generator is noise."""

    def d_loss(self, d_params, d, g, batch, key, axis_name=None):
        toss = jax.random.bernoulli(jax.random.fold_in(key, 7), shape=(len(batch["real"]),))

        def shuffled(real_logits, fake_logits):
            real = jnp.where(toss, real_logits, fake_logits)
            fake = jnp.where(toss, fake_logits, real_logits)
            return self.loss.discriminator(real, fake)

        loss = Loss(shuffled, self.loss.generator, self.loss.threshold)
        blind = self.objective.replace(loss=loss, regularizers=())
        return blind.d_loss(d_params, d, g, batch, key, axis_name)


@dataclass(frozen=True)
class Provocation:
    """A healthy game (`game`, changed by `first`) that goes on under `then` from `onset`, a share
    of the run; at 0, from its beginning."""

    state: str
    name: str
    game: str
    first: Change = same
    onset: float = 0.0
    then: Change | None = None
    blind: bool = False
    runs: int = 4

    def configs(self) -> tuple[Config, Config | None]:
        first = self.first(GAMES[self.game])
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
    return change(discriminator__width=2 * config.discriminator.width)(config)


UNREGULARIZED = change(objective__r1=0.0, objective__r2=0.0)
MIDWAY = 0.4


def _in(games: str, state: str, name: str, **options) -> list[Provocation]:
    return [Provocation(state, name, game, **options) for game in games.split()]


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
            UNREGULARIZED,
            loss("wasserstein"),
            change(objective__wgan_gp=1.0, alternation=Alternation(d_steps=3)),
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
        first=change(discriminator__width=1, discriminator__depth=1),
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
"""What `benchmarks.diagnosis` plays."""
