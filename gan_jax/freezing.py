"""Layers that stay as they are while the rest of a network learns."""

from collections.abc import Collection

import jax
import jax.numpy as jnp
import optax


def freeze(layers: Collection[str]) -> optax.GradientTransformation:
    """No update for these layers: the names under which the parameters hold them. Chain it last.

    Source: the layers near the pictures of a discriminator, in Mo et al., "Freeze the
    Discriminator: a Simple Baseline for Fine-Tuning GANs", 2020.

    Raises (on `init`):
        ValueError: the network has no such layer.
    """
    layers = frozenset(layers)

    def init(params):
        unknown = layers - params.keys()
        if unknown:
            raise ValueError(
                f"there is no layer {', '.join(sorted(unknown))} to freeze, only "
                f"{', '.join(sorted(params))}"
            )
        return optax.EmptyState()

    def update(updates, state, params=None):
        still = {
            name: jax.tree.map(jnp.zeros_like, update) if name in layers else update
            for name, update in updates.items()
        }
        return still, state

    return optax.GradientTransformation(init, update)
