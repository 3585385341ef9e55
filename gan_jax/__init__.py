"""gan_jax: training generative adversarial networks in JAX.

The names below are pure functions of arrays and pull in jax, flax, optax and jaxtyping only. What
touches the outside world lives in modules of its own: `gan_jax.data`, `gan_jax.runs`,
`gan_jax.training`, `gan_jax.cli`; `gan_jax.train` imports them on first use.
"""

from typing import TYPE_CHECKING

from gan_jax import (
    augment,
    ema,
    losses,
    networks,
    objectives,
    parallel,
    regularizers,
    sampling,
    schedules,
    transforms,
)
from gan_jax.compilation import jit
from gan_jax.critic import Critic
from gan_jax.ema import EMA
from gan_jax.nodes import Node
from gan_jax.objectives import Adversarial, Objective, PathLength
from gan_jax.state import TrainState, create_train_states
from gan_jax.steps import Alternation, Pace, Tally, alternate, d_step, g_step, iterate

if TYPE_CHECKING:
    from gan_jax.training.train import train

__version__ = "0.2.0"

__all__ = [
    "EMA",
    "Adversarial",
    "Alternation",
    "Critic",
    "Node",
    "Objective",
    "Pace",
    "PathLength",
    "Tally",
    "TrainState",
    "alternate",
    "augment",
    "create_train_states",
    "d_step",
    "ema",
    "g_step",
    "iterate",
    "jit",
    "losses",
    "networks",
    "objectives",
    "parallel",
    "regularizers",
    "sampling",
    "schedules",
    "train",
    "transforms",
]


def __getattr__(name: str):
    if name == "train":
        from gan_jax.training.train import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
