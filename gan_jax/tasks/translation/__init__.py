"""From the images of one domain to those of another and back, without pairs: summer into winter.

Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
Networks", 2017.
"""

from gan_jax.tasks.translation.config import Config, Objective
from gan_jax.tasks.translation.task import DIRECTIONS, Translation

__all__ = ["DIRECTIONS", "Config", "Objective", "Translation"]
