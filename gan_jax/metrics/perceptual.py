"""The perceptual distance of two images: how far apart a network's features of them are."""

import jax.numpy as jnp
from jaxtyping import Array, Float

FeatureMap = Float[Array, "n _ _ _"]

_EPSILON = 1e-10


def perceptual_distance(
    features_a: tuple[FeatureMap, ...], features_b: tuple[FeatureMap, ...]
) -> Float[Array, " n"]:
    """The distance of `n` pairs of images by several layers' features, `[n, h, w, c]` each.

    Each position's vector y of channels is divided by √(‖y‖² + 10⁻¹⁰). Squared differences of these
    are added up over channels, averaged over positions, and added up over layers: from 0 to 4 a
    layer, or 2 where features are not negative. Sizes and channels may differ from layer to layer.
    It is computed in float32, can be traced, and has finite derivatives everywhere, also where
    vectors are zero.

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
    2018, eq. 1, with all weights w of channels equal to 1. So values compare with each other, by
    the same layers of the same network, and not with LPIPS, whose weights are learned. The code
    published with it adds its ε to the norm, whose derivative at zero is not finite.

    Raises:
        ValueError: if there are no layers, or if both sides' layers differ in number or shape.
    """
    shapes_a, shapes_b = ([x.shape for x in features] for features in (features_a, features_b))
    if not shapes_a or shapes_a != shapes_b or {len(shape) for shape in shapes_a} != {4}:
        raise ValueError(f"no two sets of feature maps [n, h, w, c]: {shapes_a} and {shapes_b}")
    total = jnp.zeros(shapes_a[0][0], jnp.float32)
    for a, b in zip(features_a, features_b, strict=True):
        squares = jnp.square(_normalized(a) - _normalized(b))
        total += jnp.mean(jnp.sum(squares, axis=-1), axis=(1, 2))
    return total


def perceptual_features(features: tuple[FeatureMap, ...]) -> Float[Array, "n d"]:
    """Several layers' features as one vector an image, such that the squared Euclidean distance of
    two is their `perceptual_distance`."""
    flat = []
    for x in features:
        n, height, width, _ = x.shape
        flat.append(_normalized(x).reshape(n, -1) / jnp.sqrt(height * width))
    return jnp.concatenate(flat, axis=1)


def _normalized(x: FeatureMap) -> FeatureMap:
    x = x.astype(jnp.float32)
    return x / jnp.sqrt(jnp.sum(x * x, axis=-1, keepdims=True) + _EPSILON)
