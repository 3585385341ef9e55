"""A small convolutional classifier, whose last hidden layer serves as features."""

import flax.linen as nn
from jaxtyping import Array, Float

from gan_jax.networks.layers import Conv, Dense

_HE = nn.initializers.he_normal()


class Classifier(nn.Module):
    """Square images [B, h, h, c] in [−1, 1] to features [B, features] and logits [B, classes]; or
    to the `maps` [B, h′, h′, c′] of its convolutions.

    Convolutions of stride 2 halve the image while its side is even and above 4; then a layer of
    `features` ReLUs, and a linear one.
    """

    num_classes: int
    width: int = 16
    features: int = 128

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, maps: bool = False) -> tuple[Array, ...]:
        width, seen = self.width, []
        while x.shape[1] > 4 and x.shape[1] % 2 == 0:
            x = nn.relu(Conv(width, "down", kernel_init=_HE)(x))
            seen.append(x)
            width = min(2 * width, 4 * self.width)
        x = nn.relu(Conv(width, "same", kernel_init=_HE)(x))
        if maps:
            return (*seen, x)
        features = nn.relu(Dense(self.features, kernel_init=_HE)(x.reshape(len(x), -1)))
        return features, Dense(self.num_classes)(features)
