"""From a configuration to the objects it describes.

Equal configurations, whatever their seeds, give the same objects: what was compiled for one run
then serves the next one in this process.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key

from gan_jax import losses, networks, regularizers
from gan_jax.config import Config, Network, Optimizer, essence, to_json
from gan_jax.data.sources import Description
from gan_jax.ema import EMA
from gan_jax.errors import InputError
from gan_jax.objectives import Adversarial
from gan_jax.state import TrainState, create_train_states

T = TypeVar("T")


def _once(function: Callable[..., T]) -> Callable[..., T]:
    """Remembers what a function of dataclasses gave, by their contents."""
    known: dict[tuple[str, ...], T] = {}

    @functools.wraps(function)
    def remembering(*arguments: Any) -> T:
        key = tuple(to_json(argument) for argument in arguments)
        if key not in known:
            known[key] = function(*arguments)
        return known[key]

    return remembering


def objective(config: Config) -> Adversarial:
    """The losses and penalties of a configuration.

    Raises:
        InputError: label smoothing for a loss that has none.
    """
    wanted = config.objective
    loss = losses.LOSSES[wanted.loss]
    smooths = "label_smoothing" in inspect.signature(loss.discriminator).parameters
    if wanted.label_smoothing is not None and not smooths:
        raise InputError(f"the loss {wanted.loss} has no targets that label smoothing could smooth")
    penalties = (
        (wanted.r1, regularizers.R1),
        (wanted.r2, regularizers.R2),
        (wanted.wgan_gp, regularizers.WassersteinGP),
        (wanted.dragan, regularizers.DRAGAN),
    )
    return Adversarial(
        loss=loss,
        regularizers=tuple(penalty(weight) for weight, penalty in penalties if weight),
        latent_dim=wanted.latent_dim,
        label_smoothing=wanted.label_smoothing,
        ema=EMA(config.average.half_life, config.average.ramp_up),
    )


def generator(config: Config, data: Description):
    """A Linen module that makes examples of the data's shape."""
    return _generator(essence(config), data)


@_once
def _generator(config: Config, data: Description):
    network, options = config.generator, _options(config, config.generator, data)
    if network.kind == "mlp":
        return networks.mlp.Generator(features=data.shape[0], depth=network.depth, **options)
    return networks.dcgan.Generator(
        resolution=data.shape[0], channels=data.shape[2], norm=network.norm, **options
    )


def discriminator(config: Config, data: Description):
    """A Linen module that judges examples of the data's shape."""
    return _discriminator(essence(config), data)


@_once
def _discriminator(config: Config, data: Description):
    network, options = config.discriminator, _options(config, config.discriminator, data)
    if network.kind == "mlp":
        return networks.mlp.Discriminator(depth=network.depth, **options)
    return networks.dcgan.Discriminator(resolution=data.shape[0], norm=network.norm, **options)


def _options(config: Config, network: Network, data: Description) -> dict:
    if (network.kind == "mlp") != (len(data.shape) == 1):
        what = "points" if len(data.shape) == 1 else "pictures"
        raise InputError(
            f"{config.data.source} has {what}, and {network.kind} networks are not for these: set "
            f"generator.kind and discriminator.kind to {'mlp' if what == 'points' else 'dcgan'}"
        )
    if network.kind == "dcgan" and data.shape[0] not in networks.dcgan.RESOLUTIONS:
        raise InputError(
            f"a DCGAN makes pictures of {', '.join(map(str, networks.dcgan.RESOLUTIONS))} pixels, "
            f"not {data.shape[0]}: set data.resolution (and data.fit)"
        )
    return {
        "width": network.width,
        "num_classes": data.num_classes if config.objective.conditional else None,
        "dtype": jnp.dtype(network.dtype),
    }


def slowed(config: Config, factor: float) -> Config:
    """The same with all learning rates multiplied by `factor`."""

    def slow(optimizer: Optimizer) -> Optimizer:
        return dataclasses.replace(
            optimizer,
            learning_rate=optimizer.learning_rate * factor,
            final_learning_rate=optimizer.final_learning_rate * factor,
        )

    return dataclasses.replace(
        config, g_optimizer=slow(config.g_optimizer), d_optimizer=slow(config.d_optimizer)
    )


@_once
def optimizer(config: Optimizer) -> optax.GradientTransformation:
    """The optax transformation of one network.

    Raises:
        InputError: optax has no such optimiser, or it does not take these options.
    """
    rate: optax.ScalarOrSchedule = config.learning_rate
    if config.schedule == "linear":
        rate = optax.linear_schedule(rate, config.final_learning_rate, config.decay_updates)
    elif config.schedule == "cosine":
        alpha = config.final_learning_rate / config.learning_rate
        rate = optax.cosine_decay_schedule(rate, config.decay_updates, alpha)
    factory = getattr(optax, config.name, None)
    try:
        tx = factory(rate, **config.options)
        if not isinstance(tx, optax.GradientTransformation):
            raise TypeError("it is no optimiser")
    except (AttributeError, TypeError, ValueError) as error:
        options = ", ".join(f"{k}={v}" for k, v in config.options.items())
        raise InputError(
            f"optax has no optimiser {config.name}(learning_rate, {options}): {error}"
        ) from error
    if config.clip_weights is not None:
        tx = optax.chain(tx, regularizers.clip_weights(config.clip_weights))
    return tx


def states(config: Config, data: Description) -> tuple[TrainState, TrainState]:
    """Both players at the start of the run that `config` describes: `(d, g)`.

    Traceable: `jax.eval_shape` gives the shapes without computing anything.
    """
    key = jax.random.fold_in(jax.random.key(config.seed), INITIALIZATION)
    return _creation(essence(config), data)(key)


@_once
def _creation(config: Config, data: Description) -> Callable[..., Any]:
    """From a key to both players, compiled."""

    def create(key: Key[Array, ""]) -> tuple[TrainState, TrainState]:
        batch = {"real": jnp.zeros((1, *data.shape), jnp.float32)}
        if config.objective.conditional:
            batch["label"] = jnp.zeros((1,), jnp.int32)
        return create_train_states(
            key,
            generator=generator(config, data),
            discriminator=discriminator(config, data),
            objective=objective(config),
            batch=batch,
            d_tx=optimizer(config.d_optimizer),
            g_tx=optimizer(config.g_optimizer),
        )

    return jax.jit(create)


# The streams of a run, each folded into the root key of its seed.
INITIALIZATION, TRAINING, PICTURES, CHECKS = range(4)
