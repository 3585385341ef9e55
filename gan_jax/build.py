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

from gan_jax import augment, losses, networks, regularizers
from gan_jax.config import Annealing, Config, Network, Optimizer, essence, to_json
from gan_jax.data.sources import Description
from gan_jax.ema import EMA
from gan_jax.errors import InputError
from gan_jax.objectives import (
    AdaptiveAugmentation,
    Adversarial,
    AuxiliaryClassifier,
    Objective,
    PathLength,
    PathLengthRegularization,
    Unrolled,
)
from gan_jax.schedules import Schedule, by_update
from gan_jax.state import TrainState, create_train_states
from gan_jax.transforms import clip_weights, freeze, lazy_adam, orthogonal_regularization

T = TypeVar("T")

_PATH_LENGTH_EVERY = 4  # as in StyleGAN2


def _once(function: Callable[..., T]) -> Callable[..., T]:
    """Remembers what a function gave, by the contents of the dataclasses that it was given."""
    known: dict[tuple[Any, ...], T] = {}

    @functools.wraps(function)
    def remembering(*arguments: Any) -> T:
        key = tuple(to_json(a) if dataclasses.is_dataclass(a) else a for a in arguments)
        if key not in known:
            known[key] = function(*arguments)
        return known[key]

    return remembering


def _form(data: Description) -> Description:
    """What networks depend on: data of one form share what was built for them."""
    return Description(data.shape, data.num_classes, examples=0, fingerprint="")


def objective(config: Config, data: Description) -> Objective:
    """The losses and penalties of a configuration.

    Raises:
        InputError: label smoothing for a loss that has none.
    """
    wanted, annealing = config.objective, config.annealing
    loss = losses.LOSSES[wanted.loss]
    smooths = "label_smoothing" in inspect.signature(loss.discriminator).parameters
    if wanted.label_smoothing is not None and not smooths:
        raise InputError(f"the loss {wanted.loss} has no targets that label smoothing could smooth")
    average = config.average
    half_life = _annealed(average.half_life, annealing.half_life, annealing, backwards=True)
    made = Adversarial(
        loss=loss,
        regularizers=_regularizers(config),
        latent_dim=wanted.latent_dim,
        label_smoothing=wanted.label_smoothing,
        ema=EMA(half_life, average.ramp_up),
        together=config.discriminator.kind != "stylegan2",  # it compares the examples of a batch
        augmentation=None if wanted.bcr else augmentation(config),
    )
    control = _adaptive(config)
    if control is not None:
        made = AdaptiveAugmentation(made, control)
    if wanted.auxiliary:
        made = AuxiliaryClassifier(made, wanted.auxiliary)
    if wanted.path_length:
        network = generator(config, data)
        made = PathLengthRegularization(
            made,
            (network.layers, network.style_dim),
            PathLength(wanted.path_length),
            every=_PATH_LENGTH_EVERY,
        )
    if wanted.unroll:
        made = Unrolled(made, wanted.unroll)
    return made


def _regularizers(config: Config) -> tuple[Callable, ...]:
    wanted, annealing = config.objective, config.annealing
    chosen = []
    for name, penalty in regularizers.PENALTIES.items():
        weight = getattr(wanted, name)
        if not weight:
            continue
        if penalty.lazy:
            weight = _annealed(weight, annealing.penalties, annealing)
        made = penalty.configured(
            weight, augmentation(config) if penalty.needs_augmentation else None
        )
        lazily = penalty.lazy and wanted.lazy > 1
        chosen.append(regularizers.Lazy(made, wanted.lazy) if lazily else made)
    return tuple(chosen)


def augmentation(config: Config) -> Callable | None:
    """What pictures go through before they are judged, or None."""
    wanted, annealing = config.augmentation, config.annealing
    steps = []
    if wanted.kind != "none":
        options = {
            "probability": _annealed(
                wanted.probability, annealing.augmentation, annealing, backwards=True
            )
        }
        if wanted.kind == "ada":
            options |= {"categories": wanted.categories} if wanted.categories else {}
            steps.append(augment.ADA(weights=dict(wanted.weights), **options))
        else:
            options |= {"policy": wanted.categories} if wanted.categories else {}
            steps.append(augment.DiffAugment(**options))
    if wanted.noise:
        steps.append(augment.InstanceNoise(_annealed(wanted.noise, annealing.noise, annealing)))
    if len(steps) > 1:
        return augment.Chain(tuple(steps))
    return steps[0] if steps else None


def _adaptive(config: Config) -> augment.AdaptiveProbability | None:
    wanted = config.augmentation
    if wanted.target is None:
        return None
    return augment.AdaptiveProbability(wanted.target, wanted.images)


def _annealed(
    value: float, factor: float, annealing: Annealing, *, backwards: bool = False
) -> float | Schedule:
    """From `value` to `factor` times it; `backwards`, the other way round."""
    if factor == 1:
        return value
    ends = (value * factor, value) if backwards else (value, value * factor)
    return Schedule(*ends, annealing.images, annealing.shape)


def generator(config: Config, data: Description):
    """A Linen module that makes examples of the data's shape.

    Raises:
        InputError: networks of this kind do not make such examples.
    """
    return _generator(essence(config), _form(data))


@_once
def _generator(config: Config, data: Description):
    network, options = config.generator, _options(config, config.generator, data)
    if network.kind == "mlp":
        return networks.mlp.Generator(
            features=data.shape[0], width=network.width, depth=network.depth, **options
        )
    options |= {"channels": data.shape[2]}
    if network.kind == "r3gan":
        return networks.r3gan.Generator(**_r3gan_widths(network), **options)
    options |= {"resolution": data.shape[0], "width": network.width}
    if network.kind == "stylegan2":
        return networks.stylegan2.Generator(
            max_width=network.max_width,
            mapping_depth=network.depth,
            style_dim=config.objective.latent_dim,
            style_mixing=network.style_mixing,
            **options,
        )
    if network.kind == "biggan":
        return networks.biggan.Generator(**options)
    return _PLAIN[network.kind].Generator(norm=network.norm, **options)


def discriminator(config: Config, data: Description):
    """A Linen module that judges examples of the data's shape.

    Raises:
        InputError: networks of this kind do not take such examples.
    """
    return _discriminator(essence(config), _form(data))


@_once
def _discriminator(config: Config, data: Description):
    module = _unpacked(config, data)
    packing = config.objective.packing
    return module if packing == 1 else networks.packing.Packed(module, packing)


def _unpacked(config: Config, data: Description):
    network, options = config.discriminator, _options(config, config.discriminator, data)
    if network.kind == "mlp":
        return networks.mlp.Discriminator(width=network.width, depth=network.depth, **options)
    if network.kind == "r3gan":
        return networks.r3gan.Discriminator(**_r3gan_widths(network), **options)
    options |= {"resolution": data.shape[0], "width": network.width}
    if network.kind == "stylegan2":
        return networks.stylegan2.Discriminator(
            max_width=network.max_width,
            residual=network.residual,
            minibatch_std=network.minibatch_std,
            **options,
        )
    if config.objective.auxiliary:
        options["conditioning"] = "auxiliary"
    if network.kind == "biggan":
        return networks.biggan.Discriminator(**options)
    return _PLAIN[network.kind].Discriminator(norm=network.norm, **options)


_PLAIN = {"dcgan": networks.dcgan, "resnet": networks.resnet}


def _options(config: Config, network: Network, data: Description) -> dict:
    """What networks of all kinds take."""
    if (network.kind == "mlp") != (len(data.shape) == 1):
        what = "points" if len(data.shape) == 1 else "pictures"
        raise InputError(
            f"{config.data.source} has {what}, and {network.kind} networks are not for these: set "
            f"generator.kind and discriminator.kind to {'mlp' if what == 'points' else 'dcgan'}"
        )
    if network.kind == "r3gan":
        resolution = 4 * 2 ** (len(network.widths) - 1)
        if not network.widths or resolution != data.shape[0]:
            raise InputError(
                f"r3gan networks have a width for every resolution from 4×4 up to that of the "
                f"data, {data.shape[0]}×{data.shape[0]}: set generator.widths and "
                "discriminator.widths"
            )
    elif network.kind in _TITLES:
        resolutions = getattr(networks, network.kind).RESOLUTIONS
        if data.shape[0] not in resolutions:
            raise InputError(
                f"a {_TITLES[network.kind]} makes pictures of {', '.join(map(str, resolutions))} "
                f"pixels, not {data.shape[0]}: set data.resolution (and data.fit)"
            )
    return {
        "num_classes": data.num_classes if config.objective.conditional else None,
        "dtype": jnp.dtype(network.dtype),
    }


_TITLES = {"dcgan": "DCGAN", "resnet": "ResNet", "biggan": "BigGAN"}


def _r3gan_widths(network: Network) -> dict[str, tuple[int, ...]]:
    groups = network.groups or tuple(max(1, 2 * width // 16) for width in network.widths)
    return {"widths": network.widths, "groups": groups}


def slowed(config: Config, factor: float) -> Config:
    """The same with all learning rates multiplied by `factor`."""

    def slow(optimizer: Optimizer) -> Optimizer:
        return dataclasses.replace(optimizer, learning_rate=optimizer.learning_rate * factor)

    return dataclasses.replace(
        config, g_optimizer=slow(config.g_optimizer), d_optimizer=slow(config.d_optimizer)
    )


def optimizers(
    config: Config, *, traced: bool = False
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Of the discriminator and of the generator. Learning rates that are `traced` are numbers in
    the optimisers' states, under LEARNING_RATE: there they can differ from state to state.

    Raises:
        InputError: optax has no such optimiser, or it does not take these options.
    """
    return tuple(
        _optimizer(wanted, config.annealing, _Use(images, every, traced))
        for wanted, images, every in zip(
            (config.d_optimizer, config.g_optimizer),
            _images_per_update(config),
            _lazily_every(config),
            strict=True,
        )
    )


def learning_rates(config: Config) -> tuple[float, float]:
    """At the start, of the discriminator and of the generator."""
    d_every, g_every = _lazily_every(config)
    return (
        _lazily(config.d_optimizer, d_every).learning_rate,
        _lazily(config.g_optimizer, g_every).learning_rate,
    )


def _images_per_update(config: Config) -> tuple[float, float]:
    """Real examples that a run sees from one update of the discriminator to its next, and of the
    generator. Both learning rates end together, however often either is updated."""
    turns = config.alternation
    if turns.d_epochs is not None:
        updates = (turns.d_epochs, turns.g_epochs)
        batches = turns.d_epochs + turns.g_epochs
    else:
        updates, batches = (turns.d_steps, turns.g_steps), turns.batches
    return tuple(config.batch_size * batches / max(n, 1) for n in updates)


def _lazily_every(config: Config) -> tuple[int, int]:
    """Of how many updates of each player one has a penalty."""
    wanted = config.objective
    has_gradient_penalties = any((wanted.r1, wanted.r2, wanted.wgan_gp, wanted.dragan))
    return (
        wanted.lazy if has_gradient_penalties else 1,
        _PATH_LENGTH_EVERY if wanted.path_length else 1,
    )


def _lazily(config: Optimizer, every: int) -> Optimizer:
    """Corrected for a penalty that comes in every so manieth update only."""
    if every == 1 or not config.name.startswith("adam"):
        return config
    defaults = {"b1": 0.9, "b2": 0.999} | config.options
    rate, b1, b2 = lazy_adam(config.learning_rate, defaults["b1"], defaults["b2"], every)
    return dataclasses.replace(config, learning_rate=rate, options=defaults | {"b1": b1, "b2": b2})


LEARNING_RATE = "step_size"


@dataclasses.dataclass(frozen=True)
class _Use:
    images: float
    """From one update to the next."""
    every: int
    """Of how many updates one has a penalty."""
    traced: bool


@_once
def _optimizer(config: Optimizer, annealing: Annealing, use: _Use) -> optax.GradientTransformation:
    as_set, config = config, _lazily(config, use.every)
    rate = 1.0 if use.traced else config.learning_rate
    rate = _annealed(rate, annealing.learning_rate, annealing)
    options, factory = dict(config.options), getattr(optax, config.name, None)
    if isinstance(rate, Schedule):
        rate = by_update(rate, use.images)
    if annealing.b2 is not None:
        last = dataclasses.replace(as_set, options=as_set.options | {"b2": annealing.b2})
        ends = options["b2"], _lazily(last, use.every).options["b2"]
        b2 = Schedule(*ends, annealing.images, annealing.shape)
        options["b2"] = by_update(b2, use.images)
        factory = callable(factory) and optax.inject_hyperparams(factory)
    if not callable(factory):
        raise InputError(f"optax has no optimiser {config.name!r}")
    try:
        tx = factory(rate, **options)
        if not isinstance(tx, optax.GradientTransformation):
            raise TypeError("it is no optimiser")
    except (TypeError, ValueError) as error:
        options = " ".join(f"{k}={v}" for k, v in config.options.items())
        raise InputError(
            f"optax.{config.name} does not go with a learning rate and the options {options}: "
            f"{error} (give d_optimizer.options or g_optimizer.options those that it takes)"
        ) from error
    before, after = [], []
    if use.traced:
        after.append(optax.inject_hyperparams(optax.scale)(**{LEARNING_RATE: config.learning_rate}))
    if config.orthogonal:
        before.append(orthogonal_regularization(config.orthogonal))
    if config.clip_gradients is not None:
        before.append(optax.clip_by_global_norm(config.clip_gradients))
    if config.clip_weights is not None:
        after.append(clip_weights(config.clip_weights))
    if config.freeze:
        after.append(freeze(config.freeze))
    return optax.chain(*before, tx, *after) if before or after else tx


def states(
    config: Config, data: Description, *, traced: bool = False
) -> tuple[TrainState, TrainState]:
    """Both players at the start of the run that `config` describes: `(d, g)`. Learning rates may be
    `traced` (see `optimizers`).

    Traceable: `jax.eval_shape` gives the shapes without computing anything.
    """
    key = jax.random.fold_in(jax.random.key(config.seed), INITIALIZATION)
    return _creation(essence(config), _form(data), traced)(key)


@_once
def _creation(config: Config, data: Description, traced: bool) -> Callable[..., Any]:
    """From a key to both players, compiled."""

    def create(key: Key[Array, ""]) -> tuple[TrainState, TrainState]:
        batch = {"real": jnp.zeros((1, *data.shape), jnp.float32)}
        if config.objective.conditional:
            batch["label"] = jnp.zeros((1,), jnp.int32)
        d_tx, g_tx = optimizers(config, traced=traced)
        return create_train_states(
            key,
            generator=generator(config, data),
            discriminator=discriminator(config, data),
            objective=objective(config, data),
            batch=batch,
            d_tx=d_tx,
            g_tx=g_tx,
        )

    return jax.jit(create)


# The streams of a run, each folded into the root key of its seed.
INITIALIZATION, TRAINING, PICTURES, CHECKS = range(4)
