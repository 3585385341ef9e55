"""From a configuration to the objective that it describes."""

from typing import Any

from gan_jax import losses
from gan_jax.networks.base import Form
from gan_jax.objectives import (
    AdaptiveAugmentation,
    Adversarial,
    AuxiliaryClassifier,
    PathLength,
    PathLengthRegularization,
    Unrolled,
)
from gan_jax.objectives import Objective as AnyObjective
from gan_jax.regularizers import PENALTIES, Lazy
from gan_jax.tasks.generation.config import PATH_LENGTH_EVERY, Config


def make_objective(config: Config, form: Form) -> AnyObjective:
    """The objective of a configuration, for networks of this form."""
    settings, annealing = config.objective, config.annealing
    augmentation = config.augmentation.build(
        probability=lambda value: annealing.rising(value, annealing.augmentation),
        noise=lambda value: annealing.falling(value, annealing.noise),
    )
    penalties = []
    for name, penalty in PENALTIES.items():
        weight = settings.penalties.get(name, 0)
        if weight and penalty.lazy:
            made = penalty.configured(annealing.falling(weight, annealing.penalties))
            penalties.append(made if settings.lazy == 1 else Lazy(made, settings.lazy))
        elif weight:
            penalties.append(penalty.configured(weight, augmentation))
            if penalty.needs_augmentation:
                augmentation = None  # it alone sees augmented images
    objective: Any = Adversarial(
        loss=losses.LOSSES[settings.loss],
        regularizers=tuple(penalties),
        latent_dim=settings.latent_dim,
        label_smoothing=settings.label_smoothing,
        ema=config.average.build(annealing),
        augmentation=augmentation,
        together=not config.discriminator.compares,
    )
    controller = config.augmentation.controller()
    if controller is not None:
        objective = AdaptiveAugmentation(objective, controller)
    if settings.auxiliary:
        objective = AuxiliaryClassifier(objective, settings.auxiliary)
    if settings.path_length:
        objective = PathLengthRegularization(
            objective,
            penalty=PathLength(settings.path_length),
            style_shape=config.generator.style_shape(form) or (),
            every=PATH_LENGTH_EVERY,
        )
    if settings.unroll:
        objective = Unrolled(objective, settings.unroll)
    return objective
