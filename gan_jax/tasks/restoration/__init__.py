"""From inputs to the images that belong to them: grey into colors, drawings into photographs, small
into large.

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017;
Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial
Network", 2017.
"""

from gan_jax.tasks.restoration.config import Config, Objective
from gan_jax.tasks.restoration.task import Restoration

__all__ = ["Config", "Objective", "Restoration"]
