"""Degradations: what is done to an image to make the input that a network learns to undo.

A degradation is a pytree, called as `degradation(images, key, axis_name=None)` with a batch of
images [B, H, W, C] in [−1, 1], and gives inputs [B, H / scale, W / scale, channels(C)] in [−1, 1].
Every example's draws are its own, keyed by its global index: they depend neither on the batch
around it nor on how that is spread over devices. Numbers are leaves, which can be traced; `scale`
is static.

Each is declared beside its section of a configuration; `DegradationSection.kinds()` has them all.
"""

from gan_jax.degradations.base import Degradation, DegradationSection
from gan_jax.degradations.blurred import Blurred
from gan_jax.degradations.edges import Edges
from gan_jax.degradations.given import Given
from gan_jax.degradations.grey import Grey
from gan_jax.degradations.masked import Masked
from gan_jax.degradations.small import Bicubic, Camera
from gan_jax.networks.resampling import FILTERS, Filter, resize

__all__ = [
    "FILTERS",
    "Bicubic",
    "Blurred",
    "Camera",
    "Degradation",
    "DegradationSection",
    "Edges",
    "Filter",
    "Given",
    "Grey",
    "Masked",
    "resize",
]
