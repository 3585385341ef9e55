"""What is scored: how a generator's state becomes examples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from gan_jax import sampling
from gan_jax.data.gaussians import Mixture
from gan_jax.state import TrainState

Labels = Int[np.ndarray, " n"] | Float[np.ndarray, "n k"]


@dataclass(frozen=True)
class Subject:
    """What a metric may ask of the generators of one run.

    Of a task that translates images, `sample` gives translated ones, and there are no latents.
    """

    sample: Callable[[TrainState, int, Labels | None], Any]
    """So many examples as networks make them, [n, …]: images in [−1, 1], or points. If
    `conditional`, of these labels, as the data have them. The same ones from the same state every
    time."""
    conditional: bool = False
    classes: bool = False
    """Whether labels are classes, and not the numbers of conditions."""
    latent_dim: int | None = None
    """Of the normal latents that it makes examples of, if it does."""
    generate: Callable[[TrainState, Any, Any], Array] | None = None
    """From latents [n, latent_dim] and their labels to examples, for such a one."""
    target: int | None = None
    """The class that its examples are to be of, where it makes them of those of others."""
    truth: UInt8[np.ndarray, "n h w c"] | None = None
    """What its first examples are to be, each by itself, where that is known."""
    mixture: Mixture | None = None
    """Where the real examples come from, if they come from one."""


def from_latents(
    latent_dim: int,
    *,
    conditional: bool = False,
    classes: bool | None = None,
    mixture: Mixture | None = None,
    told: Callable[[Any], Any] = lambda labels: labels,
    finish: Callable[[Any], Any] = lambda made: made,
) -> Subject:
    """Generators of noise, by their moving average. Of labels as the data have them `told` makes
    what the generator is told; if they are no classes, say so. What it makes is scored as `finish`
    makes it: a traceable function, by which points come back to the scale of the data."""

    def sample(g: TrainState, n: int, labels: Labels | None) -> Array:
        label = None if labels is None else jnp.asarray(told(labels))
        made = sampling.sample(g, jax.random.key(0), n, latent_dim=latent_dim, label=label)
        return finish(made)

    def generate(g: TrainState, z: Any, label: Any) -> Array:
        label = None if label is None else jnp.asarray(told(label))
        return finish(sampling.generate(g, z, label))

    return Subject(
        sample,
        conditional=conditional,
        classes=conditional if classes is None else classes,
        latent_dim=latent_dim,
        generate=generate,
        mixture=mixture,
    )
