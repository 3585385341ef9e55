"""What the two players minimise: `Objective` says what one has to supply. `Adversarial` is it for
generators of noise, `Translation` for those of the images of another domain, and `Paired` for those
of inputs that belong to their targets.

The others each add something to an objective that they wrap, and can be wrapped in turn:

    objective = Adversarial(loss=losses.hinge, latent_dim=64, augmentation=augment.ADA())
    objective = AdaptiveAugmentation(objective, AdaptiveProbability(target=0.6))
    objective = AuxiliaryClassifier(objective, weight=1.0)
    objective = PathLengthRegularization(objective, style_shape=(10, 512), every=4)
    objective = Unrolled(objective, updates=5)

`AdaptiveAugmentation` goes next to `Adversarial`, whose augmentation it controls, and `Unrolled`
around all that the discriminator's updates are to have.
"""

from gan_jax.objectives.adaptive import AdaptiveAugmentation
from gan_jax.objectives.adversarial import Adversarial
from gan_jax.objectives.auxiliary import AuxiliaryClassifier
from gan_jax.objectives.paired import Paired
from gan_jax.objectives.path_length import PathLength, PathLengthRegularization
from gan_jax.objectives.protocols import Aux, Objective
from gan_jax.objectives.sampled import Sampled, Wrapper
from gan_jax.objectives.translation import Translation
from gan_jax.objectives.unrolled import Unrolled

__all__ = [
    "AdaptiveAugmentation",
    "Adversarial",
    "Aux",
    "AuxiliaryClassifier",
    "Objective",
    "Paired",
    "PathLength",
    "PathLengthRegularization",
    "Sampled",
    "Translation",
    "Unrolled",
    "Wrapper",
]
