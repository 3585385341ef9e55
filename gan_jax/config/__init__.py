"""The sections of a configuration, each of which builds its own object."""

from gan_jax.config.annealing import Annealing, Average
from gan_jax.config.base import FREE, Config
from gan_jax.config.evaluation import Evaluation
from gan_jax.config.optimizer import LEARNING_RATE, Optimizer
from gan_jax.config.serialization import (
    differences,
    flatten,
    from_dict,
    from_json,
    to_dict,
    to_json,
)

__all__ = [
    "FREE",
    "LEARNING_RATE",
    "Annealing",
    "Average",
    "Config",
    "Evaluation",
    "Optimizer",
    "differences",
    "flatten",
    "from_dict",
    "from_json",
    "to_dict",
    "to_json",
]
