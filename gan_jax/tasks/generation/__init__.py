"""From noise to data: new examples like those of a dataset, by class or without.

Source: Goodfellow et al., "Generative Adversarial Nets", 2014.
"""

from gan_jax.tasks.generation.config import Config, Objective
from gan_jax.tasks.generation.task import Generation

__all__ = ["Config", "Generation", "Objective"]
