"""gan_jax: training generative adversarial networks in JAX.

The names below are pure functions of arrays and pull in jax, flax, optax and jaxtyping only. What
touches the outside world lives in modules of its own: `gan_jax.data`, `gan_jax.runs`,
`gan_jax.loop`, `gan_jax.cli`; `gan_jax.train` imports them on first use.
"""

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
)
from gan_jax.ema import EMA
from gan_jax.objectives import Adversarial
from gan_jax.path_length import PathLength
from gan_jax.state import TrainState, create_train_states
from gan_jax.steps import Alternation, alternate, d_step, g_step

__version__ = "0.1.0"

__all__ = [
    "EMA",
    "Adversarial",
    "Alternation",
    "PathLength",
    "TrainState",
    "alternate",
    "augment",
    "create_train_states",
    "d_step",
    "ema",
    "g_step",
    "losses",
    "networks",
    "objectives",
    "parallel",
    "regularizers",
    "sampling",
    "schedules",
    "train",
]


def __getattr__(name: str):
    if name == "train":
        from gan_jax.loop import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
